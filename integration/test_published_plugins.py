"""Plugins for 3.x from the package index run unchanged, under gunicorn."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import redis
import requests
from flask import Flask, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import RSAKey
from servers import free_port, gunicorn, redis_server
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

HOST = """
import os
from flask import Flask, g, session
from flask_pluginkit import PluginManager

app = Flask(__name__)
app.secret_key = "only for tests"
app.config.update(
    PLUGINKIT_ACCESSCOUNT_REDIS_URL=os.environ["REDIS_URL"],
    PLUGINKIT_ACCESSCOUNT_FLUSH_TIMES=1,
    PASSPORTD_OIDC_SERVER_METADATA_URL=os.environ["ISSUER"] + "/.well-known/openid-configuration",
    PASSPORTD_OIDC_CLIENT_ID="board",
    PASSPORTD_OIDC_CLIENT_SECRET="secret",
    PASSPORTD_OIDC_REDIS_URL=os.environ["REDIS_URL"],
)
manager = PluginManager(
    app,
    stpl=True,
    plugin_packages=["flask_pluginkit_oidc", "flask_pluginkit_accesscount"],
    strict=True,
)


@app.route("/")
def index():
    return {"user": session.get("user"), "plugins": [p.status.value for p in manager.plugins]}


@app.route("/profile-link")
def profile_link():
    return manager.emit_tep("passportd_oidc_user_endpoint")
"""


class Provider:
    """An OpenID provider with one user, who is signed in already."""

    def __init__(self) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}, private=True)
        self.nonces: dict[str, str] = {}
        app = Flask("provider")
        app.add_url_rule("/.well-known/openid-configuration", view_func=self.metadata)
        app.add_url_rule("/authorize", view_func=self.authorize)
        app.add_url_rule("/token", view_func=self.token, methods=["POST"])
        app.add_url_rule("/keys", view_func=self.keys)
        self.server = make_server("127.0.0.1", self.port, app, threaded=True)

    def metadata(self) -> Any:
        """What a client reads first."""
        return jsonify(
            issuer=self.issuer,
            authorization_endpoint=f"{self.issuer}/authorize",
            token_endpoint=f"{self.issuer}/token",
            jwks_uri=f"{self.issuer}/keys",
            id_token_signing_alg_values_supported=["RS256"],
        )

    def authorize(self) -> Response:
        """Sends the browser back with a code."""
        state, code = request.args["state"], f"code-{len(self.nonces)}"
        self.nonces[code] = request.args["nonce"]
        query = urlencode({"code": code, "state": state})
        return redirect(f"{request.args['redirect_uri']}?{query}")

    def token(self) -> Any:
        """Gives a signed identity for a code."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "7",
            "aud": "board",
            "iat": now,
            "exp": now + 60,
            "nonce": self.nonces[request.form["code"]],
            "name": "Ada",
        }
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)
        return jsonify(access_token="opaque", token_type="Bearer", id_token=token, expires_in=60)

    def keys(self) -> Any:
        """What signatures are verified with."""
        return jsonify(keys=[self.key.as_dict(private=False)])


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """A provider that answers on the loopback address."""
    made = Provider()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        thread.join()
        made.server.server_close()


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, provider: Provider, redis_url: str
) -> Iterator[str]:
    """The address of a host application with both plugins, in two workers."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "host.py").write_text(HOST, encoding="utf-8")
    environment = {
        **os.environ,
        "REDIS_URL": redis_url,
        "ISSUER": provider.issuer,
        "PYTHONPATH": str(folder),
    }
    with gunicorn(folder, "host:app", env=environment) as address:
        yield address


def test_both_plugins_are_active(site: str) -> None:
    """Nothing of the two plugins is refused by this version."""
    assert requests.get(site, timeout=10).json()["plugins"] == ["active", "active"]


def test_oidc_signs_a_user_in(site: str, provider: Provider) -> None:
    """The whole way: to the provider, back with a code, the token verified, the page asked for."""
    browser = requests.Session()
    start = browser.get(f"{site}/oauth2/passportd/login?next=/?x=1", timeout=10)
    assert [urlsplit(answer.url).path for answer in start.history] == [
        "/oauth2/passportd/login",
        "/authorize",
        "/oauth2/passportd/authorized",
    ]
    assert parse_qs(urlsplit(start.url).query) == {"x": ["1"]}
    assert browser.get(site, timeout=10).json()["user"]["name"] == "Ada"


def test_oidc_offers_its_link_as_a_tep(site: str) -> None:
    """The plugin's tep, which is code, is rendered by the host."""
    assert requests.get(f"{site}/profile-link", timeout=10).text == "/oauth2/passportd/profile"


def test_oidc_reads_its_provider_when_the_application_is_ready(
    site: str, provider: Provider
) -> None:
    """``on_app_ready`` initialised the client: the profile leads to the issuer."""
    answer = requests.get(f"{site}/oauth2/passportd/profile", timeout=10, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, provider.issuer)


def test_accesscount_counts_into_redis(site: str, redis_url: str) -> None:
    """Its after_request hook counts each page view of both workers in the real Redis."""
    key = "pluginkit:AccessCount:pv:hash"
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        today = dt.datetime.now().strftime("%Y%m%d")  # noqa: DTZ005 - as the plugin does
        before = int(connection.hget(key, today) or 0)
        for _ in range(5):
            requests.get(site, timeout=10)
        assert int(connection.hget(key, today) or 0) == before + 5
        endpoints = connection.hgetall("pluginkit:AccessCount:endpoint:hash")
    assert endpoints[f"{today}:index"]


def test_accesscount_shows_its_statistics(site: str) -> None:
    """Its view function answers as JSON."""
    answer = requests.get(f"{site}/_internal/access_count_stats", timeout=10)
    assert answer.status_code == 200
    assert isinstance(answer.json(), dict)
