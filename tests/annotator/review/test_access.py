from __future__ import annotations

import base64
import json

import pytest

from annotator.core.errors import UsageError
from annotator.review.access import (
    SESSION_SECONDS,
    Access,
    Throttle,
    access_key,
    checked_author,
    checked_password,
)


class AccessClock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


def access(**more: object) -> Access:
    known: dict[str, object] = {"author": "eva", "key": b"k" * 32}
    return Access(**{**known, **more})  # type: ignore[arg-type]


def cookie(of: Access, value: str) -> str:
    return f"other=1; {of.cookie}={value}; last=2"


@pytest.mark.parametrize(
    "header", ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]:9", "[::1]"]
)
def test_our_own_names_are_served_under_any_port(header: str) -> None:
    assert access().allows_host(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8000",
        "localhost.",
        "localhost@evil.example",
        "localhost/x",
        "localhost:80:80",
        "192.168.1.5",
        "localhost evil",
    ],
)
def test_other_names_are_not(header: str) -> None:
    assert not access().allows_host(header)


def test_a_server_for_others_goes_by_any_address_and_its_own_names() -> None:
    shared = access(any_address=True, names=frozenset(("lab-pc",)))
    assert shared.allows_host("192.168.1.5:8000") and shared.allows_host("[fe80::1]:8000")
    assert shared.allows_host("Lab-PC:8000")
    assert not shared.allows_host("evil.example:8000")


def test_the_token_opens_again_and_again_a_ticket_once() -> None:
    ours = access()
    ticket = ours.ticket()
    assert [ours.opens(ticket), ours.opens(ticket)] == [True, False]
    assert [ours.opens(ours.token), ours.opens(ours.token)] == [True, True]
    assert not ours.opens("") and not ours.opens(access().token) and not ours.opens("ü")


def test_a_session_says_who_came_in() -> None:
    ours = access()
    found = ours.visitor(cookie(ours, ours.session("Jürgen; x=1")))
    assert found is not None
    assert found.author == "Jürgen; x=1"


def test_a_session_outlives_the_server_not_its_key() -> None:
    value = access().session("eva")
    assert access().visitor(cookie(access(), value)) is not None
    assert access(key=b"o" * 32).visitor(cookie(access(), value)) is None


def test_a_session_ends_after_a_week() -> None:
    clock = AccessClock()
    ours = access(clock=clock)
    header = cookie(ours, ours.session("eva"))
    clock.now += SESSION_SECONDS - 1
    assert ours.visitor(header) is not None
    clock.now += 1
    assert ours.visitor(header) is None


@pytest.mark.parametrize("value", ["", ".", "eva", "eva.", "e30.00", "ü.ü", '"quoted"'])
def test_what_we_did_not_sign_is_nobody(value: str) -> None:
    assert access().visitor(cookie(access(), value)) is None


def test_a_session_cannot_be_given_another_name() -> None:
    ours = access()
    text, _, signature = ours.session("eva").partition(".")
    assert b"eva" in base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    forged = base64.urlsafe_b64encode(json.dumps(["boss", 2e9]).encode()).decode().rstrip("=")
    assert ours.visitor(cookie(ours, f"{forged}.{signature}")) is None


def test_a_cookie_of_another_server_does_not_hide_ours() -> None:
    ours, other = access(cookie="trephine-1"), access(cookie="trephine-2", key=b"o" * 32)
    both = f"trephine-2={other.session('x')}; trephine-1={ours.session('eva')}"
    found = ours.visitor(both)
    assert found is not None and found.author == "eva"


def test_each_session_has_a_csrf_value_of_its_own() -> None:
    ours = access()
    eva, otto = (ours.visitor(cookie(ours, ours.session(name))) for name in ("eva", "otto"))
    assert eva is not None and otto is not None
    assert ours.sent_by_page(eva, ours.csrf(eva))
    assert not ours.sent_by_page(otto, ours.csrf(eva))
    assert not ours.sent_by_page(eva, "") and not ours.sent_by_page(eva, "ü")


def test_the_password_is_known_or_not() -> None:
    assert access(password="correct horse").knows("correct horse")
    assert not access(password="correct horse").knows("correct horse ")
    assert not access().knows("") and not access().knows("None")


def test_keys_differ_by_study_and_password() -> None:
    kept = b"k" * 32
    keys = {
        access_key(kept, "/a", None),
        access_key(kept, "/b", None),
        access_key(kept, "/a", "password"),
        access_key(kept, "/a\0", "password"),
        access_key(b"o" * 32, "/a", None),
    }
    assert len(keys) == 5


def test_secrets_are_in_no_text() -> None:
    ours = access(password="correct horse")
    ticket = ours.ticket()
    shown = repr(ours) + repr(ours.visitor(cookie(ours, ours.session("eva"))))
    assert not any(secret in shown for secret in (ours.token, ticket, "correct", "kkkk", "session"))


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, "a\u202eb", "a\0"])
def test_names_that_cannot_sign_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        checked_author(name)


def test_short_passwords_are_refused_without_being_shown() -> None:
    with pytest.raises(UsageError, match=r"8 .* 5") as caught:
        checked_password("short")
    assert "short" not in str(caught.value)
    assert checked_password("12345678") == "12345678"


def test_wrong_passwords_cost_more_and_more_time() -> None:
    clock = AccessClock()
    throttle = Throttle(clock)
    waits = []
    for _ in range(16):
        throttle.failed("a")
        waits.append(throttle.wait("a"))
        clock.now += waits[-1]
    assert waits[:7] == [0, 0, 0, 0, 1, 2, 4]
    assert waits[-1] == 300
    assert throttle.wait("b") == 0
    throttle.passed("a")
    throttle.failed("a")
    assert throttle.wait("a") == 0


def test_the_throttle_forgets_the_oldest_of_very_many_addresses() -> None:
    clock = AccessClock()
    throttle = Throttle(clock)
    for _ in range(5):
        throttle.failed("first")
    assert throttle.wait("first") > 0
    for number in range(1000):
        throttle.failed(str(number))
    assert throttle.wait("first") == 0
