"""What rules find beside the examples of their pages, and what they must not find."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_pages import checked, codes_of, told

RIGHT = {
    "Markup of either": (
        "from markupsafe import Markup, escape\nfrom flask import render_template\n\n\n"
        "def f(a):\n"
        "    return Markup(escape(a) if a else '-'), Markup(render_template('nav.html'))\n"
        ""
    ),
    "an environment that escapes": "import jinja2\nx = jinja2.Environment(autoescape=True)\n",
    "names of utilities": "from flask_pluginkit.utils import is_match_version_req\n",
    "what was sent, but not as it was": (
        "from flask import Blueprint, request\nbp = Blueprint('hello', __name__)\n\n\n"
        "@bp.get('/')\ndef f(a=None):\n    return 'a' + str(a), f'{a}', '%s' % request.method\n"
    ),
    "a context processor": (
        "from flask import Blueprint\nbp = Blueprint('hello', __name__)\n\n\n"
        "@bp.app_context_processor\ndef f():\n    return {'hello': 1, **{}}\n\n\n"
        "bp.app_context_processor(lambda: {'request': 1})\n"
    ),
    "functions that call each other": (
        "def f(r):\n    return g(r)\n\n\ndef g(r):\n    return f(r)\n\n\n"
        "def register():\n    return {'hep': {'after_request': f}, 'filter': {'a': g}}\n"
    ),
    "code of a slot with an order": "def register():\n    return {'tep': {'a': '10@<b>x</b>'}}\n",
    "a constant Markup": "from markupsafe import Markup\nx = Markup('<b>' '</b>')\n",
    "Markup of a name": "from markupsafe import Markup\nA = '<b>'\nx = Markup(A + '</b>')\n",
    "an empty Markup": "from markupsafe import Markup\nx = Markup()\n",
    "Markup of what was escaped": (
        "from markupsafe import Markup, escape\n\n\ndef f(a):\n"
        "    return Markup(f'<b>{escape(a)}</b>'), Markup(escape(a)), Markup('').join(a)\n"
    ),
    "another Markup": "from other import Markup\n\n\ndef f(a):\n    return Markup(a)\n",
    "a name like a builtin": (
        "def f(open):\n    open('a', 'w')\n\n\ndef register():\n"
        "    return {'hep': {'after_request': f}}\n"
    ),
    "an import that is tried": (
        "try:\n    from flask import Markup\nexcept ImportError:\n    Markup = str\n"
    ),
    "a template of constant text": (
        "from flask import render_template_string as r\nT = 'a'\n\n\ndef f():\n    return r(T)\n"
    ),
    "its own templates by the full name": "",
    "a hook that reads a file": (
        "def f(r):\n    open('a').read()\n    return r\n\n\ndef register():\n"
        "    return {'hep': {'after_request': f}}\n"
    ),
    "a list that is only made": (
        "def f():\n    x = []\n    x.append(1)\n    return x\n\n\ndef register():\n"
        "    return {'dcp': {'a': f}}\n"
    ),
    "a value under a lock": (
        "import threading\nlock = threading.Lock()\nx = {}\n\n\ndef f():\n    with lock:\n"
        "        x['a'] = 1\n\n\ndef register():\n    return {'dcp': {'a': f}}\n"
    ),
    "a value that is made when imported": "x = {}\nx['a'] = 1\nx.update(b=2)\n",
    "a parameter of the name of a module's value": (
        "x = {}\n\n\ndef f(x):\n    x['a'] = 1\n\n\ndef register():\n"
        "    return {'filter': {'a': f}}\n"
    ),
    "dunders of its own": "__oauth2_name__ = 'x'\n__author_contact__ = 'y'\n",
    "words as orders of files": "def register():\n    return {'tep': {'nav': 'first@nav.html'}}\n",
    "files with an @": "def register():\n    return {'tep': {'nav': 'icon@2x.html'}}\n",
    "a mail address in code": (
        "def register():\n    return {'tep': {'nav': 'write to a@example.org'}}\n"
    ),
    "an endpoint of somebody else": (
        "from flask import url_for\n\n\ndef f():\n    return url_for('shop.index')\n"
    ),
    "a converter that makes a number": (
        "from flask import Blueprint, request\nbp = Blueprint('hello', __name__)\n\n\n"
        "@bp.get('/')\ndef f():\n    n = request.args.get('n', 1, type=int)\n    return f'{n}'\n"
    ),
    "the name of a visitor in JSON": (
        "from flask import Blueprint, request\nbp = Blueprint('hello', __name__)\n\n\n"
        "@bp.get('/')\ndef f():\n    return {'name': request.args['n']}\n"
    ),
    ("a kind that is not known to be one"): (
        "KIND = input\n\n\ndef register():\n    return {KIND.__name__: 1}\n"
    ),
}

FILES: dict[str, str | None] = {
    "hello/templates/nav.html": (
        "{% extends 'hello:base.html' %}{% include 'gone.html' ignore missing %}"
    ),
    "hello/templates/base.html": "{% include 'partials/host.html' %}{{ '<b>'|safe }}",
    "hello/templates/icon@2x.html": "{% from 'nav.html' import a %}{% include name %}",
    "hello/templates/mail.txt": "{{ name|safe }}",
    "hello/templates/odd.html": "{% cache 60 %}{{ x }}{% endcache %}",
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_not_reported(tmp_path: Path, name: str) -> None:
    """False alarms cost more than what they find."""
    report = checked(tmp_path, RIGHT[name], FILES)
    assert [str(finding) for finding in report.findings] == []


WRONG = {
    "a view of what is sent, formatted": (
        (
            "from flask import Blueprint, request\nbp = Blueprint('hello', __name__)\n\n\n"
            "@bp.get('/')\ndef f():\n    return 'a {}'.format(request.headers['X'] or 'b')\n"
        ),
        "PK205",
    ),
    "a hook that answers with what is sent": (
        (
            "from flask import request\n\n\ndef f():\n    return 'no ' + request.path\n\n\n"
            "def register():\n    return {'hep': {'before_request': f}}\n"
        ),
        "PK205",
    ),
    "a lambda that shows what is sent": (
        (
            "from flask import request\n\n\ndef register():\n"
            "    return {'vep': {'rule': '/hello/x', "
            "'view_func': lambda: f'{request.url}'}}\n"
        ),
        "PK205",
    ),
    "an item that is deleted": (
        (
            "x = {'a': {}}\n\n\ndef f():\n    del x['a']['b']\n\n\n"
            "def register():\n    return {'dcp': {'a': f}}\n"
        ),
        "PK302",
    ),
    "a set that a function of a function changes": (
        (
            "x = set()\n\n\ndef g():\n    x.add(1)\n\n\ndef f():\n    g()\n\n\n"
            "def register():\n    return {'dcp': {'a': f}}\n"
        ),
        "PK302",
    ),
    "a bridge between Pythons": ("from flask_pluginkit._compat import string_types\n", "PK602"),
    "a future that is past": ("from __future__ import print_function\n", "PK605"),
    "a plugin of 2.x": ("def getPluginClass():\n    return None\n", "PK601"),
    "a module that is gone": ("import flask.ext.login\n", "PK601"),
    "Markup by its module": (
        "import markupsafe as m\n\n\ndef f(a):\n    return m.Markup(a)\n",
        "PK201",
    ),
    "Markup that is handed on": (
        "from .safe import Markup\n\n\ndef f(a):\n    return Markup(a)\n",
        "PK201",
    ),
    "Markup of a part that isn't escaped": (
        (
            "from markupsafe import Markup, escape\n\n\ndef f(a, b):\n"
            "    return Markup(f'{escape(a)}{b}')\n"
        ),
        "PK201",
    ),
    "an environment of its own": ("import jinja2\nx = jinja2.Environment()\n", "PK203"),
    "a template of a visitor's": (
        (
            "from jinja2 import Template\nfrom flask import request\n\n\ndef f():\n"
            "    return Template(request.args['t'])\n"
        ),
        "PK204",
    ),
    "a key that is misspelt": ("def register():\n    return {'teps': {}}\n", "PK101"),
    "a hook that there isn't": ("def register():\n    return {'hep': {'before': str}}\n", "PK101"),
    "a kind of p3 that there isn't": (
        "def register():\n    return {'p3': {'a': {'p3': str}}}\n",
        "PK101",
    ),
    "an order that is a fraction": (
        "def register():\n    return {'tep': {'nav': '1.5@nav.html'}}\n",
        "PK102",
    ),
    "an order that is too long": (
        "def register():\n    return {'tep': {'nav': '1234567890@nav.html'}}\n",
        "PK102",
    ),
    "a word before code": (
        "def register():\n    return {'tep': {'nav': 'first@<b>a</b>'}}\n",
        "PK102",
    ),
    "code that reads like a mail address": (
        "def register():\n    return {'tep': {'nav': '10@nav.item'}}\n",
        "PK102",
    ),
    "a file with another ending": (
        "def register():\n    return {'tep': {'nav': '10@nav.tpl'}}\n",
        "PK102",
    ),
    "an endpoint of Flask's": (
        (
            "def register():\n"
            "    return {'vep': {'rule': '/a', 'view_func': str, 'endpoint': 'static'}}\n"
            ""
        ),
        "PK108",
    ),
    "a context processor": (
        (
            "from flask import Blueprint\nbp = Blueprint('hello', __name__)\n\n\n"
            "@bp.app_context_processor\n"
            "def f():\n    return {'request': 1}\n"
        ),
        "PK108",
    ),
    "a test of Jinja's": ("def register():\n    return {'test': {'even': str}}\n", "PK108"),
    "an HTTP request in a hook": (
        (
            "import requests\n\n\ndef f(r):\n    requests.get('http://a.example')\n"
            "    return r\n\n\n"
            "def register():\n    return {'hep': {'after_request': f}}\n"
        ),
        "PK301",
    ),
    "a file written in a hook": (
        (
            "def f(r):\n    open('log', mode='a').write('x')\n    return r\n\n\n"
            "def register():\n    return {'hep': {'after_request': f}}\n"
        ),
        "PK301",
    ),
    "a global that is counted up": (
        (
            "n = 0\n\n\ndef f():\n    global n\n    n += 1\n\n\ndef register():\n"
            "    return {'dcp': {'a': f}}\n"
        ),
        "PK302",
    ),
    "a list that grows": (
        (
            "seen = []\n\n\ndef f(a):\n    seen.append(a)\n    return a\n\n\n"
            "def register():\n    return {'filter': {'a': f}}\n"
        ),
        "PK302",
    ),
    "an attribute that is gone": (
        "import flask\n\n\ndef f(a):\n    return flask.escape(a)\n",
        "PK601",
    ),
    "a hook that is gone": (
        (
            "from flask import Blueprint\nbp = Blueprint('hello', __name__)\n"
            "bp.before_app_first_request(str)\n"
        ),
        "PK601",
    ),
    "an extension of old": ("from flask.ext.login import current_user\n", "PK601"),
    "what a visitor sent, joined": (
        (
            "from flask import Blueprint, request\nbp = Blueprint('hello', __name__)\n\n\n"
            "@bp.get('/')\ndef f():\n    return '<b>%s</b>' % request.form['n'], 404\n"
        ),
        "PK205",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_reported(tmp_path: Path, name: str) -> None:
    """Once, with its code, and nothing else."""
    init, code = WRONG[name]
    files = {**FILES, "hello/safe.py": "from markupsafe import Markup\n"}
    assert told(tmp_path, init, files) == [code]


TEMPLATES = {
    "{% include 'hello:gone.html' %}": "PK104",
    "{% include 'Nav.html' %}": "PK104",
    "{% extends 'bases.html' %}": "PK104",
    "{{ emit_assets('hello', 'gone.css') }}": "PK105",
    "{{ a|upper|safe }}": "PK202",
    "{% filter safe %}{{ a }}{% endfilter %}": None,
    "{% endif %}": "PK107",
    "{% fi a %}": "PK107",
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_are_looked_at(tmp_path: Path, template: str) -> None:
    """In files and in the code of slots alike."""
    files = {**FILES, "hello/templates/page.html": template}
    expected = [TEMPLATES[template]] if TEMPLATES[template] else []
    assert told(tmp_path / "file", "", files) == expected
    init = f"def register():\n    return {{'tep': {{'nav': {template!r}}}}}\n"
    assert told(tmp_path / "code", init, FILES) == expected


def test_the_column_of_a_template_is_told(tmp_path: Path) -> None:
    """Where the word stands."""
    report = checked(tmp_path, "", {"hello/templates/a.html": "<p>\n  {{ word|safe }}"})
    assert [finding.place for finding in report.findings] == [(2, 11)]


def test_references_are_not_judged_where_files_are_missing(tmp_path: Path) -> None:
    """What isn't found may be in what couldn't be read."""
    files: dict[str, str | None] = {"hello/broken.py": "def"}
    init = "from flask import render_template\n\n\ndef f():\n    return render_template('a.html')\n"
    assert told(tmp_path, init, files) == ["PK001"]


ISOLATED = {
    "import requests\nrequests.post('https://api.example.org/a')\n": "PK401",
    "import socket\nsocket.create_connection(('a.example', 25))\n": "PK401",
    "from pathlib import Path\nPath('a').write_bytes(b'')\n": "PK403",
    "import sqlite3\n\n\ndef f():\n    return sqlite3.connect('a.db')\n": "PK403",
    "def f(response):\n    response.set_cookie('a', 'b')\n": "PK406",
    "import subprocess\n\n\ndef f():\n    subprocess.run(['ls'])\n": "PK409",
    "def register():\n    return {'p3': {'a': {'tep': str}}}\n": "PK409",
    "from pluginkit_plugins.other import x\n": "PK410",
    "from .. import other\n": "PK410",
    "def register():\n    return {'tep': {'nav': '<script>1</script>'}}\n": "PK407",
    "def register():\n    return {'tep': {'nav': '<b onclick=\"a()\">a</b>'}}\n": "PK407",
    "def register():\n    return {'errhandler': {404: str}}\n": "PK404",
}


@pytest.mark.parametrize("init", ISOLATED)
def test_what_an_isolated_run_refuses_is_told(tmp_path: Path, init: str) -> None:
    """As far as the code shows it."""
    assert set(told(tmp_path, init, isolated=True)) == {ISOLATED[init]}


@pytest.mark.parametrize(
    ("permission", "code"),
    [
        ("net:api.example.org:443", "urlopen('https://api.example.org/a')"),
        ("net:api.example.org:8080", "urlopen('http://api.example.org:8080')"),
        ("net:api.example.org:443", "urlopen(ADDRESS)"),
    ],
)
def test_connections_that_are_permitted_are_not_told(
    tmp_path: Path, permission: str, code: str
) -> None:
    """To the very host and port; where those aren't known, to any."""
    init = (
        f"__permissions__ = [{permission!r}]\nfrom urllib.request import urlopen\n"
        f"ADDRESS = input\n\n\ndef f():\n    {code}\n"
    )
    assert told(tmp_path, init) == []


