"""The address of the CVAT server, and the credentials for it.

The address is ``url`` under ``[cvat]`` in study.toml, else ``CVAT_URL``. Where both are given
and differ, the study's is taken with a warning, and the credentials of the environment are
not used: they belong to the other server.

The credentials are ``CVAT_TOKEN`` (or ``CVAT_ACCESS_TOKEN``), else ``CVAT_USER`` (or
``CVAT_USERNAME``) with ``CVAT_PASSWORD``, else what ``trephine cvat login`` stored, else what a
person answers on a terminal. None of them is ever part of a message.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from annotator.core.errors import CvatError, CvatUnreachable
from annotator.settings.cvat import CvatSettings
from export.cvat.client.address import checked_address
from export.cvat.client.token_store import TokenStore

if TYPE_CHECKING:
    from export.cvat.client.rest_server import Credentials, Token
    from export.cvat.client.retries import RetryPolicy
    from export.cvat.client.server import CvatServer, ServerInfo

_log = logging.getLogger(__name__)


class AskPerson(Protocol):
    """Asks a person."""

    def __call__(self, question: str, hidden: bool) -> str:
        """The answer; it is not echoed where `hidden` is true."""


def ask_on_terminal(question: str, hidden: bool) -> str:
    """Ask on the terminal; a hidden answer is not echoed."""
    if not hidden:
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip()
    import getpass

    return getpass.getpass(question)


def _asker() -> AskPerson | None:
    return ask_on_terminal if sys.stdin is not None and sys.stdin.isatty() else None


@dataclass(frozen=True, slots=True)
class Sources:
    """Where addresses and credentials come from; replaced in tests.

    Parameters
    ----------
    environ : mapping
    tokens : TokenStore
    ask : AskPerson or None
        None where nobody can answer.
    retries : RetryPolicy or None
        From the settings of the study where it is None.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    tokens: TokenStore = field(default_factory=TokenStore)
    ask: AskPerson | None = field(default_factory=_asker)
    retries: RetryPolicy | None = None


def connect(settings: CvatSettings, sources: Sources | None = None) -> CvatServer:
    """The CVAT server of a study, logged in.

    Raises
    ------
    CvatError
        When no address or no credentials are known, or the server refuses them.
    CvatUnreachable
        When it cannot be reached.
    """
    from export.cvat.client.rest_server import log_in

    sources = sources or Sources()
    url = address(settings, sources.environ)
    found = credentials(url, sources)
    server = log_in(url, found, _retries(settings, sources)).server
    if settings.organization:
        server.use_organization(settings.organization)
    return server


def address(settings: CvatSettings, environ: Mapping[str, str]) -> str:
    """The address of the server, in the form of :func:`checked_address`.

    Raises
    ------
    CvatError
        When none is given, or it is not one to talk to.
    """
    study, environment = settings.url.strip(), environ.get("CVAT_URL", "").strip()
    if not study and not environment:
        raise CvatError(
            "no CVAT server is named: set url under [cvat] in study.toml, or CVAT_URL, such as "
            "http://localhost:8080"
        )
    found = checked_address(study or environment, settings.allow_http)
    if study and environment and not _same(environment, found):
        _log.warning(
            "study.toml names %s, CVAT_URL another server: the study's is taken, and the "
            "credentials of the environment are not sent to it",
            found,
        )
    return found


def _same(given: str, url: str) -> bool:
    try:
        return checked_address(given, allow_http=True) == url
    except CvatError:
        return False


def credentials(url: str, sources: Sources) -> Credentials:
    """The credentials to log in to a server with.

    Raises
    ------
    CvatError
        When there are none, and nobody can be asked for them.
    """
    found = from_environment(url, sources.environ) or _stored(url, sources.tokens)
    if found is not None:
        return found
    if sources.ask is None:
        raise CvatError(
            f"{url}: no credentials are known for it: run 'trephine cvat login {url}' once, or "
            "set CVAT_TOKEN, or CVAT_USER and CVAT_PASSWORD"
        )
    return asked(url, sources.ask)


