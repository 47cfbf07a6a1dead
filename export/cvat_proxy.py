"""The proxy of the environment, for a server that is not on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from export.cvat.client.address import is_here


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and what it wants to be told.

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
