"""A real browser for the tests that look at pages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from browsers import OPTIONS, PROGRAMS, Watched
from playwright.sync_api import Browser, sync_playwright
from skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """What prints a figure of the run, with the name of the test."""
    writer = request.config.get_terminal_writer()
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def write(text: str) -> None:
        with capture.global_and_fixture_disabled():
            writer.line(f"\n{request.node.name}: {text}")

    return write


# Playwright keeps an event loop running while it is open: not for longer than a module.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium as it is installed on this machine; nothing is downloaded."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(PROGRAMS)} is installed: NO PAGE WAS LOOKED AT")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def screenshots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for the screenshots of one module; where it lies is printed."""
    folder = tmp_path_factory.mktemp("screenshots")
    request.config.get_terminal_writer().line(f"\nscreenshots: {folder}")
    return folder


@pytest.fixture
def desktop(browser: Browser, screenshots: Path) -> Iterator[Watched]:
    """A page as wide as on a small laptop, in light colours; errors on it fail the test."""
    yield from _watch(browser, screenshots, 1280, "light")


@pytest.fixture
def phone(browser: Browser, screenshots: Path) -> Iterator[Watched]:
    """A page as narrow as on a phone, in dark colours; errors on it fail the test."""
    yield from _watch(browser, screenshots, 390, "dark")


def _watch(
    browser: Browser, screenshots: Path, width: int, colours: Literal["light", "dark"]
) -> Iterator[Watched]:
    context = browser.new_context(
        viewport={"width": width, "height": 860}, color_scheme=colours, reduced_motion="reduce"
    )
    context.set_default_timeout(15_000)
    watched = Watched(context.new_page(), screenshots)
    yield watched
    context.close()
    assert watched.errors == [], "errors in the browser, beside what the test looked for"
