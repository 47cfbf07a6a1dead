"""Tasks and pictures on a server: each is looked for before it is made.

A broken connection leaves it unknown whether a request arrived. So nothing is made before the
server was asked whether it exists. A request that was delivered twice makes two tasks of one
name: the empty one of them is removed when all is sent, or by the next push.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from annotator.core.errors import CvatError, CvatLoggedOut, CvatUnreachable, ImageError
from annotator.core.files import storage_error
from annotator.imaging.codecs import encode_sent_png
from annotator.imaging.read import read_image
from annotator.study.cvat import TaskImages
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from export.cvat.client.server import CvatFrame, CvatProject, CvatServer, CvatTask
from export.cvat.pull_frames import GONE, why_absent
from export.cvat.push_plan import make_batch
from export.cvat.push_report import FAILED, PushedImage
from export.sent_pictures import png_as_it_is


def picture_name(image_id: str) -> str:
    """Name of a picture on the server: its content hash, so that no patient's name travels.

    Examples
    --------
    >>> picture_name("0123456789abcdef")
    '0123456789abcdef.png'
    """
    return f"{image_id}.png"


# A task and its pictures


@dataclass(slots=True)
class TaskPictures:
    """The pictures of one batch as PNG files: made once, however often they are sent.

    Parameters
    ----------
    study : Study
    folder : Path
        Where the files lie until they are sent.
    images : mapping of str to KnownImage
        All images of the study, by id.
    unreadable : dict of str to PushedImage
        Images whose file cannot be read or holds another picture, by id; filled by `files`.
    """

    study: Study
    folder: Path
    images: Mapping[str, KnownImage]
    unreadable: dict[str, PushedImage] = field(default_factory=dict)

    def files(self, image_ids: Sequence[str]) -> list[Path]:
        """Make the files of some images, where they are not there yet.

        Returns
        -------
        list of Path
            One for each image that can be read; the others are in ``unreadable`` afterwards.
        """
        paths = []
        for image_id in image_ids:
            path = self.folder / picture_name(image_id)
            if image_id not in self.unreadable and not path.exists():
                self._make(self.images[image_id], path)
            if image_id not in self.unreadable:
                paths.append(path)
        return paths

    def _make(self, image: KnownImage, path: Path) -> None:
        """Write the pixels alone: a slide's metadata may name the patient."""
        png = png_as_it_is(Path(image.source), image.id, image.shape) or self._packed(image)
        if png is None:
            return
        try:
            path.write_bytes(png)
        except OSError as error:
            raise storage_error(path, error) from error

    def _packed(self, image: KnownImage) -> bytes | None:
        """The decoded pixels as PNG; None where they cannot be read, or are others."""
        try:
            read = read_image(Path(image.source), self.study.settings.read)
        except ImageError as error:
            self._refuse(image, f"{image.source}: {error}")
            return None
        if read.id != image.id:
            self._refuse(image, f"{image.source}: holds another picture now; annotate it again")
            return None
        return encode_sent_png(read.pixels)

    def _refuse(self, image: KnownImage, note: str) -> None:
        self.unreadable[image.id] = PushedImage(image.name, FAILED, note=note)

    def clear(self) -> None:
        """Remove the files."""
        for path in self.folder.glob("*.png"):
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedTask:
    """A task on the server that has its pictures.

    Parameters
    ----------
    batch : TaskImages
        Without the images that could not be read.
    task : CvatTask
    frame_numbers : mapping of str to int
        Number of the frame that shows each image, by the id of the image.
    uploaded : int
        Bytes of pictures that this push sent; 0 where the task had them already.
    """

    batch: TaskImages
    task: CvatTask
    frame_numbers: Mapping[str, int]
    uploaded: int = 0


def ensure_task(
    server: CvatServer, project: CvatProject, batch: TaskImages, pictures: TaskPictures
) -> PreparedTask | None:
    """Find the task of a batch or make it, and see that it has its pictures.

    Parameters
    ----------
    server : CvatServer
    project : CvatProject
    batch : TaskImages
    pictures : TaskPictures

    Returns
    -------
    PreparedTask or None
        None where no image of the batch can be read.

    Raises
    ------
    CvatError
        When the task holds other pictures, or two tasks of its name hold any.
    """
    study = pictures.study
    # A task that was sent before is known by its id too: people may have renamed it in CVAT.
    sent_ids = {sent.task_id for sent in study.cvat.sent() if sent.task_name == batch.task_name}
    task = find_task(server, project, batch.task_name, sent_ids)
    if task is None and sent_ids:
        _check_deleted(server, batch, sent_ids)
    uploaded = 0
    if task is None or not task.frames:
        files = pictures.files(batch.image_ids)
        if len(files) < len(batch.image_ids):
            return _without_unreadable(server, project, batch, pictures, task)
        if task is None:
            # A request that was delivered twice made a second one: it stays empty, and is
            # removed at the end of the push, or by the next.
            task = server.create_task(
                project.id, batch.task_name, study.settings.cvat.frames_per_job
            )
        _upload(server, task, files)
        uploaded = sum(path.stat().st_size for path in files)
    frames = server.frames(task.id)
    # Whatever people call it in CVAT, in the study it keeps the name of its batch.
    task = replace(task, name=batch.task_name)
    return PreparedTask(batch, task, _frame_numbers(task, frames, batch, pictures.images), uploaded)


