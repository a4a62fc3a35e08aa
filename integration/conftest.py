"""A real browser, and a page that remembers what went wrong on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from skips import pytest_make_collect_report, pytest_runtest_makereport

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--no-sandbox",  # CI runs as root in a container
    "--disable-gpu",
    # a browser that is tested talks to nobody but the server under test
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)


class Watched:
    """A page of the browser, with the errors and failed requests that it saw."""

    def __init__(self, page: Page, screenshots: Path) -> None:
        self.page = page
        self.errors: list[str] = []
        self._screenshots = screenshots
        page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))
        page.on(
            "console",
            lambda line: self.errors.append(line.text) if line.type == "error" else None,
        )
        page.on(
            "requestfailed",
            lambda request: self.errors.append(f"{request.url}: {request.failure}"),
        )

    def screenshot(self, name: str, *, whole: bool = True) -> None:
        """Keep how the page looks; `whole`: also what one would have to scroll to."""
        self.page.screenshot(path=self._screenshots / f"{name}.png", full_page=whole)

    @property
    def is_too_wide(self) -> bool:
        """Whether one has to scroll sideways."""
        script = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(self.page.evaluate(script))


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
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for screenshots of this module; its name is printed."""
    folder = tmp_path_factory.mktemp("screenshots")
    print(f"screenshots: {folder}")
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