def from_environment(url: str, environ: Mapping[str, str]) -> Credentials | None:
    """The credentials of the environment, unless it names another server."""
    from export.cvat.client.rest_server import Password

    other = environ.get("CVAT_URL", "").strip()
    if other and not _same(other, url):
        return None
    token = environ.get("CVAT_TOKEN") or environ.get("CVAT_ACCESS_TOKEN")
    if token:
        return checked_token(token, "CVAT_TOKEN")
    user = environ.get("CVAT_USER") or environ.get("CVAT_USERNAME")
    password = environ.get("CVAT_PASSWORD")
    if bool(user) != bool(password):
        missing = "CVAT_PASSWORD" if user else "CVAT_USER"
        raise CvatError(f"CVAT_USER and CVAT_PASSWORD go together: {missing} is not set")
    return Password(user, password) if user and password else None


def _stored(url: str, tokens: TokenStore) -> Token | None:
    token = tokens.find(url)
    return checked_token(token, "what is kept") if token else None


def checked_token(text: str, name: str) -> Token:
    """A token that fits into a header.

    Raises
    ------
    CvatError
        When it cannot be one; it is not part of the message.
    """
    from export.cvat.client.rest_server import Token

    token = text.strip()
    if not token or not all("!" <= c <= "~" for c in token):
        raise CvatError(f"expected a token in {name}, got something with blanks or other signs")
    return Token(token)


def asked(url: str, ask: AskPerson, token: bool = False) -> Credentials:
    """Ask a person for the credentials: a user and a password, or a token."""
    from export.cvat.client.rest_server import Password

    if token:
        return checked_token(ask(f"Token for {url}: ", True), "the answer")
    user = ask(f"User at {url}: ", False)
    password = ask(f"Password of {user}: ", True)
    if not user or not password:
        raise CvatError("a user and a password are needed; with --token a token instead")
    return Password(user, password)


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """A login whose token is stored: user and server, and in words where the token is."""

    info: ServerInfo
    place: str


def login(url: str, settings: CvatSettings, sources: Sources, token: bool = False) -> StoredLogin:
    """Log in to a server and store a token for it, never the password.

    Parameters
    ----------
    url : str
        In the form of :func:`checked_address`.
    settings : CvatSettings
    sources : Sources
    token : bool
        Ask for a token instead of a user and a password.

    Raises
    ------
    CvatError
        When the server refuses, or gives out no token for a password.
    """
    from export.cvat.client.rest_server import Token, log_in

    given = _given(url, sources, token)
    retries = _retries(settings, sources)
    logged_in = log_in(url, given, retries)
    key = given if isinstance(given, Token) else _working(url, logged_in.key, retries)
    if key is None:
        raise CvatError(
            f"{url}: this server gives out no token for a password: make a personal access token "
            "on its page (your name, Profile, Security) and run 'trephine cvat login --token'"
        )
    return StoredLogin(logged_in.server.info, sources.tokens.keep(url, key.value))


def _working(url: str, key: Token | None, retries: RetryPolicy) -> Token | None:
    """The key that a login gave out, if the server accepts it: newer servers may not."""
    from export.cvat.client.rest_server import log_in

    if key is None:
        return None
    try:
        log_in(url, key, retries)
    except CvatUnreachable:
        raise
    except CvatError:
        return None
    return key


def _given(url: str, sources: Sources, token: bool) -> Credentials:
    found = None if token else from_environment(url, sources.environ)
    if found is not None:
        return found
    if sources.ask is None:
        raise CvatError(
            "nobody can be asked here: run this on a terminal, or set CVAT_USER and CVAT_PASSWORD"
        )
    return asked(url, sources.ask, token)


def _retries(settings: CvatSettings, sources: Sources) -> RetryPolicy:
    from export.cvat.client.retries import RetryPolicy

    return sources.retries or RetryPolicy(settings.timeout_s, settings.job_timeout_s)
