"""An assembler for the classic BPF that seccomp filters are written in.

A filter reads the number, the architecture and the arguments of one system call and returns
what is to become of it. It has one register; jumps go forward only, so it always ends.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

LOAD: Final = 0x20
"""BPF_LD | BPF_W | BPF_ABS: the word at an offset into ``struct seccomp_data``."""
AND: Final = 0x54
"""BPF_ALU | BPF_AND | BPF_K."""
IF_EQUAL: Final = 0x15
"""BPF_JMP | BPF_JEQ | BPF_K."""
IF_AT_LEAST: Final = 0x35
"""BPF_JMP | BPF_JGE | BPF_K, without sign."""
RETURN: Final = 0x06
"""BPF_RET | BPF_K."""

NUMBER: Final = 0
"""Where the number of the system call stands in ``struct seccomp_data``."""
ARCHITECTURE: Final = 4
"""Where the architecture (AUDIT_ARCH_*) stands in it."""

LONGEST: Final = 4096
"""BPF_MAXINSNS, in instructions."""

_INSTRUCTION: Final = struct.Struct("=HBBI")
"""``struct sock_filter``: code, jump if true, jump if false, constant."""


def low_word(argument: int) -> int:
    """Where the lower 32 bits of an argument (0 to 5) stand; both machines are little-endian."""
    return 16 + 8 * argument


def high_word(argument: int) -> int:
    """Where its upper 32 bits stand."""
    return low_word(argument) + 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Jump:
    code: int
    constant: int
    then: str | None
    otherwise: str | None


@dataclass(slots=True)
class Program:
    """Instructions in order; jumps name a label, or None for the next instruction."""

    _lines: list[tuple[int, int] | _Jump] = field(default_factory=list)
    _labels: dict[str, int] = field(default_factory=dict)

    def load(self, offset: int) -> None:
        """Put a word of ``struct seccomp_data`` into the register."""
        self._lines.append((LOAD, offset))

    def mask(self, bits: int) -> None:
        """Clear all other bits of the register."""
        self._lines.append((AND, bits))

    def give(self, action: int) -> None:
        """End with a SECCOMP_RET_* action."""
        self._lines.append((RETURN, action))

    def jump(
        self, code: int, constant: int, *, then: str | None = None, otherwise: str | None = None
    ) -> None:
        """Compare the register with a constant and go on at one of two labels."""
        self._lines.append(_Jump(code=code, constant=constant, then=then, otherwise=otherwise))

    def label(self, name: str) -> None:
        """Name the place of the next instruction; each name once."""
        if name in self._labels:
            raise ValueError(f"the label {name!r} is there twice")
        self._labels[name] = len(self._lines)

    def assemble(self) -> bytes:
        """Return the program as an array of ``struct sock_filter``.

        Raises ValueError if a jump goes backwards or further than the 255 instructions that
        it has room for, or if the whole is longer than the kernel takes.
        """
        if len(self._lines) > LONGEST:
            raise ValueError(f"a filter has {len(self._lines)} instructions, at most {LONGEST}")
        return b"".join(self._encoded(place, line) for place, line in enumerate(self._lines))

    def _encoded(self, place: int, line: tuple[int, int] | _Jump) -> bytes:
        if not isinstance(line, _Jump):
            return _INSTRUCTION.pack(line[0], 0, 0, line[1])
        then, otherwise = (self._distance(place, label) for label in (line.then, line.otherwise))
        return _INSTRUCTION.pack(line.code, then, otherwise, line.constant)

    def _distance(self, place: int, label: str | None) -> int:
        distance = 0 if label is None else self._labels[label] - place - 1
        if not 0 <= distance <= 255:
            raise ValueError(f"the jump at {place} to {label!r} would be {distance} instructions")
        return distance
