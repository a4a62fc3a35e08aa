"""What the plugin adds to an application. The fixtures come with Flask-PluginKit."""

from __future__ import annotations

{% if cookiecutter.isolated_ready %}
import pytest
{% endif %}
from flask import Flask, render_template_string
{% if cookiecutter.views or cookiecutter.hooks or cookiecutter.static %}
from flask.testing import FlaskClient
{% endif %}
{% if cookiecutter.tep %}
from flask_pluginkit import PluginManager
{% endif %}
{% if cookiecutter.isolated_ready %}

at_every_level = pytest.mark.usefixtures("isolation_level")
{% endif %}


{% if cookiecutter.isolated_ready %}
@at_every_level
{% endif %}
def test_templates_can_greet(plugin_app: Flask) -> None:
    """The filter greets whom it is given."""
    source = "{% raw %}{{ 'Ada' | {% endraw %}{{ cookiecutter.name }}{% raw %}_greeting }}{% endraw %}"
    with plugin_app.test_request_context():
        assert render_template_string(source) == "Hello, Ada!"
{% if cookiecutter.views %}


{% if cookiecutter.isolated_ready %}
@at_every_level
{% endif %}
def test_the_page_greets(plugin_client: FlaskClient) -> None:
    """It is found below the plugin's name, and a name that is markup is shown as text."""
    assert "Hello, world!" in plugin_client.get("/{{ cookiecutter.name }}/").text
    page = plugin_client.get("/{{ cookiecutter.name }}/?name=<b>").text
    assert "Hello, &lt;b&gt;!" in page
{% endif %}
{% if cookiecutter.tep %}


{% if cookiecutter.isolated_ready %}
@at_every_level
{% endif %}
def test_the_slot_is_filled(plugin_app: Flask, plugin_manager: PluginManager) -> None:
    """The navigation of the application has {{ "a link to the page" if cookiecutter.views else "the greeting" }}."""
    with plugin_app.test_request_context():
        shown = plugin_manager.emit_tep("nav")
{% if cookiecutter.views %}
    assert 'href="/{{ cookiecutter.name }}/"' in shown
{% else %}
    assert "Hello, world!" in shown
{% endif %}
{% endif %}
{% if cookiecutter.hooks %}


{% if cookiecutter.isolated_ready %}
@at_every_level
{% endif %}
def test_responses_are_signed(plugin_client: FlaskClient) -> None:
    """Also those that aren't the plugin's own."""
    assert "X-Plugin-{{ cookiecutter.__title }}-Version" in plugin_client.get("/").headers
{% endif %}
{% if cookiecutter.static %}


{% if cookiecutter.isolated_ready %}
@at_every_level
{% endif %}
def test_the_icon_is_served(plugin_client: FlaskClient) -> None:
    """As an image."""
    with plugin_client.get("/assets/{{ cookiecutter.name }}/icon.svg") as answer:
        assert answer.mimetype == "image/svg+xml"
{% endif %}
{% if cookiecutter.cli %}


def test_the_command_greets(plugin_app: Flask) -> None:
    """In the terminal{{ "; where the plugin is isolated there is no command" if cookiecutter.isolated_ready else "" }}."""
    runner = plugin_app.test_cli_runner()
    done = runner.invoke(args=["{{ cookiecutter.name }}", "greet", "Ada"])
    assert done.output == "Hello, Ada!\n"
{% endif %}
