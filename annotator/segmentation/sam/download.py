"""Bring one large file over HTTP: resumed where it was cut, verified, moved into place."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from annotator.core.errors import WeightsError

BLOCK = 1 << 18
Progress = Callable[[int, int], None]


class Headers(Protocol):
    """Header fields of a response."""

    def get(self, name: str, /) -> str | None:
        """Value of a field, or None."""


class Response(Protocol):
    """An answer whose body can be read piece by piece."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def headers(self) -> Headers:
        """Header fields."""

    def read(self, amount: int, /) -> bytes:
        """Return at most this many bytes of the body; none at its end."""


class Opener(Protocol):
    """Opens a URL. Failures are ``urllib.error``'s, ``OSError`` or ``http.client``'s."""

    def __call__(
        self, request: urllib.request.Request, timeout: float
    ) -> AbstractContextManager[Response]:
        """Send the request and return the response, to be closed by the caller."""


def open_url(request: urllib.request.Request, timeout: float) -> AbstractContextManager[Response]:
    """Open by the standard library, through the proxies of the environment."""
    response: AbstractContextManager[Response] = urllib.request.urlopen(request, timeout=timeout)
    return response


@dataclass(frozen=True, slots=True)
class Fetching:
    """Patience with a connection.

    Parameters
    ----------
    attempts : int
        Connections made at most; each goes on where the last one was cut.
    timeout_s : float
        Seconds of silence after which a connection counts as cut.
    pause_s : float
        Seconds before the second attempt; doubled before each one after it.
    opener : Opener
    """

    attempts: int = 6
    timeout_s: float = 30.0
    pause_s: float = 1.0
    opener: Opener = field(default=open_url)


class _Cut(Exception):
    """A connection ended early, or an answer cannot be used; another attempt may help."""


@dataclass(frozen=True, slots=True)
class _Job:
    url: str
    path: Path
    size: int
    sha256: str
    fetching: Fetching
    on_progress: Progress | None

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    @property
    def here(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def report(self, done: int) -> None:
        if self.on_progress is not None:
            self.on_progress(done, self.size)

    def by_hand(self) -> str:
        return f"or download {self.url} elsewhere and put it at {self.path}"


def download(
    url: str,
    path: Path,
    size: int,
    sha256: str,
    fetching: Fetching,
    on_progress: Progress | None = None,
) -> None:
    """Fetch a file of known size and hash; what lies at `path` before stays until then.

    Bytes gather in ``NAME.part`` beside it, which a later call goes on with.

    Raises
    ------
    WeightsError
        With what happened, and how to bring the file by hand.
    """
    job = _Job(url, path, size, sha256, fetching, on_progress)
    try:
        _make_room(job)
        resumed = job.here > 0
        _gather(job)
        found = _sha256(job.part)
        if resumed and found != sha256:
            # The old piece may be what is wrong: once more, from the first byte.
            job.part.unlink()
            _gather(job)
            found = _sha256(job.part)
        _settle(job, found)
    except OSError as error:
        raise WeightsError(
            f"cannot write {job.part}: {error.strerror or error}; make room or set "
            f"TREPHINE_WEIGHTS to another folder"
        ) from error


def _make_room(job: _Job) -> None:
    job.path.parent.mkdir(parents=True, exist_ok=True)
    needed, free = job.size - job.here, shutil.disk_usage(job.path.parent).free
    if needed > free:
        raise WeightsError(
            f"{job.path.name} needs {needed / 1e6:,.0f} MB in {job.path.parent}, "
            f"{free / 1e6:,.0f} MB are free: make room or set TREPHINE_WEIGHTS to another folder"
        )


def _gather(job: _Job) -> None:
    """Connect until the part is as long as the file, or patience ends."""
    last = ""
    for attempt in range(job.fetching.attempts):
        if job.here == job.size:
            return
        if attempt:
            time.sleep(job.fetching.pause_s * 2 ** (attempt - 1))
        try:
            _connect(job)
        except _Cut as cut:
            last = str(cut)
        except urllib.error.URLError as error:
            if attempt == 0:
                raise WeightsError(
                    f"no connection to {job.url} ({error.reason}): check the network and the "
                    f"proxy and run the same command again, {job.by_hand()}"
                ) from error
            last = str(error.reason)
    if job.here != job.size:
        raise WeightsError(
            f"{job.url} broke off {job.fetching.attempts} times ({last}); {job.here:,} of "
            f"{job.size:,} bytes are kept: run the same command again to go on, {job.by_hand()}"
        )


def _connect(job: _Job) -> None:
    """Make one connection and append what it brings."""
    if job.here > job.size:
        job.part.unlink()
    start = job.here
    headers = {"User-Agent": "trephine", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(job.url, headers=headers)
    try:
        response = job.fetching.opener(request, job.fetching.timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        _refused(job, error.code)
    except urllib.error.URLError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _Cut(f"no answer: {error}") from error
    else:
        with response as answer:
            _append(job, answer, start)


def _refused(job: _Job, status: int) -> None:
    if status == 416:
        # Our piece does not fit the server's file: begin again.
        job.part.unlink(missing_ok=True)
        raise _Cut("the server refused to go on where we were")
    if status in (408, 429) or status >= 500:
        raise _Cut(f"the server answered {status}")
    raise WeightsError(
        f"the server answered {status} for {job.url}: the file may have moved; "
        f"look for {job.path.name} at github.com/facebookresearch/segment-anything, "
        f"{job.by_hand()}"
    )


def _append(job: _Job, response: Response, start: int) -> None:
    whole = response.headers.get("Content-Length")
    if response.status == 206:
        _check_range(job, response.headers.get("Content-Range"), start)
    elif whole is not None and whole != str(job.size):
        raise WeightsError(
            f"{job.url} offers {whole} bytes instead of {job.size:,}: that is another file, "
            f"perhaps a login page of your network; log in and try again, {job.by_hand()}"
        )
    else:
        start = 0
    with job.part.open("ab" if start else "wb") as file:
        try:
            _copy(job, response, file.write, start)
        finally:
            file.flush()
            os.fsync(file.fileno())


def _check_range(job: _Job, answer: str | None, start: int) -> None:
    span, _, total = (answer or "").removeprefix("bytes ").partition("/")
    if span.partition("-")[0] != str(start) or total not in ("*", str(job.size)):
        job.part.unlink(missing_ok=True)
        raise _Cut(f"asked for bytes from {start}, the server sent {answer!r}")


def _copy(job: _Job, response: Response, write: Callable[[bytes], int], done: int) -> None:
    job.report(done)
    while True:
        try:
            block = response.read(BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise _Cut(f"after {done:,} bytes: {error}") from error
        if not block:
            break
        write(block)
        done += len(block)
        job.report(done)
        if done > job.size:
            raise _Cut("the server sent more than the file has")
    if done < job.size:
        raise _Cut(f"the connection closed after {done:,} bytes")


def _settle(job: _Job, found: str) -> None:
    """Move a verified part into place, or throw a wrong one away."""
    if found != job.sha256:
        job.part.unlink()
        raise WeightsError(
            f"what {job.url} sent has the sha256 {found} instead of {job.sha256} and was thrown "
            f"away: something between you and the server changes files; try another network, "
            f"{job.by_hand()}"
        )
    job.part.replace(job.path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
