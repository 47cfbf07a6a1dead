"""Bring one large file over HTTP: resumed where it was cut, verified, moved into place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError, ReadTimeoutError

from annotator.core.errors import WeightsError
from annotator.core.files import sha256

# Six connections, each going on where the last one was cut: at once, after 2 s, 4 s, ...
# The first one must stand (connect, other: 0), so that who is offline need not wait.
RETRIES = urllib3.Retry(5, connect=0, other=0, backoff_factor=1, respect_retry_after_header=False)
SILENCE_SECONDS, BLOCK = 30.0, 1 << 18
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Download:
    """A file of known size (bytes) and sha256, and where it shall lie.

    Bytes gather in ``NAME.part`` beside `path`, which a later run goes on with; what lies
    at `path` stays until they are verified. `report` is told how many of them are here,
    and of how many. Proxies are those of the environment.
    """

    url: str
    path: Path
    size: int
    sha256: str
    report: Progress = lambda here, size: None

    def run(self, retries: urllib3.Retry = RETRIES) -> None:
        """Fetch the file.

        Raises
        ------
        WeightsError
            With what happened, and how to bring the file by hand.
        """
        elsewhere = "make room or set TREPHINE_WEIGHTS to another folder"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            free, resumed = shutil.disk_usage(self.path.parent).free, self._here
            if self.size - resumed > free:
                needed = f"{self.path.name} needs {(self.size - resumed) / 1e6:,.0f} MB"
                where = f"in {self.path.parent}, {free / 1e6:,.0f} MB are free"
                raise WeightsError(f"{needed} {where}: {elsewhere}")
            self._gather(retries)
            if resumed and sha256(self._part) != self.sha256:
                # The old piece may be what is wrong: once more, from the first byte.
                self._part.unlink()
                self._gather(retries)
            self._move_verified()
        except OSError as error:
            why = f"cannot write {self._part}: {error.strerror or error}"
            raise WeightsError(f"{why}; {elsewhere}") from error

    @property
    def _part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    @property
    def _here(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0

    def _failed(self, why: str) -> WeightsError:
        by_hand = f"or download {self.url} elsewhere and put it at {self.path}"
        return WeightsError(f"{why}, {by_hand}")

    def _gather(self, retries: urllib3.Retry) -> None:
        """Connect until the part is as long as the file, or the retries are used up."""
        attempts, again = (retries.total or 0) + 1, "run the same command again"
        try:
            with _pool(self.url) as pool:
                while self._here != self.size:
                    retries = self._connect(pool, retries)
        except MaxRetryError as error:
            why = error.reason
            if retries.history or isinstance(why, (ProtocolError, ReadTimeoutError)):
                kept = f"{self._here:,} of {self.size:,} bytes are kept: {again} to go on"
                text = f"{self.url} broke off {attempts} times ({why}); {kept}"
            else:
                text = f"no connection to {self.url} ({why}): check network and proxy and {again}"
            raise self._failed(text) from error

    def _connect(self, pool: urllib3.PoolManager, retries: urllib3.Retry) -> urllib3.Retry:
        """Make one connection and append what it brings; return the retries that are left."""
        start = self._here if self._here < self.size else 0
        headers = {"User-Agent": "trephine", "Accept-Encoding": "identity"}
        headers |= {"Range": f"bytes={start}-"} if start else {}
        with pool.request(
            "GET", self.url, headers=headers, retries=retries, preload_content=False
        ) as response:
            retries = (response.retries or retries).new(connect=None, other=None)
            try:
                self._append(response, self._first_byte(response, start))
                return retries
            except HTTPError as cut:
                retries = retries.increment("GET", self.url, error=cut)
        retries.sleep()
        return retries

    def _first_byte(self, response: urllib3.BaseHTTPResponse, asked: int) -> int:
        """Refuse what is not our file; the byte of it that the response begins with."""
        status, fields = response.status, response.headers
        span, _, whole = fields.get("Content-Range", "").removeprefix("bytes ").partition("/")
        goes_on = span.partition("-")[0] == str(asked) and whole in ("*", str(self.size))
        if status == 416 or (status == 206 and not goes_on):
            self._part.unlink(missing_ok=True)
            raise ProtocolError(f"the server did not go on from byte {asked:,}")
        if status in (408, 429) or status >= 500:
            raise ProtocolError(f"the server answered {status}")
        if status not in (200, 206):
            moved = "look for it at github.com/facebookresearch/segment-anything"
            why = f"the server answered {status} for {self.url}: the file may have moved; {moved}"
            raise self._failed(why)
        length = fields.get("Content-Length")
        if status == 200 and length not in (None, str(self.size)):
            why = f"{self.url} offers {length} bytes instead of {self.size:,}: that is another file"
            raise self._failed(f"{why}, perhaps a login page of your network; log in and try again")
        return asked if status == 206 else 0

    def _append(self, response: urllib3.BaseHTTPResponse, here: int) -> None:
        with self._part.open("ab" if here else "wb") as file:
            self.report(here, self.size)
            # Not read(): before a cut it loses what came of the last block.
            while block := response.read1(BLOCK, decode_content=False):
                file.write(block)
                here += len(block)
                self.report(here, self.size)
            file.flush()
            os.fsync(file.fileno())
        if here != self.size:
            raise ProtocolError(f"{here:,} of {self.size:,} bytes came")

    def _move_verified(self) -> None:
        found = sha256(self._part)
        if found != self.sha256:
            self._part.unlink()
            why = f"what {self.url} sent has the sha256 {found} instead of {self.sha256} and was "
            why += "thrown away: something between you and the server changes files; "
            raise self._failed(f"{why}try another network")
        self._part.replace(self.path)


def _pool(url: str) -> urllib3.PoolManager:
    """Connections straight, or through what ``HTTPS_PROXY`` and ``NO_PROXY`` name."""
    target, timeout = urllib3.util.parse_url(url), urllib3.Timeout(SILENCE_SECONDS)
    named = getproxies().get(target.scheme or "")
    if not named or proxy_bypass(target.host or ""):
        return urllib3.PoolManager(timeout=timeout)
    proxy = urllib3.util.parse_url(named if "://" in named else f"http://{named}")
    login = urllib3.make_headers(proxy_basic_auth=unquote(proxy.auth)) if proxy.auth else None
    return urllib3.ProxyManager(proxy._replace(auth=None).url, timeout=timeout, proxy_headers=login)
