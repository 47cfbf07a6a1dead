"""Where the review page is served, and the server until Ctrl-C: sockets, uvicorn, browser."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from annotator.core.errors import UsageError
from annotator.review.access import (
    HERE,
    Access,
    access_key,
    checked_author,
    checked_password,
    is_address,
)
from annotator.review.app import create_app
from annotator.review.protocol import ServedSession
from annotator.review.session_key import kept_key


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a server listens.

    Parameters
    ----------
    host : str
        As it was given: a name or an address.
    address, port
        Where that is.
    """

    host: str
    address: str
    port: int

    @property
    def is_here(self) -> bool:
        """Whether only this machine can reach it."""
        return self.address == "::1" or self.address.startswith("127.")

    @property
    def is_everywhere(self) -> bool:
        """Whether it listens on every address of this machine."""
        return self.address in ("0.0.0.0", "::")

    def names(self) -> frozenset[str]:
        """The host names under which it may be asked."""
        own = frozenset((self.host.lower(), self.address))
        if self.is_here:
            return HERE | own
        machine = frozenset((socket.gethostname().lower(), socket.getfqdn().lower()))
        return HERE | own | machine

    def url(self) -> str:
        """Its address for a browser on this machine."""
        host = self.address
        if self.is_everywhere:
            host = "127.0.0.1" if self.address == "0.0.0.0" else "::1"
        return _url(host, self.port)

    def url_for_others(self) -> str:
        """Its address for a browser on another machine."""
        if self.is_everywhere:
            return _url(socket.gethostname(), self.port)
        return _url(self.host, self.port)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def reaches_others(host: str) -> bool:
    """Whether a server at this host can be reached from other machines.

    Raises
    ------
    UsageError
        When the host is none of this machine, as far as can be told.
    """
    _, address = _resolved(host, 0)
    return not ListenAddress(host, str(address[0]), 0).is_here


def listen(host: str, port: int) -> tuple[socket.socket, ListenAddress]:
    """Open a socket to serve from; port 0 takes a free one.

    Raises
    ------
    UsageError
        When host or port cannot be had.
    """
    family, address = _resolved(host, port)
    # The protocol by name: only then does asyncio switch off Nagle's wait of 40 ms an answer.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A server that was just ended leaves its port in waiting; it is ours to take.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(128)
    except OSError as error:
        opened.close()
        raise _not_had(host, port, error) from error
    return opened, ListenAddress(host, str(address[0]), opened.getsockname()[1])


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"expected a name or an address of this machine as host, got {host!r}; "
            "0.0.0.0 stands for all of them"
        ) from error
    # Version 4 first: what people type, and what every machine has.
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, address


def _not_had(host: str, port: int, error: OSError) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(f"port {port} is taken; choose another, or 0 for a free one (--port)")
    if error.errno == errno.EACCES:
        return UsageError(f"port {port} is not ours to take; choose one from 1024 on (--port)")
    kind = "address" if is_address(host) else "name"
    return UsageError(
        f"expected a host of this machine, got the {kind} {host}: {error.strerror or error}; "
        "0.0.0.0 stands for all of its own (--host)"
    )


# How long requests under way may take once we are to end; all that is stored is stored.
PATIENCE_SECONDS = 3


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """How a study is served.

    Parameters
    ----------
    author : str
        Who works here.
    host : str
    port : int
        0 takes a free one.
    queue : str
        With which the page begins.
    browser : bool
        Whether to open one.
    """

    author: str
    host: str = "127.0.0.1"
    port: int = 0
    queue: str = "clusters"
    browser: bool = True


def asked_password(
    host: str, environ: Mapping[str, str], ask: Callable[[str], str] | None
) -> str | None:
    """The password for a host that others can reach; None where they cannot.

    Parameters
    ----------
    host : str
    environ : mapping
        ``TREPHINE_REVIEW_PASSWORD`` is looked up in it.
    ask : callable or None
        Asks a person; None where nobody can answer.

    Raises
    ------
    UsageError
        When there is none, or it is too short.
    """
    if not reaches_others(host):
        return None
    given = environ.get("TREPHINE_REVIEW_PASSWORD", "")
    if not given and ask is not None:
        given = ask(f"Password for those who open the page on {host} (8 signs or more): ")
    if not given:
        raise UsageError(
            f"others can reach {host}, and nobody gave a password for them: type one when asked, "
            "set TREPHINE_REVIEW_PASSWORD, or leave --host out to serve this machine only"
        )
    return checked_password(given)


