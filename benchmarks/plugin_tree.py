"""Write N plugins, and the host's page that shows them, into a folder.

The plugins are written for Flask-PluginKit 3.x, in a folder ``plugins`` that can be imported,
so that 3.12.1, this version and hand-written Flask all load the very same modules.
"""

from __future__ import annotations

import compileall
from pathlib import Path
from string import Template

SLOT_PARTS = 10
"""Plugins that contribute to one template slot."""
PAGE_SLOTS = 10
"""Slots that the host's page emits."""
ASSET = "site.css"
"""The static file of each plugin, about 5 KB."""

_MODULE = Template('''"""Plugin $name of a benchmark."""

from flask import Blueprint

__plugin_name__ = "$name"
__version__ = "1.0.0"
__author__ = "benchmark"

pages = Blueprint("$name", __name__)


@pages.route("/")
def index():
    return "index of $name"


def about():
    return "about $name"


def before_hook():
    return None


def after_hook(response):
    return response


def teardown_hook(error):
    return None


def mark(text):
    return f"*{text}*"


def counter():
    return "<b>$name</b>"


def register():
    return {
        "tep": {"file_$slot": "$order@$name/part.html", "code_$slot": """$order@$code"""},
        "bep": {"blueprint": pages, "prefix": "/$name"},
        "vep": {"rule": "/about/$name", "view_func": about, "endpoint": "about_$name"},
        "filter": {"mark_$name": mark},
        "tcp": {"note_$name": "note of $name"},$hooks
    }
''')

_HOOKS = """
        "hep": {
            "before_request": before_hook,
            "after_request": after_hook,
            "teardown_request": teardown_hook,
        },"""

_CODE = Template('<li class="$name"><a href="/$name/">{{ title }}</a> {{ note_$name }}</li>')

_FILE = Template('<li class="$name"><b>{{ title | mark_$name }}</b> {{ note_$name }}</li>')


def plugin_name(index: int) -> str:
    """The name, and package, of plugin number `index` (from 0)."""
    return f"p{index:04d}"


def slot_name(kind: str, index: int) -> str:
    """The slot that plugin number `index` contributes to; `kind` is ``code`` or ``file``."""
    return f"{kind}_{index // SLOT_PARTS}"


def write_tree(root: Path, count: int, *, hooks: bool) -> None:
    """Write `count` plugins and the host's templates below the new folder `root`.

    The modules are compiled as well, so that the first contender doesn't pay for the rest.
    """
    plugins = root / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "__init__.py").write_text("", encoding="utf-8")
    for index in range(count):
        _write_plugin(plugins / plugin_name(index), index, hooks=hooks)
    templates = root / "templates"
    templates.mkdir()
    (templates / "page.html").write_text(_page(count), encoding="utf-8")
    compileall.compile_dir(str(plugins), quiet=2, maxlevels=1)


def _write_plugin(folder: Path, index: int, *, hooks: bool) -> None:
    """One plugin: two teps, a blueprint, a vep, a filter, a tcp, a dcp, three hooks if wanted."""
    name = plugin_name(index)
    templates = folder / "templates" / name
    static = folder / "static"
    templates.mkdir(parents=True)
    static.mkdir()
    source = _MODULE.substitute(
        name=name,
        slot=index // SLOT_PARTS,
        order=f"{index:04d}",
        code=_CODE.substitute(name=name),
        hooks=_HOOKS if hooks else "",
    )
    (folder / "__init__.py").write_text(source, encoding="utf-8")
    (templates / "part.html").write_text(_FILE.substitute(name=name), encoding="utf-8")
    rule = f".{name} a:hover {{ color: #345; text-decoration: underline; }}\n"
    (static / ASSET).write_text(rule * 80, encoding="utf-8")


def _page(count: int) -> str:
    """The host's page, which emits one slot after the other."""
    slots = min(PAGE_SLOTS, -(-count // SLOT_PARTS))
    emits = "\n".join(
        f'<ul>{{{{ emit_tep("code_{slot}", title="fish & chips") }}}}</ul>' for slot in range(slots)
    )
    return f"<!doctype html>\n<title>Page</title>\n{emits}\n"
