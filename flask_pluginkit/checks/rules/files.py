"""Files that can't be read, parsed or compiled."""

from __future__ import annotations

from collections.abc import Iterator

from flask_pluginkit.checks.reports import Finding
from flask_pluginkit.checks.subjects import Subject


def check_files(subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each file, and each piece of template code, that can't be used."""
    for fault in (*subject.tree.faults, *subject.code_faults):
        yield subject.of_fault(fault)
