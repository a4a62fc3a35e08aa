"""What Prometheus is told, read back with its own parser."""

from __future__ import annotations

import os
import sys

import pytest
from flask import Flask
from hosts import Host, clean_imports, host
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from flask_pluginkit import PluginManager
from flask_pluginkit.exceptions import MissingExtraError
from flask_pluginkit.metrics import PluginCollector, metrics_view

__all__ = ["clean_imports", "host"]

BODY = """
from flask import request

def view():
    return {"good": "fine"}[request.path.strip("/")]

def register():
    return {"vep": [{"rule": "/<any(good, bad):way>", "view_func": lambda way: view()}]}
"""


def scrape(app: Flask, path: str = "/metrics") -> dict[str, Metric]:
    """The families that the application tells, by name."""
    response = app.test_client().get(path)
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain; version=")
    text = response.get_data(as_text=True)
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(family: Metric, **labels: str) -> list[float]:
    """The values of the samples with at least these labels."""
    return [sample.value for sample in family.samples if labels.items() <= sample.labels.items()]


@pytest.fixture
def site(host: Host) -> Host:
    """An application with one good and one disabled plugin, and its metrics mounted."""
    host.plugin("hello", BODY, version="1.2.3")
    host.plugin("shop", BODY, state="disabled")
    host.start(strict=False)
    host.app.add_url_rule("/metrics", view_func=metrics_view(host.pm))
    return host


def test_calls_faults_and_times_are_told_by_plugin_and_point(site: Host) -> None:
    """As they are counted, in the units and with the names that Prometheus recommends."""
    for path in ("/good", "/good", "/bad"):
        site.open(path)
    found = scrape(site.app)
    (point,) = site.row("hello").counts
    labels = {"plugin": "hello", "point": point, "worker": str(os.getpid())}
    assert values(found["flask_pluginkit_calls"], **labels) == [3.0]
    assert values(found["flask_pluginkit_errors"], **labels) == [1.0]
    ((total, slowest),) = site.row("hello").times.values()
    assert values(found["flask_pluginkit_seconds"], **labels) == [total]
    assert values(found["flask_pluginkit_slowest_seconds"], **labels) == [slowest]
    assert 0 < slowest <= total


def test_counters_and_gauges_have_their_types_and_help(site: Host) -> None:
    """What only grows is a counter, and its samples end in _total."""
    site.open("/good")
    found = scrape(site.app)
    assert {name: family.type for name, family in found.items()} == {
        "flask_pluginkit_generation": "gauge",
        "flask_pluginkit_plugin_status_info": "gauge",  # as this format writes an info
        "flask_pluginkit_calls": "counter",
        "flask_pluginkit_errors": "counter",
        "flask_pluginkit_seconds": "counter",
        "flask_pluginkit_slowest_seconds": "gauge",
    }
    assert all(family.documentation for family in found.values())
    (sample,) = found["flask_pluginkit_calls"].samples
    assert sample.name == "flask_pluginkit_calls_total"


def test_every_plugin_has_its_status(site: Host) -> None:
    """Also those that aren't active; an alert asks for a status."""
    found = scrape(site.app)["flask_pluginkit_plugin_status_info"]
    assert values(found, plugin="hello", status="active", version="1.2.3") == [1.0]
    assert values(found, plugin="shop", status="disabled") == [1.0]
    assert len(found.samples) == 2


def test_the_generation_is_that_of_the_snapshot(site: Host) -> None:
    """So that a worker that stays behind can be seen."""
    found = scrape(site.app)["flask_pluginkit_generation"]
    with site.app.app_context():
        assert values(found) == [site.pm.snapshot.generation]


def test_a_worker_may_have_a_name(site: Host) -> None:
    """One that outlives its process keeps the number of series down."""
    site.open("/good")
    site.app.view_functions["named"] = metrics_view(site.pm, worker="web-1")
    site.app.view_functions["pluginkit_metrics"] = site.app.view_functions["named"]
    for family in scrape(site.app).values():
        assert {sample.labels["worker"] for sample in family.samples} == {"web-1"}


def test_the_number_of_the_process_is_read_at_each_scrape(
    site: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that is made before a fork serves in many processes."""
    monkeypatch.setattr("flask_pluginkit.metrics.os.getpid", lambda: 77)
    assert values(scrape(site.app)["flask_pluginkit_generation"], worker="77")


def test_names_with_quotes_and_line_ends_stay_one_label(site: Host) -> None:
    """Whatever is in a text, it is one label and no new line."""
    odd = 'a"b\\c\nd 1'
    site.app.view_functions["pluginkit_metrics"] = metrics_view(site.pm, worker=odd)
    family = scrape(site.app)["flask_pluginkit_generation"]
    assert [sample.labels["worker"] for sample in family.samples] == [odd]


def test_a_registry_of_the_host_may_take_the_collector(site: Host) -> None:
    """Registering asks for nothing, so that it may be done before there is an application."""
    registry = CollectorRegistry(auto_describe=True)  # as the one that prometheus_client has
    registry.register(PluginCollector(PluginManager()))
    own = CollectorRegistry()
    own.register(PluginCollector(site.pm, worker="1"))
    assert own.get_sample_value("flask_pluginkit_generation", {"worker": "1"}) is not None


def test_several_applications_tell_of_their_own_plugins(site: Host) -> None:
    """One manager may have many: the one that is asked counts."""
    elsewhere = str(site.folder / "elsewhere")
    second = Flask("second", root_path=elsewhere, instance_path=elsewhere)
    site.pm.init_app(second)
    second.add_url_rule("/metrics", view_func=metrics_view(site.pm))
    assert scrape(second)["flask_pluginkit_plugin_status_info"].samples == []
    assert len(scrape(site.app)["flask_pluginkit_plugin_status_info"].samples) == 2


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the view is made, so that a start tells it and not the first scrape."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtraError, match=r"Flask-PluginKit\[metrics\]"):
        metrics_view(PluginManager())
