"""The address of a CVAT server in one checked form, and the proxy in front of it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from annotator.core.errors import CvatError

_PAGES = frozenset(("api", "auth", "tasks", "projects", "jobs", "requests", "profile", "admin"))
_PORTS = {"http": 80, "https": 443}


def checked_address(given: str, allow_http: bool = False) -> str:
    """The address in the form that Trephine stores: scheme, host, port, no slash at its end.

    What stands behind the host in a browser (``/tasks/5``, ``/api``) is left out. Without a
    scheme it is https, or http for this machine.

    Parameters
    ----------
    given : str
    allow_http : bool
        Whether another machine may be talked to without encryption.

    Raises
    ------
    CvatError
        When it is no address, holds a user or a password, or would send the password over
        the network without encryption. What was given is never part of the message when it
        may hold a password.

    Examples
    --------
    >>> checked_address("localhost:8080/tasks?page=1")
    'http://localhost:8080'
    >>> checked_address("https://CVAT.example.org:443/api/")
    'https://cvat.example.org'
    """
    text = given.strip()
    if "://" not in text:
        text = f"{'http' if is_here(_split('http://' + text).hostname) else 'https'}://{text}"
    parts = _split(text)
    if parts.scheme not in _PORTS:
        raise CvatError(f"expected an address that begins with https://, got {parts.scheme}://")
    address = f"{parts.scheme}://{_host(parts)}{_path(parts)}"
    if parts.scheme == "http" and not allow_http and not is_here(parts.hostname):
        raise CvatError(
            f"{address} has no encryption: password and images could be read on the way. Give an "
            "address with https://, or set allow_http = true under [cvat] in study.toml (for "
            "'trephine cvat login': --allow-http) if you trust the network in between"
        )
    return address


def _split(text: str) -> SplitResult:
    """Parts of an address, without a user and with a host."""
    try:
        parts = urlsplit(text)
        bad = not parts.hostname or parts.port == 0
    except ValueError:
        bad = True
    if bad or any(not c.isprintable() or c.isspace() for c in text):
        raise CvatError(
            "expected the address of a CVAT server, such as https://cvat.example.org, got "
            "something else"
        )
    if "@" in parts.netloc:
        raise CvatError(
            "expected an address without user and password in it: they would stand in logs and "
            "in study.toml; give the address alone, and log in with 'trephine cvat login'"
        )
    return parts


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    port = parts.port
    return host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"


def _path(parts: SplitResult) -> str:
    """The folder that CVAT lies in, up to the first of its own pages."""
    folders: list[str] = []
    for piece in parts.path.split("/"):
        if piece in _PAGES:
            break
        if piece:
            folders.append(piece)
    return "".join(f"/{folder}" for folder in folders)


def is_here(host: str | None) -> bool:
    """Whether a host is this machine.

    Examples
    --------
    >>> is_here("127.0.0.1"), is_here("127.0.0.1.example.org")
    (True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the headers that log in to it.

    Parameters
    ----------
    url : str
        Without user and password.
    headers : dict of str to str
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)


def proxy_for(url: str) -> Proxy | None:
    """The proxy that ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` name for an address.

    This machine is always reached without one.
    """
    target = urlsplit(url)
    given = getproxies().get(target.scheme)
    host = target.hostname or ""
    if not given or is_here(host) or proxy_bypass(host):
        return None
    parts = urlsplit(given if "://" in given else f"http://{given}")
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if not parts.username:
        return Proxy(address)
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(address, dict(urllib3.make_headers(proxy_basic_auth=login)))
