"""Which server, and what to log in with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import keyring
import pytest
import typer
from support.answering import Asked, Reply, answering
from support.cvat_http.server import CvatHttp, serving
from support.fake_keyring import FakeRing

from annotator.cli import main
from annotator.cli.cvat_login import register
from annotator.core.errors import CvatError
from annotator.settings.cvat import CvatSettings
from export.cvat.client.credentials import Sources, address, connect, credentials, login
from export.cvat.client.rest_server import Password, Token
from export.cvat.client.retries import RetryPolicy
from export.cvat.client.token_store import SERVICE, TokenStore

URL, OTHER = "https://cvat.example.org", "https://other.example.org"
HASTE = RetryPolicy(timeout_s=60, attempts=2, pause_s=0.0)


class Typist:
    """Gives these answers, and remembers the questions."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.questions: list[tuple[str, bool]] = []

    def __call__(self, question: str, hidden: bool) -> str:
        self.questions.append((question, hidden))
        return self.answers.pop(0)


@pytest.fixture
def http() -> Iterator[CvatHttp]:
    with serving() as running:
        yield running


def sources(tmp_path: Path, person: Typist | None = None, **environ: str) -> Sources:
    return Sources(environ, TokenStore(FakeRing(), tmp_path), person, HASTE)


# The address


def test_the_address_is_the_studys_else_the_environments() -> None:
    assert address(CvatSettings(url=URL), {}) == URL
    assert address(CvatSettings(), {"CVAT_URL": URL + "/tasks"}) == URL
    with pytest.raises(CvatError, match=r"\[cvat\].*CVAT_URL"):
        address(CvatSettings(url=" "), {"CVAT_URL": ""})


def test_another_server_in_the_environment_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert address(CvatSettings(url=URL), {"CVAT_URL": URL + "/api"}) == URL
    assert not caplog.records
    assert address(CvatSettings(url=URL), {"CVAT_URL": OTHER}) == URL
    assert "CVAT_URL" in caplog.text


def test_the_study_says_whether_encryption_may_lack() -> None:
    plain = "http://10.0.0.5"
    with pytest.raises(CvatError, match=r"10\.0\.0\.5"):
        address(CvatSettings(), {"CVAT_URL": plain})
    assert address(CvatSettings(allow_http=True), {"CVAT_URL": plain}) == plain


# The credentials


@pytest.mark.parametrize("name", ["CVAT_TOKEN", "CVAT_ACCESS_TOKEN"])
def test_a_token_of_the_environment_comes_first(tmp_path: Path, name: str) -> None:
    given = sources(tmp_path, CVAT_USER="eva", CVAT_PASSWORD="x", **{name: " abc\n"})
    given.tokens.keep(URL, "kept")
    assert credentials(URL, given) == Token("abc")


@pytest.mark.parametrize("name", ["CVAT_USER", "CVAT_USERNAME"])
def test_then_user_and_password_of_the_environment(tmp_path: Path, name: str) -> None:
    given = sources(tmp_path, CVAT_PASSWORD="a b\n", **{name: "eva"})
    given.tokens.keep(URL, "kept")
    assert credentials(URL, given) == Password("eva", "a b\n")


def test_then_what_was_kept_then_a_person(tmp_path: Path) -> None:
    person = Typist("eva", "x")
    given = sources(tmp_path, person)
    given.tokens.keep(URL, "kept")
    assert credentials(URL, given) == Token("kept")
    assert not person.questions
    given.tokens.forget(URL)
    assert credentials(URL, given) == Password("eva", "x")
    assert [hidden for _, hidden in person.questions] == [False, True]


def test_nobody_to_ask_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CvatError, match=URL):
        credentials(URL, sources(tmp_path))


def test_credentials_for_another_server_are_not_sent(tmp_path: Path) -> None:
    given = sources(tmp_path, CVAT_URL=OTHER, CVAT_TOKEN="abc")
    with pytest.raises(CvatError, match=URL):
        credentials(URL, given)
    assert credentials(OTHER, given) == Token("abc")


