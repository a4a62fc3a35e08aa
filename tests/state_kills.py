"""Writers of states in processes of their own, and their sudden ends."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Sequence

from state_parts import DISABLED, ENABLED, Place

from flask_pluginkit.frozen import replace
from flask_pluginkit.state.audit import Audit
from flask_pluginkit.state.base import Quarantine, State
from flask_pluginkit.state.files import FileStateStore

HELD = {"hello": Quarantine(since=1.0, reason="faults", traceback="", by="a worker", guards=True)}

SINGLE = (State(wanted={"hello": ENABLED}), State(wanted={"hello": DISABLED}))
"""Two states that one marker lies between."""

SEVERAL = (
    State(wanted={"hello": ENABLED, "news": DISABLED, "search": ENABLED}),
    State(wanted={"hello": DISABLED, "news": ENABLED}, quarantined=HELD),
)
"""Two states that several markers and a quarantine lie between."""

LONGEST_LIFE = 6
"""How many changes a writer gets to make at most, by the time that the last one took here."""


def contents(state: State) -> State:
    """All but the generation."""
    return replace(state, generation=0)


def started(work: Callable[[], None]) -> int:
    """Start a process that does `work`, and return its number when it has begun."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - it is killed
        code = 1
        try:
            os.write(writing, b".")
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - else the parent would see but a number
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    return child


def ended(child: int) -> int:
    """Wait for a process, and return its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run_all(work: Iterable[Callable[[], None]]) -> list[int]:
    """Do all that at the same time in as many processes, and return their exit codes."""
    return [ended(child) for child in [started(each) for each in work]]


def put(store: FileStateStore, state: State) -> State:
    """Store a whole state, whatever there was, with a line in the audit."""
    with store.exclusive():
        generation = store.load().generation
        Audit(store._folder.path).write({"from": generation})
        return store.swap(generation, state)


def timed_put(store: FileStateStore, state: State) -> tuple[State, float]:
    """Do the same, and tell how many seconds that took."""
    begin = time.monotonic()
    return put(store, state), time.monotonic() - begin


def toggle(place: Place, states: Sequence[State]) -> None:
    """Go from one state to the next until the end."""
    store = FileStateStore(place.state_dir, place.control)
    store.know(place.folders)
    for state in itertools.cycle(states):  # pragma: no branch
        put(store, state)


def kill_writers(place: Place, states: Sequence[State], *, kills: int, writers: int) -> int:
    """Kill writers at random moments, and look each time at what they left.

    Returns how often the state was another one than before.
    """
    watching = place.store()
    assert watching.open()
    current, seconds = timed_put(place.store(), states[0])
    dice = random.Random()
    moved = 0
    for _ in range(kills // writers):
        children = [started(lambda: toggle(place, states)) for _ in range(writers)]
        for child in children:
            time.sleep(dice.uniform(0, LONGEST_LIFE * seconds))
            os.kill(child, signal.SIGKILL)
            assert ended(child) == -signal.SIGKILL
        begun = place.store().load()
        assert contents(begun) in states
        watching.notice()
        assert contents(watching.load()) == contents(begun)
        assert watching.load().generation == watching.hint >= current.generation
        moved += watching.load().generation != current.generation
        current, seconds = timed_put(place.store(), dice.choice(states))
        assert watching.hint == current.generation
        assert "intent" not in place.stored()
    assert len(list(Audit(place.control).read(kills))) >= kills // writers
    return moved
