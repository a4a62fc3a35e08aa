"""What a browser makes of an isolated plugin's pages, and of its parts of the site's pages."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from browsers import Watched
from guests import GUEST, GUEST_FILES, SITE, files_of
from isolated import USERS, forget_environment, site_folder
from playwright.sync_api import Error
from visitors import Visited, build, visited

PAGE = """<!doctype html>
<html lang="en"><head><title>the site's own page</title></head>
<body><nav>{{ emit_tep("hostile") }}</nav>
<main id="content"><h1>the site's own</h1>
<p title='{{ emit_tep("hostile") }}' id="quoted">{{ emit_tep("nav") }} {{ "ada"|shout }}</p></main>
<footer id="end">the end</footer></body></html>"""

SHAPE = """() => ({
    title: document.title,
    inner: [...document.body.children].map(one => one.tagName),
    main: [...document.getElementById("content").children].map(one => one.tagName),
    display: getComputedStyle(document.querySelector("main")).display,
    odd: document.querySelectorAll("body script, iframe, style, svg, form, input, img").length,
    attributes: [...document.querySelectorAll("nav *")].flatMap(
        one => [...one.attributes].map(each => each.name)),
    quoted: [...document.getElementById("quoted").attributes].map(one => one.name),
    ids: document.querySelectorAll("[id=content]").length,
    bold: document.querySelector("nav .guest-bold").textContent,
})"""


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    yield
    forget_environment()


@pytest.fixture(scope="module", params=USERS)
def site(request: pytest.FixtureRequest) -> Iterator[Visited]:
    """A site with one plugin, which nobody trusts."""
    with site_folder(request.param) as folder:
        build(folder, {"site_host.py": SITE, **files_of("guest", GUEST, more=GUEST_FILES)})
        with visited(folder, request.param, {"isolation": "isolated"}) as found:
            yield found


def test_a_page_of_the_plugins_is_another_site_to_the_browser(
    site: Visited, desktop: Watched
) -> None:
    """No origin, no cookies, no scripts; its styles and pictures load, and forms come back."""
    page = desktop.page
    page.goto(f"{site.url}/cookie")
    page.goto(f"{site.url}/guest/")
    assert page.title() == "the guest"
    assert page.evaluate("self.origin") == "null"
    with pytest.raises(Error, match="sandboxed"):
        page.evaluate("document.cookie")
    heading = page.get_by_role("heading", name="hello from a sandbox")
    assert heading.evaluate("one => getComputedStyle(one).color") == "rgb(10, 120, 60)"
    assert page.get_by_alt_text("a dot").evaluate("one => one.naturalWidth") == 40
    desktop.screenshot(f"plugin-{site.user}")
    page.get_by_label("Word").fill("äö <b>")
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/guest/form")
    assert page.get_by_text("äö <b>").is_visible()
    assert page.evaluate("self.origin") == "null"
    # the browser's word about scripts that it didn't run, those of Playwright among them
    [blocked] = {*desktop.errors}
    assert "Blocked script execution" in blocked
    desktop.errors.clear()


def test_a_hostile_part_leaves_the_sites_page_as_it_is(site: Visited, desktop: Watched) -> None:
    """No script, style or frame of it, no end tag closes the site's, no address but a link's."""
    page = desktop.page
    page.goto(f"{site.url}/cookie")
    page.goto(f"{site.url}/page?{urlencode({'source': PAGE})}")
    shape = page.evaluate(SHAPE)
    assert shape["inner"] == ["NAV", "MAIN", "FOOTER"]
    assert shape["main"] == ["H1", "P"]
    assert shape["display"] == "block"
    assert shape["bold"] == "a part of the guest's"
    assert shape["odd"] <= 1  # a picture without an address
    assert {*shape["attributes"]} <= {"class", "id", "rel", "alt"}
    assert shape["quoted"] == ["title", "id"]
    assert shape["ids"] == 1
    link = page.locator("#guest-link")
    assert link.first.get_attribute("href") is None
    link.first.click()
    page.get_by_role("link", name="guest 42").click()
    page.wait_for_url("**/guest/")
    page.go_back()
    assert page.title() == "the site's own page"
    assert page.get_by_text("ADA!").is_visible()
    assert page.evaluate("document.cookie") == "session=the-site's"
    desktop.screenshot(f"host-{site.user}")
    desktop.errors.clear()  # of the plugin's page, see above
