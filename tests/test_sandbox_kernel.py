"""What is said where a kernel can't isolate, and what Landlock is told where one can."""

from __future__ import annotations

import struct

import pytest

from flask_pluginkit.exceptions import SandboxUnavailable
from flask_pluginkit.sandbox import kernel, landlock
from flask_pluginkit.sandbox.kernel import Kernel
from flask_pluginkit.sandbox.landlock import READ, WRITE, Access, handled, rules
from flask_pluginkit.sandbox.syscalls import Architecture


def offering(
    *,
    landlock: int = 7,
    seccomp: bool = True,
    architecture: Architecture | None = Architecture.AARCH64,
    system: str = "linux",
) -> Kernel:
    """A kernel that offers this."""
    return Kernel(landlock=landlock, seccomp=seccomp, architecture=architecture, system=system)


def refusal(offered: Kernel) -> str:
    """What is said about a kernel that can't isolate."""
    with pytest.raises(SandboxUnavailable) as caught:
        kernel.require(offered)
    return str(caught.value)


@pytest.mark.parametrize("abi", [3, 4, 5, 6, 7, 12])
def test_a_kernel_from_the_third_abi_on_can_isolate(abi: int) -> None:
    """Linux 6.2 has it."""
    assert kernel.require(offering(landlock=abi)) is Architecture.AARCH64


@pytest.mark.parametrize("abi", [1, 2])
def test_an_old_landlock_is_refused_with_the_kernel_to_use(abi: int) -> None:
    """Before the third ABI it doesn't stop truncation."""
    text = refusal(offering(landlock=abi))
    assert f"Landlock: found ABI {abi}, expected ABI 3 or later (Linux 6.2)" in text
    assert "update the kernel" in text


def test_a_kernel_without_landlock_is_refused_with_what_to_boot() -> None:
    """It may be built in and not be used."""
    text = refusal(offering(landlock=0))
    assert "Landlock: found none" in text
    assert "lsm=" in text


def test_a_kernel_without_filters_is_refused() -> None:
    """With the setting that it was built without."""
    assert "CONFIG_SECCOMP_FILTER" in refusal(offering(seccomp=False))


def test_everything_that_is_missing_is_said_at_once() -> None:
    """An operator isn't sent to reboot twice."""
    assert len(kernel.lacks(offering(landlock=2, seccomp=False))) == 2


def test_another_machine_is_refused() -> None:
    """Without numbers there is no filter."""
    assert "x86_64, aarch64" in refusal(offering(architecture=None))


def test_another_operating_system_is_refused() -> None:
    """None of the layers is there."""
    assert "found darwin, expected Linux" in refusal(offering(system="darwin", architecture=None))


def test_each_refusal_names_the_way_out() -> None:
    """That it doesn't confine is said too."""
    assert "at a lower level, which doesn't confine it" in refusal(offering(landlock=0))


def test_the_running_kernel_is_asked() -> None:
    """Whatever it is, asking it doesn't raise."""
    assert kernel.detect().landlock >= 0


@pytest.mark.parametrize(
    ("abi", "right"),
    [(2, Access.REFER), (3, Access.TRUNCATE), (5, Access.IOCTL_DEV), (9, Access.RESOLVE_UNIX)],
)
def test_each_right_is_handled_from_its_abi_on(abi: int, right: Access) -> None:
    """An older kernel refuses a rule set with rights that it doesn't know."""
    assert right in handled(abi).files
    assert right not in handled(abi - 1).files


def test_later_versions_give_up_no_less() -> None:
    """Each ABI adds to what the one before it handles."""
    for abi in range(1, 12):
        assert handled(abi).files & handled(abi + 1).files == handled(abi).files


@pytest.mark.parametrize(("abi", "size"), [(1, 8), (3, 8), (4, 16), (5, 16), (6, 24), (7, 24)])
def test_the_structure_is_as_long_as_the_kernel_knows_it(abi: int, size: int) -> None:
    """TCP came with the fourth ABI, abstract sockets and signals with the sixth."""
    encoded = handled(abi).encoded()
    assert len(encoded) == size
    assert struct.unpack(f"={size // 8}Q", encoded)[1:] == (3,) * (size // 8 - 1)


def test_nothing_that_links_pipes_or_executes_is_ever_granted() -> None:
    """Neither in the own folder nor elsewhere."""
    never = (
        Access.EXECUTE
        | Access.MAKE_SYM
        | Access.MAKE_FIFO
        | Access.MAKE_SOCK
        | Access.MAKE_CHAR
        | Access.MAKE_BLOCK
        | Access.IOCTL_DEV
        | Access.RESOLVE_UNIX
    )
    assert not (READ | WRITE) & never


def test_reading_grants_no_change() -> None:
    """A readable folder can be read and listed."""
    assert rules(["/usr/lib", "/usr/lib"], []) == (
        landlock.Rule(path="/usr/lib", access=Access.READ_FILE | Access.READ_DIR),
    )


def test_a_folder_of_ones_own_can_be_written() -> None:
    """Rules for it come last."""
    assert rules(["/usr/lib"], ["/srv/data"])[-1].access == WRITE
