"""A small application to see the plugin in: ``flask --app demo run --debug``."""

from __future__ import annotations

from flask import Flask, render_template_string
from flask_pluginkit import PluginManager

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Demo</title>
<nav>{% raw %}{{ emit_tep("nav") }}{% endraw %}</nav>
<h1>Demo</h1>
<ul>
{% raw -%}
{% for plugin in plugins %}
  <li>{{ plugin.name }} {{ plugin.version }}: {{ plugin.status.value }} {{ plugin.reason }}</li>
{% endfor %}
{% endraw %}
</ul>
</html>
"""

app = Flask(__name__)
manager = PluginManager(app, stpl=True, plugin_paths=["src"])


@app.get("/")
def index() -> str:
    """Show what plugins add, and whether they run."""
    return render_template_string(PAGE, plugins=manager.plugins)
