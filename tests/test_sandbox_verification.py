"""What verifying makes of probes that succeed and of needs that aren't met; nothing is attacked."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flask_pluginkit.exceptions import SandboxUnavailable
from flask_pluginkit.sandbox.canaries import Canaries
from flask_pluginkit.sandbox.needs import NEEDFUL, Need
from flask_pluginkit.sandbox.policy import Policy, Report
from flask_pluginkit.sandbox.probes import HOSTILE, Probe
from flask_pluginkit.sandbox.verification import verify


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """What confining a process without namespaces would have reported."""
    return reported(tmp_path)


def reported(folder: Path, *, namespaces: tuple[str, ...] = (), data: str | None = None) -> Report:
    """A report about a process that isn't confined."""
    nowhere = str(folder / "canaries")
    canaries = Canaries(folder=nowhere, file=f"{nowhere}/file", socket=f"{nowhere}/socket")
    code = folder / "code"
    code.mkdir()
    policy = Policy(
        plugin="hello", code=str(code), parent=os.getppid(), canaries=canaries, data=data
    )
    return Report(
        policy=policy,
        layers=(),
        landlock_abi=7,
        uid=1,
        gid=1,
        namespaces=namespaces,
        notes=(),
    )


def failing_with(code: int) -> Callable[[Canaries], object]:
    """An attack that ends with an error."""

    def attack(_canaries: Canaries) -> object:
        raise OSError(code, os.strerror(code))

    return attack


@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES, errno.ENOSYS])
def test_a_refusal_stops_an_attack(code: int, report: Report) -> None:
    """By the filter, by Landlock, or because the call isn't there."""
    probe = Probe(name="attack", attack=failing_with(code))
    (outcome,) = verify(report, hostile=[probe], needful=[]).outcomes
    assert outcome.stopped
    assert outcome.by == errno.errorcode[code]


@pytest.mark.parametrize("code", [errno.EBADF, errno.EINVAL, errno.EFAULT, errno.ENOENT])
def test_any_other_error_shows_that_no_layer_stood_there(code: int, report: Report) -> None:
    """The kernel looked at the arguments, so the call got through."""
    probe = Probe(name="attack", attack=failing_with(code), outside=True)
    with pytest.raises(SandboxUnavailable, match=errno.errorcode[code]):
        verify(report, hostile=[probe], needful=[])


def test_an_attack_that_succeeds_is_named(report: Report) -> None:
    """With what not to do on this machine."""
    probe = Probe(name="read a file", attack=lambda _: "contents")
    with pytest.raises(SandboxUnavailable, match="attack 'read a file': found it isn't stopped"):
        verify(report, hostile=[probe], needful=[])


def test_a_path_that_is_gone_counts_with_a_mount_namespace_only(tmp_path: Path) -> None:
    """Elsewhere a missing canary would hide that nothing protects it."""
    report = reported(tmp_path, namespaces=("user", "mount"))
    probe = Probe(name="attack", attack=failing_with(errno.ENOENT), outside=True)
    assert verify(report, hostile=[probe], needful=[]).outcomes[0].stopped


def test_what_only_namespaces_stop_is_not_tried_without_them(report: Report) -> None:
    """It isn't promised there."""
    probe = Probe(name="attack", attack=lambda _: "seen", namespaced=True)
    assert verify(report, hostile=[probe], needful=[]).outcomes == ()


def test_what_only_namespaces_stop_must_be_stopped_with_them(tmp_path: Path) -> None:
    """It is promised then."""
    probe = Probe(name="attack", attack=lambda _: "seen", namespaced=True)
    with pytest.raises(SandboxUnavailable, match="it worked"):
        verify(reported(tmp_path, namespaces=("mount",)), hostile=[probe], needful=[])


def test_a_need_that_isnt_met_is_named_with_its_reason(report: Report) -> None:
    """Whatever exception it is."""
    need = Need(name="a database", attempt=lambda _: 1 // 0)
    with pytest.raises(SandboxUnavailable, match="need 'a database': found ZeroDivisionError"):
        verify(report, hostile=[], needful=[need])


def test_needs_of_an_own_folder_are_tried_where_there_is_one(report: Report) -> None:
    """A plugin without one has no temporary files."""
    need = Need(name="a file", attempt=lambda _: 1 // 0, own_folder=True)
    assert verify(report, hostile=[], needful=[need]).needs == ()


def test_everything_that_is_wrong_is_said_at_once(report: Report) -> None:
    """Attacks and needs."""
    probe = Probe(name="attack", attack=lambda _: "contents")
    need = Need(name="a database", attempt=lambda _: 1 // 0)
    with pytest.raises(SandboxUnavailable) as caught:
        verify(report, hostile=[probe, probe], needful=[need])
    assert len(caught.value.problems) == 3


def test_an_unconfined_process_has_everything_that_is_needful(tmp_path: Path) -> None:
    """The needs themselves are sound."""
    report = reported(tmp_path, data=str(tmp_path / "data"))
    assert verify(report, hostile=[], needful=NEEDFUL).needs == tuple(n.name for n in NEEDFUL)


def test_probes_and_needs_have_names_of_their_own() -> None:
    """Reports go by them."""
    for names in ([probe.name for probe in HOSTILE], [need.name for need in NEEDFUL]):
        assert len(set(names)) == len(names)
