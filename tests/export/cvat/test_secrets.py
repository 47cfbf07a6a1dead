"""Passwords, tokens and sessions are in no log, no message and no repr."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cvat_ends import IMPATIENT, attempt, copied, push, small_study
from support.cvat_http.faults import ERROR_500
from support.cvat_places import CvatPlace, http_place


@pytest.fixture(autouse=True)
def talkative(caplog: pytest.LogCaptureFixture) -> None:
    """Everything is logged, though the SDK silences some of it."""
    for name in (None, "cvat_sdk", "urllib3.connectionpool", "urllib3.util.retry"):
        caplog.set_level(logging.DEBUG, name)


@pytest.fixture
def place() -> Iterator[CvatPlace]:
    """A server whose background work takes some requests."""
    with http_place(lag=2) as found:
        yield found


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that is never sent; its copies are."""
    return small_study(tmp_path_factory.mktemp("drawn"))


@pytest.mark.slow
def test_no_secret_is_logged_or_said(
    place: CvatPlace, drawn: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong, with everything logged that anybody logs."""
    assert place.http is not None
    place.retries = IMPATIENT
    admin, said = place.http.users["admin"], []
    with copied(drawn, tmp_path / "try") as path:
        for seed in range(6):
            place.http.faults.random(seed, 0.4)
            said.append(attempt(lambda: push(place, path))[1])
        place.http.faults.clear()
        push(place, path)
        admin.password = "another one by now"
        said.append(attempt(lambda: push(place, path))[1])
    server = place.environ["CVAT_PASSWORD"], admin.token or "", *place.http.state.sessions
    texts = [*said, caplog.text, repr(place.retries)]
    assert len([one for one in said if one]) > 2
    assert "POST" in caplog.text, "nothing was logged at all"
    for secret in server:
        assert len(secret) > 10
        assert not [text for text in texts if secret in text]


def test_a_token_is_as_secret_as_a_password(
    place: CvatPlace, drawn: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert place.http is not None
    token = "f" * 39 + "0"
    place.http.users["admin"].token = token
    place.environ = {"CVAT_URL": place.url, "CVAT_TOKEN": token}
    with copied(drawn, tmp_path / "try") as path:
        assert push(place, path).is_complete
        shown = repr(place.connect()), repr(vars(place.connect()))
        place.http.users["admin"].token = None
        _, message = attempt(lambda: push(place, path))
    assert "trephine cvat login" in message
    assert not [text for text in (*shown, message, caplog.text) if token in text]


def test_a_message_is_left_as_it_is_where_there_is_no_secret_in_it(
    place: CvatPlace, drawn: Path, tmp_path: Path
) -> None:
    """One of the cookies of a session says "1", as does the address of the server."""
    assert place.http is not None
    place.retries = IMPATIENT
    with copied(drawn, tmp_path / "try") as path:
        place.http.faults.at({4: ERROR_500})
        _, message = attempt(lambda: push(place, path))
    assert place.url in message
    assert "***" not in message
