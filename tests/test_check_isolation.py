"""What an isolated run would refuse, found by reading the code."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_pages import checked, codes_of, told

HOOK = "def f(*a):\n    return None\n\n\ndef register():\n    return {'hep': {'%s': f}}\n"

NEEDS = [
    (
        ("import requests\nrequests.post(url='https://api.example.org/a')\n"),
        "net:api.example.org:443",
    ),
    ("import requests\nrequests.get('http://[2001:db8::1]:8080/')\n", "net:[2001:db8::1]:8080"),
    ("import requests\nrequests.get('http://a_b/')\n", "net:<host>:<port>"),
    ("import requests\nrequests.get('http://a:99999/')\n", "net:<host>:<port>"),
    ("import requests\nrequests.get('/there')\n", "net:<host>:<port>"),
    ("import socket\nsocket.create_connection(('a.example', 25))\n", "net:<host>:<port>"),
    (HOOK % "teardown_request", "['requests']"),
    (HOOK % "before_request", "['requests', 'requests:answer']"),
    ("__optional__ = True\n" + HOOK % "before_request", "['requests']"),
    ("def register():\n    return {'errhandler': {404: str}}\n", "['requests:answer']"),
    (
        ("def register():\n    return {'vep': {'rule': '/a/<x>', 'view_func': str}}\n"),
        "['routes:/a']",
    ),
    ("def register():\n    return {'vep': {'rule': '/<x>', 'view_func': str}}\n", "['routes:/']"),
    ("def register():\n    return {'tep': {'a': '{{ request.path }}'}}\n", "['requests']"),
    (
        (
            "from flask import Blueprint\nb = Blueprint('b', 'b', url_prefix='/there')\n\n\n"
            "@b.get('/a')\ndef f():\n    return 'a'\n"
        ),
        "['routes:/there']",
    ),
    ("def f(r):\n    r.set_cookie('a', 'b')\n", "['cookies']"),
    ("import os\n\n\ndef f():\n    os.makedirs('a')\n", "['files:16MB']"),
    ("def f():\n    return open('a', 'ab')\n", "['files:16MB']"),
    ("def register():\n    return {'tep': {'a': '<svg></svg>'}}\n", "['html:raw']"),
    (
        ("def register():\n    return {'tep': {'a': \"{{ emit_assets('hello', 'a.css') }}\"}}\n"),
        "['html:raw']",
    ),
]


@pytest.mark.parametrize(("init", "asked"), NEEDS)
def test_the_permission_to_ask_for_is_named(tmp_path: Path, init: str, asked: str) -> None:
    """As it is to be written, where the code tells it."""
    files: dict[str, str | None] = {"hello/static/a.css": ""}
    (finding,) = checked(tmp_path, init, files, isolated=True).findings
    assert asked in finding.message


GRANTED = [
    "__permissions__ = ['routes:/a']\n" + NEEDS[10][0],
    "__permissions__ = ['routes:/']\n" + NEEDS[11][0],
    "__permissions__ = ['requests:answer']\n" + HOOK % "before_request",
    "__permissions__ = ['html:raw']\ndef register():\n    return {'tep': {'a': '<script>'}}\n",
    "__permissions__ = ['net:a.example:25']\n" + NEEDS[5][0],
]


@pytest.mark.parametrize("init", GRANTED)
def test_what_was_asked_for_is_not_told(tmp_path: Path, init: str) -> None:
    """Paths cover what lies below them, and to answer requests is to see them."""
    assert told(tmp_path, init) == []


@pytest.mark.parametrize(
    ("init", "code"),
    [
        (
            (
                "from jinja2 import pass_context\n\n\n@pass_context\ndef f(c, x): ...\n\n\n"
                "def register():\n    return {'filter': {'a': f}}\n"
            ),
            "PK409",
        ),
        ("def register():\n    return {'bep': {'blueprint': b, 'parent': 'admin'}}\n", "PK409"),
        (
            (
                "def f(e): ...\n\n\ndef register():\n"
                "    return {'errhandler': [{'error': KeyError, 'handler': f}]}\n"
            ),
            "PK409",
        ),
        (
            (
                "from flask import request_started\n\n\ndef register():\n"
                "    return {'signal': {request_started: str}}\n"
            ),
            "PK409",
        ),
        (
            (
                "from flask import Blueprint\nb = Blueprint('hello', __name__)\n\n\n"
                "@b.app_url_defaults\ndef f(e, v): ...\n"
            ),
            "PK409",
        ),
        ("import os\n\n\ndef f():\n    os.fork()\n", "PK409"),
        ("import plugins.other\n", "PK410"),
        ("from plugins import other\n", "PK410"),
        ("from .. import other\n", "PK410"),
        (
            ("from flask import current_app\n\n\ndef f():\n    return current_app.extensions\n"),
            "PK410",
        ),
    ],
)
def test_what_can_not_work_is_told(tmp_path: Path, init: str, code: str) -> None:
    """Whatever is permitted."""
    assert told(tmp_path, init, isolated=True) == [code]


def test_templates_of_the_host_are_not_there(tmp_path: Path) -> None:
    """Unless a template can do without."""
    files: dict[str, str | None] = {
        "hello/templates/a.html": "{% extends 'layout.html' %}",
        "hello/templates/b.html": "{% include 'layout.html' ignore missing %}{% include name %}",
        "hello/templates/c.html": "{% extends 'hello:a.html' %}",
    }
    found = checked(tmp_path, "", files, isolated=True).findings
    assert [(one.code, Path(one.path).name) for one in found] == [("PK410", "a.html")]


@pytest.mark.parametrize(
    ("permission", "code"),
    [
        ("storage", ""),
        ("files:1MB", ""),
        ("net:a.example:1", ""),
        (
            "routes:/b",
            ("def register():\n    return {'vep': {'rule': '/hello/a', 'view_func': str}}\n"),
        ),
        ("responses", ""),
        ("cookies", ""),
    ],
)
def test_permissions_that_nothing_needs_are_told(
    tmp_path: Path, permission: str, code: str
) -> None:
    """So that operators have less to read, and nobody more than is needed."""
    assert told(tmp_path, f"__permissions__ = [{permission!r}]\n{code}") == ["PK412"]


@pytest.mark.parametrize(
    "init",
    [
        "import requests\n__permissions__ = ['net:a.example:1']\n",
        "def register():\n    return made()\n\n\n__permissions__ = ['storage']\n",
        "__permissions__ = ['user:email', 'requests']\n",
        "__permissions__ = ['routes:/a']\n" + NEEDS[10][0],
    ],
)
def test_permissions_that_may_be_needed_are_not_told(tmp_path: Path, init: str) -> None:
    """Where code of others, or what can't be seen, may need them."""
    assert "PK412" not in told(tmp_path, init)


def test_a_note_is_a_warning_where_isolation_is_meant(tmp_path: Path) -> None:
    """But for permissions that aren't needed."""
    found = checked(tmp_path, "__permissions__ = ['storage']\n", isolated=True).findings
    assert [(one.code, one.severity) for one in found] == [("PK412", "note")]
    assert codes_of(found) == ["PK412"]
