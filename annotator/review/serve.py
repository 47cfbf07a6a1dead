"""Where the server listens: sockets, the names under which it is reached, its addresses."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Any

from annotator.core.errors import UsageError
from annotator.review.access import HERE, is_address


@dataclass(frozen=True, slots=True)
class Place:
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
    return not Place(host, str(address[0]), 0).is_here


def listen(host: str, port: int) -> tuple[socket.socket, Place]:
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
    return opened, Place(host, str(address[0]), opened.getsockname()[1])


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