def test_a_private_project_is_not_asked_for_what_others_need(tmp_path: Path) -> None:
    """Nobody else will read, trust or change it."""
    files: dict[str, str | None] = {
        "pyproject.toml": (
            '[project]\nname = "hello"\nversion = "1.0.0"\n'
            'classifiers = ["Private :: Do Not Upload"]\n'
        ),
        **dict.fromkeys(("LICENSE", "README.md", "tests/test_hello.py")),
    }
    assert told(tmp_path, "", files) == []


@pytest.mark.parametrize(
    ("project", "plugin", "is_same"),
    [
        ("1.0.0", "1.0.0", True),
        ("1.0.0a1", "1.0.0-alpha.1", True),
        ("1.0.0rc2", "1.0.0-rc.2", True),
        ("1.0.1", "1.0.0", False),
    ],
)
def test_versions_are_compared_across_their_forms(
    tmp_path: Path, project: str, plugin: str, is_same: bool
) -> None:
    """Those of projects follow PEP 440, those of plugins semver."""
    init = f"__plugin_name__ = 'hello'\n__version__ = {plugin!r}\n__author__ = 'A'\n"
    files: dict[str, str | None] = {
        "pyproject.toml": f'[project]\nname = "hello"\nversion = "{project}"\nlicense = "MIT"\n'
    }
    register = "\n\ndef register():\n    return {}\n"
    found = codes_of(checked(tmp_path, init + register, files).findings)
    assert found == ([] if is_same else ["PK010"])


