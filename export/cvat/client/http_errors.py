"""Turn the refusals of a CVAT server, and failures on the way to it, into advice for a person.

No header, cookie or credential is part of any text here, and pages of HTML are never quoted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import from_json
from urllib3 import exceptions as http

from annotator.core.errors import CvatError, CvatForbidden, CvatLoggedOut, CvatMissing

AGAIN = "run the same command again, it goes on where it stopped"
_LONGEST = 300
_MAY_PASS = (408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524)


@dataclass(frozen=True, slots=True)
class ServerResponse:
    """An answer of the server.

    Parameters
    ----------
    status : int
        HTTP status, 200 and so on.
    headers : mapping
        By lower-case name.
    body : bytes
    cookies : tuple of str
        The value of each ``Set-Cookie`` header.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    cookies: tuple[str, ...] = field(default=(), repr=False)

    def json(self) -> Any:
        """The body as JSON; ``NaN`` and ``Infinity``, which JSON does not know, are refused.

        Raises
        ------
        ValueError
            When it is not JSON.
        """
        # The masks of a task are millions of numbers: the parser of pydantic reads them in half
        # the time of Python's.
        return from_json(self.body, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class ExchangeFailure:
    """Why a request failed in a way that another attempt may mend.

    Parameters
    ----------
    reason : str
    advice : str
        What a person can do.
    unsent : bool
        True where the request certainly did not reach the server, so that even one that creates
        something may be repeated.
    final : bool
        True where another attempt would end the same way after all.
    wait_s : float
        Pause that the server asked for, seconds.
    status : int
        HTTP status of the answer; 0 where there was none.
    """

    reason: str
    advice: str = AGAIN
    unsent: bool = False
    final: bool = False
    wait_s: float = 0.0
    status: int = 0


def broken(error: http.HTTPError, url: str, timeout_s: float) -> ExchangeFailure:
    """The failure that an error of the network library stands for.

    Parameters
    ----------
    error : urllib3.exceptions.HTTPError
    url : str
        Address of the server.
    timeout_s : float
        How long was waited, seconds; for the message.

    Examples
    --------
    >>> broken(http.ProtocolError("Connection aborted."), "http://localhost", 60.0).reason
    'the connection broke off'
    """
    host = urlsplit(url).hostname
    text = str(error)
    if isinstance(error, http.ProxyError):
        advice = f"look at HTTPS_PROXY, or name {host} in NO_PROXY"
        return ExchangeFailure("the proxy of the environment lets nothing through", advice)
    if isinstance(error, http.SSLError):
        return _no_tls(host, text)
    if isinstance(error, http.NameResolutionError):
        advice = "check the address, and the network or the VPN"
        return ExchangeFailure(f"no host of the name {host} is known", advice, unsent=True)
    if isinstance(error, http.NewConnectionError):
        why = "the connection was refused" if "refused" in text else "no connection"
        return ExchangeFailure(
            why, "is the server on, and are address and port right?", unsent=True
        )
    if isinstance(error, http.ConnectTimeoutError):
        advice = f"is the server on, and {host} not behind a firewall or a VPN?"
        return ExchangeFailure(f"no connection within {timeout_s:g} s", advice, unsent=True)
    if isinstance(error, http.TimeoutError):
        advice = f"{AGAIN}; for a slow server raise timeout_s under [cvat] in study.toml"
        return ExchangeFailure(f"no answer within {timeout_s:g} s", advice)
    return ExchangeFailure("the connection broke off")


def unfinished(job_timeout_s: float) -> ExchangeFailure:
    """The failure of an answer that began, and did not end in time.

    Parameters
    ----------
    job_timeout_s : float
        The limit for one whole answer, seconds; for the message.

    Examples
    --------
    >>> unfinished(1800.0).reason
    'no whole answer within 1800 s'
    """
    advice = f"{AGAIN}; for a slow server raise job_timeout_s under [cvat] in study.toml"
    return ExchangeFailure(f"no whole answer within {job_timeout_s:g} s", advice)


def _no_tls(host: str | None, text: str) -> ExchangeFailure:
    if "WRONG_VERSION_NUMBER" in text or "record layer" in text:
        advice = f"if {host} is yours and has no encryption, write its address with http://"
        return ExchangeFailure(
            "the server does not speak https there", advice, unsent=True, final=True
        )
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text:
        advice = (
            "if your institution signs its own certificates, set SSL_CERT_FILE to the file with "
            "its root certificate; else the name in the address may be another one than the "
            "certificate's"
        )
        return ExchangeFailure(
            f"the certificate of {host} cannot be trusted", advice, unsent=True, final=True
        )
    return ExchangeFailure("the encrypted connection broke off")


def passing(answer: ServerResponse) -> ExchangeFailure | None:
    """The failure that a status such as 503 stands for; None where a repeat would not help."""
    if answer.status not in _MAY_PASS or full_disk(answer):
        return None
    if answer.status == 429:
        wait = _seconds(answer.headers.get("retry-after", ""))
        reason = "the server asks for fewer requests (429)"
        return ExchangeFailure(reason, unsent=True, wait_s=wait, status=429)
    advice = f"look into the server's log (docker logs cvat_server), or {AGAIN}"
    if answer.status in (502, 503, 504):
        advice = f"it may be starting or overloaded: wait a minute, then {AGAIN}"
    reason = f"the server failed with the status {answer.status}"
    return ExchangeFailure(reason, advice, status=answer.status)


def _seconds(text: str) -> float:
    return min(float(text), 60.0) if text.isdecimal() else 0.0


def refusal(answer: ServerResponse, url: str, what: str) -> CvatError:
    """The error for a status of 300 or more that another attempt will not change.

    Parameters
    ----------
    answer : ServerResponse
    url : str
        Address of the server.
    what : str
        What was going on, such as ``making a task``.

    Returns
    -------
    CvatError
        ``CvatForbidden`` for 403 and ``CvatMissing`` for 404: no access is not "deleted".
        ``CvatLoggedOut`` for 401.
    """
    if 300 <= answer.status < 400:
        return _moved(answer, url)
    if full_disk(answer):
        return CvatError(
            f"{url}: the disk of the server is full, while {what}: make room there "
            f"(docker system df, docker volume ls), then {AGAIN}"
        )
    advice = _ADVICE.get(answer.status)
    why = detail(answer)
    message = f": the server says: {why}" if why else ""
    if advice is None:
        return CvatError(f"{url}: refused with the status {answer.status} while {what}{message}")
    kind = _KINDS.get(answer.status, CvatError)
    return kind(f"{url}: {advice[0]} ({answer.status}) while {what}{message}; {advice[1]}")


_KINDS = {401: CvatLoggedOut, 403: CvatForbidden, 404: CvatMissing}
_ADVICE = {
    401: (
        "not logged in, or the login has expired",
        "log in again with 'trephine cvat login', or give a fresh CVAT_TOKEN",
    ),
    403: (
        "your user may not do this",
        "ask the owner of the project or an administrator of the server for the right to; a token "
        "may be read-only ('trephine cvat whoami' says so)",
    ),
    404: (
        "not there, or not to be seen by your user",
        "was it deleted on the server? 'trephine status' shows what is there",
    ),
    405: ("the server does not know this call", "its version may be too old: 2.42 is needed"),
    409: (
        "the server is still busy with the same request",
        "wait until it has finished (page 'Requests' in CVAT), then run the command again",
    ),
    413: (
        "too large for the server",
        "lower batch_size under [cvat] in study.toml, or raise the limit of the proxy in front "
        "of CVAT (nginx: client_max_body_size)",
    ),
    507: ("the disk of the server is full", "make room there, then run the command again"),
}


def _moved(answer: ServerResponse, url: str) -> CvatError:
    target = urlsplit(answer.headers.get("location", ""))
    place = f"{target.scheme}://{target.netloc.rpartition('@')[2]}" if target.netloc else ""
    here = urlsplit(url)
    if place and place != f"{here.scheme}://{here.netloc}":
        return CvatError(
            f"{url}: the server sends us on to {place}: if you trust that address, give it "
            "instead (url under [cvat] in study.toml, or CVAT_URL)"
        )
    return CvatError(
        f"{url}: the server sends us on to another page ({answer.status}), perhaps to the login "
        "of a proxy: give the address of CVAT itself"
    )


def full_disk(answer: ServerResponse) -> bool:
    """Whether the server says that its disk is full."""
    return answer.status == 507 or (answer.status >= 400 and b"No space left" in answer.body)


def detail(answer: ServerResponse) -> str:
    """The message in the body of an answer, on one short line; empty for a page of HTML.

    Examples
    --------
    >>> detail(ServerResponse(400, {}, b'{"name": ["This field is required."]}'))
    'name: This field is required.'
    """
    kind = answer.headers.get("content-type", "")
    try:
        message = _words(answer.json())
    except ValueError:
        html = "html" in kind or answer.body.lstrip()[:1] == b"<"
        message = "" if html else answer.body.decode("utf-8", "replace")
    return last_line(message)


def _words(value: Any, name: str = "") -> str:
    """Values of nested JSON as text, each with the name of its field."""
    head = "" if name in ("", "detail", "non_field_errors") else f"{name}: "
    if isinstance(value, Mapping):
        return head + "; ".join(_words(v, str(k)) for k, v in value.items())
    if isinstance(value, list):
        return head + "; ".join(_words(v) for v in value)
    return head + str(value)


def last_line(text: str) -> str:
    """The last line that is not blank, without control characters; of a traceback its error.

    Examples
    --------
    >>> last_line("Traceback ...\\n  File ...\\nValueError: no images\\n")
    'ValueError: no images'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = "".join(c for c in lines[-1] if c.isprintable()) if lines else ""
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "..."
