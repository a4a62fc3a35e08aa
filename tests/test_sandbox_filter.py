"""The filter of system calls, run on a machine of our own: both architectures, no kernel."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import bpf_machine
import pytest
from bpf_machine import ALLOW, ERRNO, KILL
from hypothesis import example, given
from hypothesis import strategies as st

from flask_pluginkit.sandbox import bpf
from flask_pluginkit.sandbox.rules import ALLOWED, DENIED, checked
from flask_pluginkit.sandbox.seccomp import compose
from flask_pluginkit.sandbox.syscalls import NUMBERS, Architecture

PROCESS = 4711
EPERM = ERRNO | errno.EPERM
ENOSYS = ERRNO | errno.ENOSYS
MACHINES = {Architecture.X86_64: 0xC000003E, Architecture.AARCH64: 0xC00000B7}
FILTERS = {each: compose(each, PROCESS) for each in Architecture}
POINTER = 0x7FFE_0000_1000
THREAD = 0x3D0F00
"""What glibc hands to clone for a thread."""

architectures = pytest.mark.parametrize("architecture", Architecture)
words = st.one_of(
    st.integers(0, 2**64 - 1),
    st.sampled_from([0, 1, PROCESS, 2**32 + PROCESS, 2**64 - 1, THREAD, 0x10000, 2**32]),
)


def answer(architecture: Architecture, name: str, *arguments: int) -> int:
    """What the filter says to a call by its name."""
    number = NUMBERS[architecture][name]
    machine = MACHINES[architecture]
    return bpf_machine.run(FILTERS[architecture], number, arguments, machine=machine)


@architectures
@given(
    number=st.integers(0, 2**32 - 1) | st.integers(0, 600), arguments=st.lists(words, max_size=6)
)
@example(number=2**32 - 1, arguments=[])
def test_nothing_outside_of_the_table_is_allowed(
    architecture: Architecture, number: int, arguments: list[int]
) -> None:
    """Whatever the arguments are, a number without a name is refused."""
    named = {NUMBERS[architecture].get(name) for name in ALLOWED | checked(PROCESS).keys()}
    machine = MACHINES[architecture]
    result = bpf_machine.run(FILTERS[architecture], number, arguments, machine=machine)
    assert number in named or result != ALLOW


@architectures
@given(arguments=st.lists(words, max_size=6), data=st.data())
def test_what_is_denied_is_denied_with_any_arguments(
    architecture: Architecture, arguments: list[int], data: st.DataObject
) -> None:
    """EPERM, which plugins see as PermissionError."""
    name = data.draw(st.sampled_from(sorted(DENIED & NUMBERS[architecture].keys())))
    assert answer(architecture, name, *arguments) == EPERM


@architectures
@given(number=st.integers(0, 2**32 - 1), machine=st.integers(0, 2**32 - 1))
@example(number=0, machine=0x40000003)  # i386
@example(number=0, machine=0x40000028)  # arm
def test_a_foreign_architecture_ends_the_process(
    architecture: Architecture, number: int, machine: int
) -> None:
    """The same numbers are other calls there."""
    if machine != MACHINES[architecture]:
        assert bpf_machine.run(FILTERS[architecture], number, machine=machine) == KILL


@given(number=st.integers(0x40000000, 2**32 - 1))
@example(number=0x40000000 + 59)
def test_the_x32_interface_ends_the_process(number: int) -> None:
    """It shares the architecture of x86-64 and has numbers of its own."""
    machine = MACHINES[Architecture.X86_64]
    assert bpf_machine.run(FILTERS[Architecture.X86_64], number, machine=machine) == KILL


@architectures
def test_what_is_allowed_is_allowed(architecture: Architecture) -> None:
    """Every name of the list that the machine has."""
    for name in ALLOWED & NUMBERS[architecture].keys():
        assert answer(architecture, name, 1, 2, 3, 4, 5, 6) == ALLOW, name


@architectures
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (THREAD,), ALLOW),
        ("clone", (THREAD | 0x400000,), ALLOW),  # musl
        ("clone", (0x01200011,), EPERM),  # fork
        ("clone", (0x4111,), EPERM),  # vfork
        ("clone", (THREAD | 0x10000000,), EPERM),  # with a user namespace
        ("clone", (THREAD | 0x20000,), EPERM),  # with a mount namespace
        ("clone", (THREAD | 0x8000,), EPERM),  # as a child of the parent
        ("clone3", (POINTER, 88), ENOSYS),
        ("kill", (PROCESS, 15), ALLOW),
        ("kill", (2**32 + PROCESS, 15), ALLOW),  # the kernel looks at 32 bits only
        ("kill", (0, 15), EPERM),
        ("kill", (-1, 9), EPERM),
        ("kill", (-PROCESS, 9), EPERM),
        ("kill", (PROCESS + 1, 0), EPERM),
        ("tgkill", (PROCESS, 99, 6), ALLOW),
        ("tgkill", (PROCESS - 1, 99, 6), EPERM),
        ("tkill", (PROCESS, 6), EPERM),
        ("prlimit64", (0, 7, 0, POINTER), ALLOW),
        ("prlimit64", (PROCESS, 7, 0, POINTER), ALLOW),
        ("prlimit64", (1, 7, 0, POINTER), EPERM),
        ("prlimit64", (0, 7, POINTER, 0), EPERM),
        ("prlimit64", (0, 7, 2**32, 0), EPERM),  # a pointer whose lower half is zero
        ("socketpair", (1, 1, 0), ALLOW),
        ("socketpair", (1, 1 | 0o2004000, 0), ALLOW),
        ("socketpair", (1, 2, 0), EPERM),
        ("socketpair", (1, 5, 0), EPERM),
        ("socketpair", (16, 1, 0), EPERM),
        ("sendto", (3, POINTER, 1, 0, 0, 0), ALLOW),
        ("sendto", (3, POINTER, 1, 0x4000, 0, 0), ALLOW),
        ("sendto", (3, POINTER, 1, 0, POINTER, 16), EPERM),
        ("sendto", (3, POINTER, 1, 0, 2**32, 16), EPERM),
        ("sendto", (3, POINTER, 1, 1, 0, 0), EPERM),  # out of band
        ("sendto", (3, POINTER, 1, 0x20000000, 0, 0), EPERM),  # connects while sending
        ("recvmsg", (3, POINTER, 0x40000000), ALLOW),
        ("recvmsg", (3, POINTER, 1), EPERM),
        ("recvfrom", (3, POINTER, 1, 2, 0, 0), ALLOW),
        ("setsockopt", (3, 6, 1, POINTER, 4), ALLOW),  # TCP_NODELAY
        ("setsockopt", (3, 1, 9, POINTER, 4), ALLOW),  # SO_KEEPALIVE
        ("setsockopt", (3, 1, 26, POINTER, 4), EPERM),  # SO_ATTACH_FILTER
        ("setsockopt", (3, 6, 31, POINTER, 4), EPERM),  # TCP_ULP
        ("setsockopt", (3, 0, 1, POINTER, 4), EPERM),
        ("getsockopt", (3, 1, 3, POINTER, POINTER), ALLOW),  # SO_TYPE
        ("getsockopt", (3, 1, 17, POINTER, POINTER), EPERM),  # SO_PEERCRED
        ("fcntl", (3, 4, 0o4000), ALLOW),
        ("fcntl", (3, 1030, 0), ALLOW),
        ("fcntl", (3, 8, 1), EPERM),  # F_SETOWN
        ("fcntl", (3, 1031, 1 << 20), EPERM),  # F_SETPIPE_SZ
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412, POINTER), EPERM),  # TIOCSTI
        ("mmap", (0, 4096, 3, 0x22), ALLOW),
        ("mmap", (0, 4096, 3, 0x40022), EPERM),
        ("futex", (POINTER, 128, 0), ALLOW),
        ("futex", (POINTER, 128 | 256 | 9, 0), ALLOW),
        ("futex", (POINTER, 128 | 6, 0), EPERM),  # FUTEX_LOCK_PI
        ("prctl", (15, POINTER), ALLOW),
        ("prctl", (1, 0), EPERM),  # PR_SET_PDEATHSIG
        ("prctl", (38, 1), EPERM),
        ("prctl", (22, 2, POINTER), EPERM),  # PR_SET_SECCOMP
        ("sched_getaffinity", (0, 8, POINTER), ALLOW),
        ("sched_getaffinity", (1, 8, POINTER), ENOSYS),
    ],
)
def test_arguments_decide(
    architecture: Architecture, name: str, arguments: tuple[int, ...], expected: int
) -> None:
    """The same on both machines, as their arguments stand in the same places."""
    assert answer(architecture, name, *arguments) == expected


@architectures
@given(flags=words)
def test_clone_makes_nothing_but_threads(architecture: Architecture, flags: int) -> None:
    """A call passes only with CLONE_THREAD, and without any namespace or other parent."""
    if answer(architecture, "clone", flags) == ALLOW:
        assert flags & 0x10000
        assert not flags & (0x7E020080 | 0x8000 | 0x4000 | 0x2000) & 0xFFFFFFFF


@architectures
@given(process=words)
def test_signals_go_to_oneself(architecture: Architecture, process: int) -> None:
    """Kill and tgkill pass for the own process id alone."""
    own = process & 0xFFFFFFFF == PROCESS
    for name in ("kill", "tgkill"):
        assert (answer(architecture, name, process, 9, 9) == ALLOW) == own


@architectures
def test_the_kernel_takes_the_whole_filter(architecture: Architecture) -> None:
    """It has room for 4,096 instructions of eight bytes."""
    assert len(FILTERS[architecture]) <= 4096 * 8


def test_every_rule_has_a_number_and_every_name_one_rule() -> None:
    """What is misspelt in a rule would otherwise be refused, or be allowed as something else."""
    rules = [*ALLOWED, *DENIED, *checked(PROCESS)]
    assert len(rules) == len(set(rules))
    assert set(rules) | {"capget"} == set(NUMBERS[Architecture.X86_64])
    assert NUMBERS[Architecture.AARCH64].keys() < NUMBERS[Architecture.X86_64].keys()


@pytest.mark.parametrize(
    ("architecture", "place"),
    [
        (Architecture.X86_64, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        (Architecture.AARCH64, "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_the_numbers_are_the_kernels(architecture: Architecture, place: str) -> None:
    """As its own header has them; that of a younger kernel may lack the newest."""
    if not Path(place).exists():
        pytest.skip(f"THE NUMBERS OF {architecture} WEREN'T COMPARED: there is no {place}")
    text = Path(place).read_text(encoding="utf-8").replace("3264_fstatat", "3264_newfstatat")
    found = re.findall(r"#define\s+__NR(?:3264)?_(\w+)\s+(\d+)", text)
    header = {name: int(number) for name, number in found}
    ours = NUMBERS[architecture]
    newest = max(header.values())
    assert {n: v for n, v in ours.items() if v <= newest} == {
        name: header.get(name) for name, number in ours.items() if number <= newest
    }
    assert len(header.keys() & ours.keys()) > 200


@architectures
def test_no_two_names_share_a_number(architecture: Architecture) -> None:
    """A number that is there twice is a slip in the table."""
    numbers = NUMBERS[architecture].values()
    assert len(set(numbers)) == len(numbers)


def test_a_jump_that_is_too_far_is_refused() -> None:
    """Eight bits hold the distance."""
    program = bpf.Program()
    program.jump(bpf.IF_EQUAL, 1, otherwise="far")
    for _ in range(256):
        program.give(0)
    program.label("far")
    program.give(1)
    with pytest.raises(ValueError, match=r"to 'far' would be 256 instructions"):
        program.assemble()


def test_a_jump_backwards_is_refused() -> None:
    """Filters always end."""
    program = bpf.Program()
    program.label("start")
    program.jump(bpf.IF_EQUAL, 1, then="start")
    with pytest.raises(ValueError, match="would be -1 instructions"):
        program.assemble()


def test_a_label_has_one_place() -> None:
    """Two would make a jump ambiguous."""
    program = bpf.Program()
    program.label("here")
    with pytest.raises(ValueError, match="'here' is there twice"):
        program.label("here")


def test_a_filter_that_the_kernel_would_refuse_is_refused() -> None:
    """It takes 4,096 instructions."""
    program = bpf.Program()
    for _ in range(4097):
        program.give(0)
    with pytest.raises(ValueError, match="4097 instructions, at most 4096"):
        program.assemble()
