"""The proxy of the environment."""

from __future__ import annotations

import socket

import pytest
from support.answering import Asked, Reply, answering

from annotator.core.errors import CvatUnreachable
from export.cvat.client.address import Proxy, proxy_for
from export.cvat.client.rest_server import Token, log_in
from export.cvat.client.retries import RetryPolicy

HASTE = RetryPolicy(timeout_s=60, attempts=2, pause_s=0.0)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy but the one that a test names."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_scheme_and_the_exceptions_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_for("https://cvat.example.org") is None
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example.org:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example.org")
    assert proxy_for("https://cvat.example.org") == Proxy("http://proxy.example.org:3128")
    assert proxy_for("http://cvat.example.org") is None
    assert proxy_for("https://inside.example.org") is None
    for here in ("https://localhost", "https://127.0.0.1:8080", "https://[::1]"):
        assert proxy_for(here) is None


def test_user_and_password_of_a_proxy_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://eva:ge%40heim@proxy.example.org:3128")
    found = proxy_for("https://cvat.example.org")
    assert found is not None
    assert found.url == "http://proxy.example.org:3128"
    assert found.headers == {"proxy-authorization": "Basic ZXZhOmdlQGhlaW0="}
    assert "ZXZh" not in repr(found)


def test_a_server_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(asked: Asked) -> Reply:
        about = asked.path.endswith("about")
        return 200, {}, b'{"version": "2.42.0"}' if about else b'{"username": "eva"}'

    with answering(reply) as (url, seen):
        monkeypatch.setenv("HTTP_PROXY", url.replace("http://", "http://me:pw@"))
        server = log_in("http://cvat.invalid", Token("a" * 40), HASTE).server
    assert server.info.user == "eva"
    assert seen[0].path == "http://cvat.invalid/api/server/about"
    assert seen[0].headers["proxy-authorization"].startswith("Basic ")


def test_a_proxy_that_is_off_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://me:geheim@127.0.0.1:{port}")
    with pytest.raises(CvatUnreachable) as caught:
        log_in("http://cvat.invalid", Token("a" * 40), HASTE)
    assert "geheim" not in str(caught.value)
