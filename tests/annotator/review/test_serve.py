"""The server as a process: it begins, is ended, is killed, and begins again."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from support.fake_session import IDS, FakeSession

from annotator.core.errors import UsageError
from annotator.review.access import Access
from annotator.review.serve import (
    ListenAddress,
    ReviewOptions,
    asked_password,
    can_browse,
    greeting,
    make_access,
    serve,
)

PASSWORD = "correct horse"


@contextmanager
def served(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that serves, and the address that it printed."""
    process = subprocess.Popen(
        [sys.executable, Path(__file__).parents[2] / "support" / "serve_fake.py", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CONFIG_HOME": str(home)},
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None, process.communicate()
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def come_in(client: httpx.Client, address: str) -> str:
    """Open the printed address; the value that acts need."""
    # The address is printed a moment before the server answers.
    page = client.get(address, follow_redirects=True)
    found = re.search(r'name="csrf" content="([0-9a-f]+)"', page.text)
    assert found is not None
    return found[1]


@pytest.mark.slow
@pytest.mark.usefixtures("heard_signals")
def test_ctrl_c_ends_it_in_order(tmp_path: Path) -> None:
    with served(tmp_path, "0") as (process, address), httpx.Client(timeout=300) as client:
        come_in(client, address)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=300)
    assert process.returncode == 0
    assert out.splitlines()[-1].startswith("Ended.")
    assert errors == ""


@pytest.mark.slow
@pytest.mark.usefixtures("heard_signals")
def test_the_end_of_its_terminal_ends_it_as_well(tmp_path: Path) -> None:
    with served(tmp_path, "0") as (process, address), httpx.Client(timeout=300) as client:
        come_in(client, address)
        process.send_signal(signal.SIGHUP)
        assert "Ended." in process.communicate(timeout=300)[0]
    assert process.returncode == 0


@pytest.mark.slow
def test_an_open_page_goes_on_when_a_killed_server_is_back(tmp_path: Path) -> None:
    with httpx.Client(timeout=300) as client:
        with served(tmp_path, "0") as (process, address):
            value = come_in(client, address)
            process.kill()
            process.wait(300)
        port = str(httpx.URL(address).port)
        with served(tmp_path, port) as (back, again):
            assert again != address
            answer = client.post(
                httpx.URL(again).copy_with(path="/api/labels", query=None),
                json={"ids": [IDS[0]], "code": "fat"},
                headers={"X-Trephine": value},
            )
            assert answer.status_code == 200
            assert httpx.get(address, timeout=300).status_code == 401
            back.terminate()
            assert back.wait(300) == 0


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=str(port)):
            serve(FakeSession(), ReviewOptions("eva", port=port, browser=False), None, print)


def test_a_name_that_cannot_sign_is_refused_before_anything_is_open() -> None:
    with pytest.raises(UsageError):
        serve(FakeSession(), ReviewOptions("a\nb", browser=False), None, print)


def place(address: str) -> ListenAddress:
    return ListenAddress(address, address, 8000)


def access_of(where: ListenAddress, password: str | None = None) -> Access:
    return make_access(FakeSession(), "eva", where, password)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_on_this_machine_only_the_address_is_said() -> None:
    ours = access_of(place("127.0.0.1"))
    text = "\n".join(greeting(place("127.0.0.1"), ours))
    assert f"http://127.0.0.1:8000/?token={ours.token}" in text
    assert "encrypted" not in text


def test_for_others_it_is_said_what_that_means() -> None:
    ours = access_of(place("0.0.0.0"), PASSWORD)
    lines = greeting(place("0.0.0.0"), ours)
    text = "\n".join(lines)
    assert f"http://127.0.0.1:8000/?token={ours.token}" in text
    assert f"Others open http://{socket.gethostname()}:8000/ " in text
    assert "NOT encrypted" in text and "ssh -L 8000:localhost:8000" in text
    assert PASSWORD not in text
    assert sum(ours.token in line for line in lines) == 1


def test_access_fits_the_place() -> None:
    here, everywhere = access_of(place("127.0.0.1")), access_of(place("0.0.0.0"), PASSWORD)
    assert not here.allows_host("192.168.1.5") and everywhere.allows_host("192.168.1.5")
    assert everywhere.allows_host(f"{socket.gethostname()}:8000")
    assert here.cookie == "trephine-8000"
    assert here.key != everywhere.key


def test_nobody_is_asked_for_a_password_on_this_machine() -> None:
    def ask(question: str) -> str:
        raise AssertionError(question)

    assert asked_password("127.0.0.1", {"TREPHINE_REVIEW_PASSWORD": PASSWORD}, ask) is None
    assert asked_password("localhost", {}, ask) is None


def test_others_need_a_password() -> None:
    assert asked_password("0.0.0.0", {"TREPHINE_REVIEW_PASSWORD": PASSWORD}, None) == PASSWORD
    assert asked_password("0.0.0.0", {}, lambda _: PASSWORD) == PASSWORD
    with pytest.raises(UsageError, match="TREPHINE_REVIEW_PASSWORD"):
        asked_password("0.0.0.0", {}, None)
    with pytest.raises(UsageError, match="TREPHINE_REVIEW_PASSWORD"):
        asked_password("0.0.0.0", {}, lambda _: "")
    with pytest.raises(UsageError, match="8 "):
        asked_password("0.0.0.0", {}, lambda _: "1234567")


def test_a_browser_is_opened_where_there_is_a_screen() -> None:
    assert can_browse({}, "darwin") and can_browse({"WAYLAND_DISPLAY": "w"}, "linux")
    assert not can_browse({"DISPLAY": ""}, "linux")