def _check_deleted(server: CvatServer, batch: TaskImages, sent_ids: Collection[int]) -> None:
    """Refuse to make a task again that was not deleted, but moved or is not to be seen."""
    for task_id in sorted(sent_ids):
        why = why_absent(server, task_id)
        if why != GONE:
            raise CvatError(
                f"task {task_id}, to which {len(batch.image_ids)} images were sent, is {why}: "
                "nothing was made in its place; move it back into the project in CVAT, or log in "
                "as somebody who may see it"
            )


def _upload(server: CvatServer, task: CvatTask, files: Sequence[Path]) -> None:
    """Send the pictures.

    The server refuses pictures that it has already. After an upload whose answer was lost such
    a refusal is good news: it is an error only where the task does not hold them.
    """
    try:
        server.upload(task.id, files)
    except (CvatUnreachable, CvatLoggedOut):
        raise
    except CvatError:
        on_server: tuple[CvatFrame, ...] = ()
        with suppress(CvatError):
            on_server = server.frames(task.id)
        if {frame.name for frame in on_server} != {path.name for path in files}:
            raise


def _without_unreadable(
    server: CvatServer,
    project: CvatProject,
    batch: TaskImages,
    pictures: TaskPictures,
    task: CvatTask | None,
) -> PreparedTask | None:
    """Make a task of those images of a batch that can be read.

    The name of a task depends on its images, so this is another batch: it takes the place of
    the first one in the study, and the empty task of that one is removed.
    """
    readable = [image_id for image_id in batch.image_ids if image_id not in pictures.unreadable]
    if task is not None:
        server.delete_task(task.id)
    smaller = [make_batch(pictures.study.cvat.study_key(), readable)] if readable else []
    pictures.study.cvat.note_batches(smaller, instead_of=[batch.task_name])
    return ensure_task(server, project, smaller[0], pictures) if smaller else None


def find_task(
    server: CvatServer, project: CvatProject, name: str, sent_ids: Collection[int] = ()
) -> CvatTask | None:
    """The one task of this name; a second one that is empty is removed.

    The name holds a digest of the images, so a second task of it is this study's: a request
    that was delivered twice made it.

    Parameters
    ----------
    server : CvatServer
    project : CvatProject
    name : str
    sent_ids : collection of int
        Ids of tasks that were sent under this name, and may be called otherwise since.

    Raises
    ------
    CvatError
        When two of them hold pictures.
    """
    found = [t for t in server.tasks(project.id) if t.name == name or t.id in sent_ids]
    with_pictures = [task for task in found if task.frames]
    if len(with_pictures) > 1:
        numbers = ", ".join(str(task.id) for task in with_pictures)
        raise CvatError(
            f"several tasks are called {name!r} and hold pictures: {numbers}; remove the one that "
            "nobody worked on in CVAT, and push again"
        )
    chosen = next(iter(with_pictures or found), None)
    for task in found:
        if task is not chosen:
            server.delete_task(task.id)
    return chosen


def _frame_numbers(
    task: CvatTask, frames: Sequence[CvatFrame], batch: TaskImages, images: Mapping[str, KnownImage]
) -> dict[str, int]:
    """Number of the frame of each image; the task has to hold exactly the pictures of its batch.

    Frames are found by their names, not by their order: the server sorts as it likes.
    """
    on_server = {frame.name: (number, frame) for number, frame in enumerate(frames)}
    numbers = {}
    for image_id in batch.image_ids:
        number, frame = on_server.pop(picture_name(image_id), (-1, None))
        height, width = images[image_id].shape
        if frame is None or (frame.height, frame.width) != (height, width):
            size = "nothing" if frame is None else f"{frame.width} x {frame.height}"
            raise CvatError(
                f"task {task.id}: expected {images[image_id].name!r} as {picture_name(image_id)}, "
                f"{width} x {height} pixels, got {size}; remove the task in CVAT, and push again"
            )
        numbers[image_id] = number
    if on_server:
        raise CvatError(
            f"task {task.id}: holds pictures that were not sent, such as {min(on_server)!r}; "
            "rename the task in CVAT if it is somebody's, and push again"
        )
    return numbers
