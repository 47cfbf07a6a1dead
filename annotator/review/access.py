"""Who may open the review page: the address with its token, passwords, sessions, host names.

No web in it. A person comes in once, by the address that the command prints or by the
password, and gets a session: a cookie that says who they are, signed with a key that outlives
the server. An open page therefore goes on when the server was killed and started again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from annotator.core.errors import UsageError

SESSION_SECONDS = 7 * 24 * 3600
LONGEST_NAME = 100
SHORTEST_PASSWORD = 8
HERE = frozenset(("localhost", "127.0.0.1", "::1"))

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_FREE_TRIES, _LONGEST_WAIT, _MOST_ADDRESSES = 5, 300.0, 1000


def checked_author(name: str) -> str:
    """A name to sign labels with, without blanks around it.

    Raises
    ------
    UsageError
        When it is empty, too long, or not one line of visible signs.

    Examples
    --------
    >>> checked_author(" Eva M. ")
    'Eva M.'
    """
    author = name.strip()
    if not author or len(author) > LONGEST_NAME or not author.isprintable():
        raise UsageError(
            f"expected a name of 1 to {LONGEST_NAME} visible signs in one line, got "
            f"{name[:40]!r}; give the name that your labels are to be signed with"
        )
    return author


def checked_password(password: str) -> str:
    """A password that is worth asking for.

    Raises
    ------
    UsageError
        When it is too short; it is not part of the message.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise UsageError(
            f"expected a password of at least {SHORTEST_PASSWORD} signs, got {len(password)}; "
            "others on the network could guess it: take a longer one"
        )
    return password


def host_name(header: str) -> str | None:
    """The name in a Host header, in small letters; None when it is no such header.

    Examples
    --------
    >>> host_name("LocalHost:8000"), host_name("[::1]:8000"), host_name("a@b")
    ('localhost', '::1', None)
    """
    found = _HOST.fullmatch(header)
    return found[1].strip("[]").lower() if found else None


def is_address(name: str) -> bool:
    """Whether a host name is an IP address, which no name server can turn to another machine."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who has come in.

    Parameters
    ----------
    author : str
        Who signs the labels.
    cookie : str
        The session, as the browser keeps it.
    """

    author: str
    cookie: str = field(repr=False)


class Throttle:
    """Lets nobody try many passwords: waits that double, for each address of its own.

    Parameters
    ----------
    clock : callable
        Seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, tuple[int, float]] = {}

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0.0 when it may now."""
        return max(0.0, self._failed.get(address, (0, 0.0))[1] - self._clock())

    def failed(self, address: str) -> None:
        """Note a wrong password."""
        count = self._failed.pop(address, (0, 0.0))[0] + 1
        pause = min(2.0 ** min(count - _FREE_TRIES, 20), _LONGEST_WAIT)
        until = self._clock() + pause if count >= _FREE_TRIES else 0.0
        self._failed[address] = (count, until)
        if len(self._failed) > _MOST_ADDRESSES:
            del self._failed[next(iter(self._failed))]

    def passed(self, address: str) -> None:
        """Forget what went wrong before."""
        self._failed.pop(address, None)


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """What lets people in.

    Parameters
    ----------
    author : str
        Whom the address with the token lets in as.
    key : bytes
        Signs sessions; see :func:`access_key`.
    password : str or None
        None where only this machine is served.
    names : frozenset of str
        Host names under which the page may be asked for.
    any_address : bool
        Whether any IP address will do as such a name.
    cookie : str
        Name of the cookie. Browsers keep one jar for all ports of a machine, so that two
        servers need two names.
    token : str
        Part of the address; new for every server.
    clock : callable
        Seconds since 1970.
    """

    author: str
    key: bytes = field(repr=False)
    password: str | None = field(default=None, repr=False)
    names: frozenset[str] = HERE
    any_address: bool = False
    cookie: str = "trephine"
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    clock: Callable[[], float] = field(default=time.time, repr=False)
    throttle: Throttle = field(default_factory=Throttle, repr=False)
    _tickets: set[str] = field(default_factory=set, repr=False)

    def allows_host(self, header: str) -> bool:
        """Whether a request with this Host header is meant for us.

        Another site may let its own name point here, and then read what the browser gets
        (DNS rebinding); it cannot do so under our names, or under a plain address.
        """
        name = host_name(header)
        if name is None:
            return False
        return name in self.names or (self.any_address and is_address(name))

    def ticket(self) -> str:
        """A token that lets in once: for the browser that we start ourselves.

        What a program is started with can be read by everybody on the machine.
        """
        made = secrets.token_urlsafe(32)
        self._tickets.add(made)
        return made

    def opens(self, token: str) -> bool:
        """Whether a token of an address lets in."""
        given = token.encode()
        ticket = next((t for t in self._tickets if _same(t.encode(), given)), None)
        if ticket is not None:
            self._tickets.discard(ticket)
            return True
        return _same(self.token.encode(), given)

    def knows(self, password: str) -> bool:
        """Whether this is the password; False where there is none."""
        if self.password is None:
            return False
        return _same(self._sign(b"password", self.password), self._sign(b"password", password))

    def session(self, author: str) -> str:
        """The value of the cookie that lets `author` in for a week."""
        content = json.dumps([author, int(self.clock())]).encode()
        text = base64.urlsafe_b64encode(content).decode().rstrip("=")
        return f"{text}.{self._sign(b'session', text).hex()}"

    def visitor(self, cookies: str) -> Visitor | None:
        """Who a Cookie header says it is, if we signed it and not too long ago."""
        for part in cookies.split(";"):
            name, _, value = part.strip().partition("=")
            author = self._author(value) if name == self.cookie else None
            if author is not None:
                return Visitor(author, value)
        return None

    def csrf(self, visitor: Visitor) -> str:
        """What the page of this visitor must send along with all that changes something."""
        return self._sign(b"csrf", visitor.cookie).hex()

    def sent_by_page(self, visitor: Visitor, header: str) -> bool:
        """Whether a request carries what only the visitor's own page knows."""
        return _same(self.csrf(visitor).encode(), header.encode())

    def _author(self, value: str) -> str | None:
        text, _, signature = value.partition(".")
        if not _same(self._sign(b"session", text).hex().encode(), signature.encode()):
            return None
        author, issued = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        age = self.clock() - issued
        return str(author) if age < SESSION_SECONDS else None

    def _sign(self, what: bytes, text: str) -> bytes:
        return hmac.digest(self.key, what + b"\0" + text.encode("utf-8", "replace"), "sha256")


def access_key(kept: bytes, study: str, password: str | None) -> bytes:
    """The key of one study: no session of another study, or of an earlier password, fits.

    Parameters
    ----------
    kept : bytes
        What the user keeps between runs; see :mod:`annotator.review.session_key`.
    study : str
        Where the study lies.
    password : str or None
    """
    # The length keeps two texts apart, whatever signs they hold.
    text = f"{len(study)}\0{study}\0{password or ''}"
    return hmac.digest(kept, text.encode("utf-8", "surrogateescape"), hashlib.sha256)


def _same(one: bytes, other: bytes) -> bool:
    return hmac.compare_digest(one, other)