def test_a_plugin_called_like_a_command_gets_none(tmp_path: Path) -> None:
    """Its commands would be those of Flask."""
    init = "__plugin_name__ = 'run'\n__version__ = '1.0.0'\n__author__ = 'A'\n\n\n"
    cli = "def register():\n    return {'cli': input}\n"
    assert codes_of(checked(tmp_path, init + cli, ignore=["PK005"]).findings) == ["PK108"]


def test_an_old_project_has_its_licence_in_setup_py(tmp_path: Path) -> None:
    """It is found there, and where the plugin says it."""
    files: dict[str, str | None] = {
        "setup.py": "setup(license='MIT')",
        "pyproject.toml": None,
        "LICENSE": None,
    }
    assert told(tmp_path, "", files) == ["PK605"]


@pytest.mark.parametrize(
    "line", ['classifiers = ["License :: OSI Approved"]', 'license-files = ["L"]', "license = {}"]
)
def test_each_form_of_a_licence_will_do(tmp_path: Path, line: str) -> None:
    """As the specifications of projects had them over time; an empty one is none."""
    text = f'[project]\nname = "hello"\nversion = "1.0.0"\n{line}\n'
    files: dict[str, str | None] = {"pyproject.toml": text, "LICENSE": None}
    assert told(tmp_path, "", files) == (["PK501"] if line.endswith("{}") else [])
