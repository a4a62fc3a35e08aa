"""The rows of the table: what is measured, for how many plugins, and the goals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from contenders import Kind
from figures import Goal
from work import Work

SIZES: Final = (1, 10, 100, 1000)
TEN_PARTS: Final = (10, 100, 1000)
"""Sizes that fill a slot of ten parts."""
TEN_SLOTS: Final = (100, 1000)
"""Sizes that fill ten such slots."""

PLAIN_AGAIN: Final = "plain again"
"""A second process of plain Flask, which shows how far equal things differ here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One process that takes part in a measurement."""

    kind: Kind
    hooks: bool
    """Whether the plugins of its tree have their three hooks."""
    name: str = ""

    @property
    def label(self) -> str:
        """Its column in the table."""
        return self.name or self.kind


class Start(StrEnum):
    """A figure that ``start.py`` prints."""

    WALL = "wall_ns"
    PROCESS = "process_ns"
    BUILD = "build_ns"
    ANSWERED = "answered_ns"
    RSS = "rss"
    PSS = "pss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of work, compared between some lanes at several sizes."""

    key: str
    """What the option ``--rows`` calls it."""
    title: str
    explanation: str
    measure: Work | Start
    sizes: tuple[int, ...]
    lanes: tuple[Lane, ...]
    goals: Mapping[int, tuple[Goal, ...]] = field(default_factory=dict)
    """Of each number of plugins."""

    @property
    def floor(self) -> Kind:
        """What ours is compared with besides 3.12.1: plain Flask, where it takes part."""
        plain = any(lane.kind is Kind.BARE for lane in self.lanes)
        return Kind.BARE if plain else Kind.HAND


def _faster(times: float) -> Goal:
    return Goal(top=Kind.OLD, bottom=Kind.OURS, limit=times, at_most=False)


def _faster_or_floor(times: float) -> Goal:
    return Goal(top=Kind.OLD, bottom=Kind.OURS, limit=times, at_most=False, floor=Kind.TIMED)


def _floor(times: float, bottom: Kind = Kind.BARE) -> Goal:
    return Goal(top=Kind.OURS, bottom=bottom, limit=times, at_most=True)


_PLAIN = Lane(kind=Kind.BARE, hooks=False)
_WITH_HOOKS = (
    Lane(kind=Kind.OURS, hooks=True),
    Lane(kind=Kind.OLD, hooks=True),
    Lane(kind=Kind.HAND, hooks=True),
)
_LOOPS = (Lane(kind=Kind.LOOP, hooks=True), Lane(kind=Kind.TIMED, hooks=True))
_WITHOUT_HOOKS = (Lane(kind=Kind.OURS, hooks=False), Lane(kind=Kind.OLD, hooks=False))

