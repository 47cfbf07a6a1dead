from __future__ import annotations

import socket

import pytest

from annotator.core.errors import UsageError
from annotator.review.serve import ListenAddress, listen, reaches_others


def test_port_nought_takes_a_free_one() -> None:
    one, here = listen("127.0.0.1", 0)
    other, there = listen("localhost", 0)
    with one, other:
        assert here.port != there.port and here.port > 0
        assert here.is_here and there.is_here
        # Else asyncio leaves Nagle's algorithm on, and each answer takes 40 ms more.
        assert one.proto == other.proto == socket.IPPROTO_TCP
        with socket.create_connection(("127.0.0.1", here.port), timeout=60):
            pass


@pytest.mark.parametrize(
    ("host", "others"),
    [("127.0.0.1", False), ("127.0.0.5", False), ("localhost", False), ("0.0.0.0", True)],
)
def test_who_can_reach_a_host(host: str, others: bool) -> None:
    assert reaches_others(host) == others


def test_hosts_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no such host\.invalid"):
        reaches_others("no such host.invalid")
    with pytest.raises(UsageError, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("place", "url", "others"),
    [
        (ListenAddress("localhost", "127.0.0.1", 8), "http://127.0.0.1:8/", "http://localhost:8/"),
        (ListenAddress("::1", "::1", 8), "http://[::1]:8/", "http://[::1]:8/"),
        (ListenAddress("lab", "10.0.0.7", 8), "http://10.0.0.7:8/", "http://lab:8/"),
        (ListenAddress("0.0.0.0", "0.0.0.0", 8), "http://127.0.0.1:8/", None),
        (ListenAddress("::", "::", 8), "http://[::1]:8/", None),
    ],
)
def test_addresses_for_oneself_and_for_others(
    place: ListenAddress, url: str, others: str | None
) -> None:
    assert place.url() == url
    assert place.url_for_others() == (others or f"http://{socket.gethostname()}:8/")


def test_only_names_of_this_machine_are_ours() -> None:
    assert ListenAddress("127.0.0.1", "127.0.0.1", 8).names() == {"localhost", "127.0.0.1", "::1"}
    shared = ListenAddress("Lab.Example", "10.0.0.7", 8).names()
    assert {"lab.example", "10.0.0.7", "localhost", socket.gethostname().lower()} <= shared