@pytest.mark.parametrize("given", [{"CVAT_USER": "eva"}, {"CVAT_PASSWORD": "geheim"}])
def test_half_of_user_and_password_is_named(tmp_path: Path, given: dict[str, str]) -> None:
    with pytest.raises(CvatError, match="CVAT_") as caught:
        credentials(URL, sources(tmp_path, **given))
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("token", ["ge heim", "geheim\r\nX-Header: 1", "gehéim", "   "])
def test_a_token_that_fits_no_header_is_refused_and_not_repeated(
    tmp_path: Path, token: str
) -> None:
    with pytest.raises(CvatError, match="CVAT_TOKEN") as caught:
        credentials(URL, sources(tmp_path, CVAT_TOKEN=token))
    assert "heim" not in str(caught.value)


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    assert "geheim" not in repr(sources(tmp_path, CVAT_TOKEN="geheim"))


# Logging in


def test_connects_with_what_is_known(http: CvatHttp, tmp_path: Path) -> None:
    password = http.users["patho1"].password
    given = sources(tmp_path, CVAT_URL=http.url, CVAT_USER="patho1", CVAT_PASSWORD=password)
    assert connect(CvatSettings(), given).info.user == "patho1"


def test_a_login_keeps_the_token_and_not_the_password(http: CvatHttp, tmp_path: Path) -> None:
    ring, password = FakeRing(), http.users["patho1"].password
    given = Sources({}, TokenStore(ring, tmp_path), Typist("patho1", password), HASTE)
    kept = login(http.url, CvatSettings(), given)
    assert (kept.info.user, kept.place) == ("patho1", "the keyring of this system")
    assert ring.kept == {(SERVICE, http.url): http.users["patho1"].token}
    assert connect(CvatSettings(url=http.url), Sources({}, given.tokens, None, HASTE))


def test_a_login_with_a_token_asks_for_it_hidden(http: CvatHttp, tmp_path: Path) -> None:
    http.users["patho1"].token = "a" * 40
    person = Typist("a" * 40)
    # What stands in the environment is for the commands, not for --token.
    given = sources(tmp_path, person, CVAT_TOKEN="other")
    login(http.url, CvatSettings(), given, token=True)
    assert person.questions == [(f"Token for {http.url}: ", True)]
    assert given.tokens.find(http.url) == "a" * 40


def test_a_login_that_fails_keeps_nothing(http: CvatHttp, tmp_path: Path) -> None:
    given = sources(tmp_path, Typist("patho1", "wrong"))
    with pytest.raises(CvatError, match=http.url):
        login(http.url, CvatSettings(), given)
    assert given.tokens.find(http.url) is None


@pytest.mark.parametrize("key", [b"{}", b'{"key": "unused"}'])
def test_a_server_whose_login_gives_no_token_says_what_to_do(tmp_path: Path, key: bytes) -> None:
    def reply(asked: Asked) -> Reply:
        if asked.path == "/api/server/about":
            return 200, {}, b'{"version": "2.60.0"}'
        if asked.path == "/api/auth/login":
            return 200, {"Set-Cookie": "sessionid=abc"}, key
        good = asked.headers.get("cookie") == "sessionid=abc"
        return (200, {}, b'{"username": "eva"}') if good else (401, {}, b"{}")

    given = sources(tmp_path, Typist("eva", "x"))
    with (
        answering(reply) as (url, _),
        pytest.raises(CvatError, match=url),
    ):
        login(url, CvatSettings(), given)
    assert given.tokens.find(url) is None


def test_empty_answers_are_named(tmp_path: Path) -> None:
    with pytest.raises(CvatError):
        login(URL, CvatSettings(), sources(tmp_path, Typist("", "")))
    with pytest.raises(CvatError):
        login(URL, CvatSettings(), sources(tmp_path))