ROWS: Final = (
    Row(
        key="null",
        title="plain Flask twice",
        explanation="Two processes of plain Flask answer the same request: how much the method "
        "sees where there is nothing to see.",
        measure=Work.HOST,
        sizes=(1,),
        lanes=(_PLAIN, Lane(kind=Kind.BARE, hooks=False, name=PLAIN_AGAIN)),
    ),
    Row(
        key="host",
        title="host request, hooks off",
        explanation="A request for a view of the host that returns five letters; the plugins "
        "have everything but hooks. Plain is Flask with that view alone.",
        measure=Work.HOST,
        sizes=SIZES,
        lanes=(*_WITHOUT_HOOKS, _PLAIN),
        goals={size: (_floor(1.08),) for size in SIZES},
    ),
    Row(
        key="host-hooks",
        title="host request, hooks on",
        explanation="The same request where each plugin has its three hooks, so that 3N "
        "functions of plugins run in it. Plain is Flask without hooks; by hand is Flask with "
        "the 3N functions registered on the application; the bare loop is Flask with three "
        "hooks that call the N functions of their kind one after the other and do nothing else; "
        "the timed loop reads the clock after each call as well, and adds the difference to a "
        "counter of that function.",
        measure=Work.HOST,
        sizes=SIZES,
        lanes=(*_WITH_HOOKS, *_LOOPS, _PLAIN),
        goals={100: (_faster_or_floor(20),), 1000: (_faster_or_floor(80),)},
    ),
    Row(
        key="static",
        title="static file, hooks off",
        explanation="A plugin's style sheet of 5 KB by the URL that emit_assets gives. Plain "
        "is a view that calls send_from_directory.",
        measure=Work.STATIC,
        sizes=SIZES,
        lanes=(*_WITHOUT_HOOKS, _PLAIN),
        goals={size: (_floor(1.3),) for size in SIZES},
    ),
    Row(
        key="static-hooks",
        title="static file, hooks on",
        explanation="The same with the hooks of all plugins, which run for static files too.",
        measure=Work.STATIC,
        sizes=SIZES,
        lanes=(*_WITH_HOOKS, *_LOOPS, _PLAIN),
        goals={100: (_faster_or_floor(8),), 1000: (_faster_or_floor(50),)},
    ),
    Row(
        key="emit",
        title="emit_tep, 10 strings",
        explanation="One slot to which ten plugins contribute a string, emitted inside a view. "
        "Plain compiles each part once and calls render_template for each, with the values of "
        "its plugin alone; by hand does so with the context names of all N plugins.",
        measure=Work.EMIT_CODE,
        sizes=TEN_PARTS,
        lanes=(*_WITH_HOOKS, _PLAIN),
        goals={
            10: (_floor(0.3),),
            100: (_faster(25), _floor(0.3)),
            1000: (_faster(150), _floor(0.3)),
        },
    ),
    Row(
        key="emit-files",
        title="emit_tep, 10 files",
        explanation="The same with template files, each of which uses a filter of its plugin.",
        measure=Work.EMIT_FILE,
        sizes=TEN_PARTS,
        lanes=(*_WITH_HOOKS, _PLAIN),
    ),
    Row(
        key="page",
        title="page, 10 slots of 10",
        explanation="A request for a page of the host that emits ten slots with ten strings "
        "each (hooks off, because they have rows of their own).",
        measure=Work.PAGE,
        sizes=TEN_SLOTS,
        lanes=(*_WITHOUT_HOOKS, _PLAIN),
        goals={100: (_faster(20), _floor(0.3)), 1000: (_floor(0.3),)},
    ),
    Row(
        key="start",
        title="start, whole process",
        explanation="From the making of the process to the application that is ready for its "
        "first request: interpreter, import of Flask, and building. By hand is Flask with "
        "all that the plugins bring, registered by hand.",
        measure=Start.PROCESS,
        sizes=SIZES,
        lanes=_WITH_HOOKS,
        goals={10: (_floor(1.2, Kind.HAND),)},
    ),
    Row(
        key="start-wall",
        title="start, by the clock",
        explanation="The same in time that passes instead of processor time.",
        measure=Start.WALL,
        sizes=SIZES,
        lanes=_WITH_HOOKS,
    ),
    Row(
        key="start-build",
        title="start, building",
        explanation="The part of a whole start after the import of Flask: the import of "
        "Flask-PluginKit, discovery, import and registration of the plugins.",
        measure=Start.BUILD,
        sizes=SIZES,
        lanes=_WITH_HOOKS,
        goals={10: (_faster(10),), 1000: (_faster(2),)},
    ),
    Row(
        key="start-answer",
        title="start to first answer",
        explanation="As before, and the first request answered, because work may be put off "
        "until then.",
        measure=Start.ANSWERED,
        sizes=SIZES,
        lanes=_WITH_HOOKS,
    ),
    Row(
        key="start-rss",
        title="start, memory (RSS)",
        explanation="Growth of the resident memory from the import of Flask until the first "
        "request is answered.",
        measure=Start.RSS,
        sizes=SIZES,
        lanes=_WITH_HOOKS,
        goals={1000: (_faster(1),)},
    ),
    Row(
        key="start-pss",
        title="start, memory (PSS)",
        explanation="The same for the proportional set size.",
        measure=Start.PSS,
        sizes=SIZES,
        lanes=_WITH_HOOKS,
        goals={1000: (_faster(1),)},
    ),
)

COMPARISONS: Final = (
    (Kind.OURS, Kind.BARE),
    (Kind.OURS, Kind.HAND),
    (Kind.OURS, Kind.LOOP),
    (Kind.OURS, Kind.TIMED),
    (Kind.OLD, Kind.OURS),
    (Kind.OLD, Kind.BARE),
    (Kind.OLD, Kind.HAND),
    (Kind.OLD, Kind.LOOP),
    (Kind.OLD, Kind.TIMED),
    (PLAIN_AGAIN, Kind.BARE),
)
"""The ratios that are worth telling, as far as a row has both."""
