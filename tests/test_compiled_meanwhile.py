"""A page that is compiled while plugins are switched is as good as any other."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

from flask import render_template
from hosts import Host, clean_imports, host
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

__all__ = ["clean_imports", "host"]


class Slow(BytecodeCache):
    """Stands for time that passes between compiling a page and keeping it."""

    def __init__(self) -> None:
        self.is_compiled = Event()
        self.goes_on = Event()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Know nothing."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Wait."""
        self.is_compiled.set()
        assert self.goes_on.wait(10)


def rendered_meanwhile(host: Host, text: str, switch: Callable[[], object]) -> str:
    """Load a page for the first time while `switch` runs, and return what it shows then."""
    slow = Slow()
    host.template("page", text)
    host.app.jinja_env.bytecode_cache = slow

    def render() -> str:
        with host.app.app_context():
            return render_template("page")

    thread = Thread(target=render)
    thread.start()
    assert slow.is_compiled.wait(10)
    switch()
    slow.goes_on.set()
    thread.join()
    return render()


def test_a_page_loaded_while_the_first_global_comes_has_it(host: Host) -> None:
    """Jinja keeps the page, and with it the globals that it was loaded with."""
    host.plugin("a", "def register():\n    return {'global': {'year': 2000}}\n", state="disabled")
    host.start(live=False)
    host.get("/")
    assert rendered_meanwhile(host, "{{ year }}", lambda: host.pm.enable_plugin("a")) == "2000"
    host.pm.disable_plugin("a")
    with host.app.app_context():
        assert render_template("page") == ""


def test_a_page_loaded_while_a_filter_comes_calls_it_in_its_form(host: Host) -> None:
    """Jinja bakes into the page whether a filter wants the context."""
    body = """
from jinja2 import pass_context

@pass_context
def where(context, value):
    return f"{value} in {context.name}"

def register():
    return {"filter": {"where": where}}
"""
    host.plugin("a", body, state="disabled")
    host.start(live=False)
    host.get("/")
    text = "{% if 'where' is filter %}{{ 'here'|where }}{% endif %}"
    switched = rendered_meanwhile(host, text, lambda: host.pm.enable_plugin("a"))
    assert switched == "here in page"
