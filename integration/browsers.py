"""A page of a real browser that remembers what went wrong on it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, Request

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
    """A page, with the errors and failed requests that it saw."""

    def __init__(self, page: Page, screenshots: Path) -> None:
        self.page = page
        self.errors: list[str] = []
        self._screenshots = screenshots
        page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))
        page.on(
            "console",
            lambda line: self.errors.append(line.text) if line.type == "error" else None,
        )
        page.on("requestfailed", self._note_failure)

    def _note_failure(self, request: Request) -> None:
        # the browser gives up what a page still loads when one clicks to the next
        if request.failure != "net::ERR_ABORTED":
            self.errors.append(f"{request.url}: {request.failure}")

    def screenshot(self, name: str, *, whole: bool = True) -> None:
        """Keep how the page looks; `whole`: also what one would have to scroll to."""
        self.page.screenshot(path=self._screenshots / f"{name}.png", full_page=whole)

    @property
    def is_too_wide(self) -> bool:
        """Whether one has to scroll sideways."""
        script = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(self.page.evaluate(script))