def serve(
    review: ServedSession,
    options: ReviewOptions,
    password: str | None,
    say: Callable[[str], None],
) -> None:
    """Serve a study until Ctrl-C, SIGTERM or the end of the terminal.

    Parameters
    ----------
    review : ServedSession
        Whoever made it closes it.
    options : ReviewOptions
    password : str or None
        See :func:`asked_password`.
    say : callable
        Tells the person at the terminal.

    Raises
    ------
    UsageError
        When the name, the host or the port cannot be had.
    """
    author = checked_author(options.author)
    opened, place = listen(options.host, options.port)
    with closing(opened):
        access = make_access(review, author, place, password)
        server = _Server(review, access, options.queue)
        for line in greeting(place, access):
            say(line)
        if options.browser:
            server.when_started = lambda: _browse(place, access, say)
        server.run_on(opened)
    say("Ended. Every label is stored.")


def make_access(
    review: ServedSession, author: str, place: ListenAddress, password: str | None
) -> Access:
    """Who may come in to a study that is served at a place."""
    return Access(
        author=author,
        key=access_key(kept_key(), str(review.path.resolve()), password),
        password=password,
        names=place.names(),
        any_address=not place.is_here,
        cookie=f"trephine-{place.port}",
    )


def greeting(place: ListenAddress, access: Access) -> list[str]:
    """What the person at the terminal has to know."""
    lines = [
        f"Review page for {access.author}: {place.url()}?token={access.token}",
        "Whoever has this address works under this name. Ctrl-C ends the server.",
    ]
    if place.is_here:
        return lines
    return [
        *lines,
        "",
        f"Others open {place.url_for_others()} and give their name and the password.",
        "Who knows it sees every image of the study, and labels it under any name.",
        "The connection is NOT encrypted: on the way, password and images can be read. Do this "
        "only in a network that you trust; elsewhere leave --host out and let others come by "
        f"ssh -L {place.port}:localhost:{place.port}.",
        "",
    ]


class _Server(uvicorn.Server):
    """uvicorn, told where to listen, ended by a signal without a trace."""

    def __init__(self, review: ServedSession, access: Access, queue: str) -> None:
        # No log of requests: the address in it holds the token.
        super().__init__(
            uvicorn.Config(
                create_app(review, access, queue),
                access_log=False,
                log_level="error",
                proxy_headers=False,
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=PATIENCE_SECONDS,
            )
        )
        self.when_started: Callable[[], None] = lambda: None

    def run_on(self, opened: socket.socket) -> None:
        """Serve on an open socket until a signal."""
        self.run(sockets=[opened])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and say so."""
        await super().startup(sockets)
        if self.started:
            # Beside the server: the program that opens a browser may take its time.
            threading.Thread(target=self.when_started, daemon=True).start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals end the server in order; they are not raised once more after it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kinds = [signal.SIGINT, signal.SIGTERM]
        kinds += [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
        before = {kind: signal.signal(kind, self.handle_exit) for kind in kinds}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)


def can_browse(environ: Mapping[str, str], platform: str) -> bool:
    """Whether a browser with windows can be opened, not one inside the terminal.

    Examples
    --------
    >>> can_browse({}, "linux"), can_browse({"DISPLAY": ":0"}, "linux")
    (False, True)
    """
    if platform in ("darwin", "win32"):
        return True
    return any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _browse(place: ListenAddress, access: Access, say: Callable[[str], None]) -> None:
    if not can_browse(os.environ, sys.platform):
        return
    # What programs are started with is seen by all on the machine: this token holds once.
    if not webbrowser.open(f"{place.url()}?token={access.ticket()}"):
        say("No browser could be opened; open the address yourself.")
