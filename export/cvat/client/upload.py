"""Send files to a CVAT server, in such a way that a broken upload can be done again.

How the server stores what arrives decides how an upload is repeated:

- Images sent together are noted by name before they are stored. Sent twice, they are refused
  with the status 500 and nothing is changed. So after such an answer each is sent alone, and
  one that is refused then is there already; the list of names that ends an upload is compared
  with what is there.
- A file sent in pieces gets a name of its own each time, so that an archive can always be
  sent again; an image of that name which is there already is refused with the status 409.
- The job that unpacks the images of a task has a name that can be told beforehand, so that a
  lost answer does not matter.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from urllib3.filepost import encode_multipart_formdata

from annotator.core.errors import CvatError, CvatUnreachable
from export.cvat.client.http import Connection, HttpRequest, reading, sending
from export.cvat.client.http_errors import ExchangeFailure, ServerResponse
from export.cvat.client.serialise import take, task_of

PIECE = 8 << 20
"""Bytes of a piece: a larger image goes in pieces."""
TOGETHER = 32 << 20
"""Bytes of images sent in one request; cvat-sdk sends up to 100 MB."""
VOC = "PASCAL VOC 1.1"
_TUS = {"Tus-Resumable": "1.0.0"}
_PIECE = "application/offset+octet-stream"


def upload_images(
    connection: Connection, task: int, files: Sequence[Path], is_empty: bool = False
) -> None:
    """Give a task its images and wait until it has them; nothing to do when it has.

    Parameters
    ----------
    connection : Connection
    task : int
    files : sequence of Path
    is_empty : bool
        The task is known to have no images and to get none just now: it is not asked first.

    Raises
    ------
    CvatError
        When the server refuses them, or two have one name.
    CvatUnreachable
        When it could not be reached as often as is sensible.
    """
    names = [path.name for path in files]
    if len(set(names)) < len(names) or not names:
        raise CvatError(f"expected images with names of their own for task {task}, got {names}")
    asked = iter([not is_empty])
    # Only the first attempt may trust in that.
    _repeat(connection, lambda: _upload(connection, task, files, next(asked, True)))


def _repeat(connection: Connection, action: Callable[[], None]) -> None:
    """Repeat an action as a whole, until it succeeds or the pauses of the policy are used up."""
    retries = connection.retries
    pauses, end = retries.pauses(), retries.clock() + 3 * retries.timeout_s
    while True:
        try:
            return action()
        except CvatUnreachable:
            pause = next(pauses, None)
            if pause is None or retries.clock() > end:
                raise
            connection.retries.sleep(pause)


def _upload(connection: Connection, task: int, files: Sequence[Path], ask: bool) -> None:
    if ask and _has_images(connection, task):
        return
    path, what = f"/api/tasks/{task}/data/", f"sending {len(files)} images to task {task}"
    connection.ask(_marked(path, "Upload-Start", what))
    # Where an image may or may not have arrived, the request that ends the upload will tell.
    certain = [_send(connection, path, group, what) for group in _groups(files)]
    finish = {
        "image_quality": 100,
        "sorting_method": "predefined",
        "upload_file_order": [f.name for f in files],
    }
    request = sending("POST", path, finish, what)
    request = replace(request, headers={**request.headers, "Upload-Finish": ""})
    answer = connection.attempt(request)
    if answer.status < 300:
        connection.wait(_request_id(connection, answer), _unpacking(task))
    elif not _has_images(connection, task):
        error = connection.refused(answer, what)
        # One of the uncertain images is missing after all: the next attempt sends it.
        raise error if all(certain) else CvatUnreachable(str(error))


def _has_images(connection: Connection, task: int) -> bool:
    """Whether a task has its images; waits where the server is just unpacking them."""
    what = _unpacking(task)
    name = f"action=create&target=task&target_id={task}"
    if connection.busy(name, what):
        connection.wait(name, what)
    record = connection.json(reading(f"/api/tasks/{task}", what))
    return task_of(record).frames > 0


def _unpacking(task: int) -> str:
    return f"unpacking the images of task {task}"


def _groups(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Files in their order, as many as go together; a large one alone."""
    group: list[Path] = []
    sizes: list[int] = []
    for path in files:
        more = path.stat().st_size
        if group and (sum(sizes) + more > TOGETHER or max(*sizes, more) > PIECE):
            yield group
            group, sizes = [], []
        group.append(path)
        sizes.append(more)
    if group:
        yield group