# The commands


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[typer.Typer]:
    """The commands, with a keyring in memory and an environment without CVAT."""
    for name in ("URL", "TOKEN", "ACCESS_TOKEN", "USER", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"CVAT_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    ring = FakeRing()
    monkeypatch.setattr(keyring, "get_keyring", lambda: ring)
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    yield app


def test_login_whoami_logout(
    commands: typer.Typer,
    http: CvatHttp,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    password = http.users["patho1"].password
    monkeypatch.setenv("CVAT_USER", "patho1")
    monkeypatch.setenv("CVAT_PASSWORD", password)
    assert main.run(["cvat", "login", http.url + "/tasks"], commands) == main.DONE
    said = capsys.readouterr()
    assert f"Logged in to {http.url} (CVAT 2.73.0) as patho1." in said.out
    assert "kept in the keyring" in said.out
    monkeypatch.delenv("CVAT_USER")
    monkeypatch.delenv("CVAT_PASSWORD")
    monkeypatch.setenv("CVAT_URL", http.url)
    assert main.run(["cvat", "whoami", "--json"], commands) == main.DONE
    assert '"user": "patho1"' in capsys.readouterr().out
    assert main.run(["cvat", "logout"], commands) == main.DONE
    assert "Forgot the token" in capsys.readouterr().out
    assert main.run(["cvat", "logout"], commands) == main.DONE
    assert "No token" in capsys.readouterr().out
    assert main.run(["cvat", "whoami"], commands) == main.USAGE
    everything = said.out + said.err + "".join(capsys.readouterr())
    assert password not in everything
    assert str(http.users["patho1"].token) not in everything


def test_no_terminal_no_server_no_encryption(
    commands: typer.Typer, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        (["login"], "no CVAT server is named"),
        (["login", "https://cvat.example.org"], "nobody can be asked here"),
        (["login", "http://cvat.example.org"], "--allow-http"),
        (["login", "https://eva:geheim@cvat.example.org"], "without user and password"),
    ):
        assert main.run(["cvat", *arguments], commands) == main.USAGE
        said = capsys.readouterr().err
        assert message in said
        assert "geheim" not in said


def test_the_help_has_examples(commands: typer.Typer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["cvat", "login", "--help"], commands) == main.DONE
    assert "trephine cvat login http://localhost:8080" in capsys.readouterr().out


def test_whoami_says_what_a_token_may_do_and_until_when(
    commands: typer.Typer,
    http: CvatHttp,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CVAT_URL", http.url)
    end = datetime.now(UTC) + timedelta(days=9, hours=1)
    reading = http.state.add_token("patho2", name="pull", read_only=True, expires=end.isoformat())
    writing = http.state.add_token("patho2", name="push")
    monkeypatch.setenv("CVAT_TOKEN", reading.value)
    assert main.run(["cvat", "whoami"], commands) == main.DONE
    said = capsys.readouterr().out
    assert "patho2 at" in said
    assert "the token 'pull': it may only read: status and pull work, push does not" in said
    assert f"valid until {end:%Y-%m-%d} (9 days left)" in said
    assert main.run(["cvat", "whoami", "--json"], commands) == main.DONE
    document = json.loads(capsys.readouterr().out)["token"]
    assert document == {"name": "pull", "read_only": True, "expires": end.isoformat()}
    monkeypatch.setenv("CVAT_TOKEN", writing.value)
    assert main.run(["cvat", "whoami"], commands) == main.DONE
    assert "may do all that patho2 may; valid without an end" in capsys.readouterr().out
    reading.expired = True
    monkeypatch.setenv("CVAT_TOKEN", reading.value)
    assert main.run(["cvat", "whoami"], commands) == main.USAGE
    everything = "".join(capsys.readouterr())
    assert "the token is not valid there, or has expired" in everything
    assert reading.value not in said + everything
