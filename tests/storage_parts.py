"""What several tests of storages need."""

from __future__ import annotations

from hypothesis import strategies as st

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=12,
)


class FakeRedis:
    """Enough of a connection for one hash; answers in bytes unless told to decode."""

    def __init__(self, *, decode_responses: bool = False) -> None:
        self.fields: dict[bytes, bytes] = {}
        self.decode_responses = decode_responses

    def answer(self, found: bytes) -> bytes | str:
        return found.decode() if self.decode_responses else found

    def hset(
        self,
        index: str,
        key: str | None = None,
        value: str | None = None,
        mapping: dict[str, str] | None = None,
    ) -> int:
        if not key and not mapping:
            raise ValueError("nothing to set")  # as the package redis has it
        before = len(self.fields)
        pairs = mapping if mapping is not None else {str(key): str(value)}
        self.fields |= {key.encode(): value.encode() for key, value in pairs.items()}
        return len(self.fields) - before

    def hget(self, index: str, key: str) -> bytes | str | None:
        found = self.fields.get(key.encode())
        return None if found is None else self.answer(found)

    def hgetall(self, index: str) -> dict[bytes | str, bytes | str]:
        return {self.answer(key): self.answer(value) for key, value in self.fields.items()}

    def hdel(self, index: str, key: str) -> int:
        return 0 if self.fields.pop(key.encode(), None) is None else 1

    def hlen(self, index: str) -> int:
        return len(self.fields)