def _send(connection: Connection, path: str, files: list[Path], what: str) -> bool:
    """Send images; return whether they are certainly on the server."""
    if files[0].stat().st_size > PIECE:
        _send_pieces(connection, path, files[0], what)
        return True
    found = connection.once(_multipart(path, files, what))
    if isinstance(found, ServerResponse):
        if found.status >= 300:
            raise connection.refused(found, what)
        return True
    if found.status != 500:
        raise connection.unreachable(found, what)
    # Status 500: some may be there from an attempt whose answer was lost. Which, shows when each
    # is sent alone.
    if len(files) > 1:
        certain = [_send(connection, path, [file], what) for file in files]
        return all(certain)
    return False


def _multipart(path: str, files: list[Path], what: str) -> HttpRequest:
    fields: dict[str, Any] = {"image_quality": "100"}
    for number, file in enumerate(files):
        fields[f"client_files[{number}]"] = (file.name, file.read_bytes())
    body, kind = encode_multipart_formdata(fields)
    headers = {"Content-Type": kind, "Upload-Multiple": ""}
    return HttpRequest("POST", path, what, {}, body, headers)


def _send_pieces(connection: Connection, path: str, file: Path, what: str) -> str:
    """Send a file in pieces; return the name that the server gave it."""
    size = file.stat().st_size
    name = base64.b64encode(file.name.encode()).decode()
    headers = {**_TUS, "Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
    # The server gives another name each time: what an attempt with a lost answer began is left.
    answer = connection.attempt(HttpRequest("POST", path, what, headers=headers, repeat=True))
    # Refused only where the whole image is there already.
    if answer.status == 409:
        return file.name
    if answer.status >= 300:
        raise connection.refused(answer, what)
    location, given = answer.headers.get("location"), answer.headers.get("upload-filename")
    if not location or not given:
        raise CvatError(
            f"{connection.url}: expected a place for the pieces of a file, got none; does a proxy "
            "in front of CVAT remove headers?"
        )
    prefix = urlsplit(connection.url).path
    _send_all(connection, urlsplit(location).path.removeprefix(prefix), file, what)
    return given


def _send_all(connection: Connection, path: str, file: Path, what: str) -> None:
    size, offset = file.stat().st_size, 0
    with file.open("rb") as stream:
        while offset < size:
            piece = stream.read(PIECE)
            headers = {**_TUS, "Upload-Offset": str(offset), "Content-Type": _PIECE}
            answer = connection.attempt(HttpRequest("PATCH", path, what, {}, piece, headers))
            if answer.status in (404, 409):
                failure = ExchangeFailure("the pieces of a file came in another order than sent")
                raise connection.unreachable(failure, what)
            if answer.status >= 300:
                raise connection.refused(answer, what)
            offset += len(piece)


def import_archive(connection: Connection, task: int, archive: Path, form: str) -> None:
    """Import annotations into a task as masks, replacing what it has; wait until it is done.

    Raises
    ------
    CvatError
        When the server refuses the archive.
    CvatUnreachable
        When it could not be reached as often as is sensible.
    """
    _repeat(connection, lambda: _import(connection, task, archive, form))


def _import(connection: Connection, task: int, archive: Path, form: str) -> None:
    path, what = f"/api/tasks/{task}/annotations/", f"importing annotations into task {task}"
    query = {"format": form, "filename": archive.name, "conv_mask_to_poly": "false"}
    connection.ask(_marked(path, "Upload-Start", what, query))
    given = _send_pieces(connection, path, archive, what)
    request = _marked(path, "Upload-Finish", what, {**query, "filename": given})
    answer = connection.attempt(request)
    if answer.status == 409:
        _settle(connection, f"action=import&target=task&target_id={task}&subresource=annotations")
        raise connection.unreachable(ExchangeFailure("the server was at another import"), what)
    if answer.status >= 300:
        raise connection.refused(answer, what)
    connection.wait(_request_id(connection, answer), what)


def _settle(connection: Connection, name: str) -> None:
    """Wait for a job that somebody else began, however it ends."""
    with contextlib.suppress(CvatError):
        connection.wait(name, "waiting for another import")


def _marked(
    path: str, mark: str, what: str, query: Mapping[str, object] | None = None
) -> HttpRequest:
    headers = {mark: "", "Content-Type": "application/json"}
    return HttpRequest(
        "POST", path, what, query or {}, headers=headers, repeat=mark == "Upload-Start"
    )


def _request_id(connection: Connection, answer: ServerResponse) -> str:
    try:
        return take(answer.json(), "rq_id", str, "a job")
    except ValueError:
        failure = ExchangeFailure("the answer was cut short")
        raise connection.unreachable(failure, "handing over a file") from None
