"""Project, tasks and pictures on a server: each looked for before it is made.

Whatever a broken connection left unknown is seen at the next look: nothing is made twice, and
a second one that a delivery made twice goes away while it is empty.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from annotator.core.errors import CvatError, CvatUnreachable, ImageError, UsageError
from annotator.core.files import storage_error
from annotator.imaging.codecs import encode_small_png
from annotator.imaging.read import read_image
from annotator.study.cvat import Binding, TaskImages
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from export.cvat.client.labels import LabelIds, label_differences, labels_of
from export.cvat.client.server import CvatFrame, CvatProject, CvatServer, CvatTask
from export.cvat.push_plan import make_batch
from export.cvat.push_report import FAILED, PushedImage


def picture_name(image_id: str) -> str:
    """Name of a picture on the server, which tells nothing of where it came from."""
    return f"{image_id}.png"


# The project


def ensure_project(
    study: Study, server: CvatServer, notes: list[str]
) -> tuple[CvatProject, LabelIds]:
    """Find the study's project or make it, and check its labels.

    Raises
    ------
    UsageError
        When the study was sent to another server or project before.
    CvatError
        When the labels there are not those of the study, with the differences.
    """
    url = server.info.url
    study.cvat.check_server(url)
    key = study.cvat.study_key()
    name = study.settings.cvat.project or f"Trephine {key}"
    project = _bound(study, server, name, notes) or _named(server, name, notes)
    if project is None:
        server.create_project(name, labels_of(study.settings.classes))
        # Looked for once more: a request that was delivered twice made two.
        project = _named(server, name, notes)
    if project is None:
        raise CvatError(f"{url}: the project {name!r} was made and is not there; push again")
    labels = server.labels(project.id)
    lines = label_differences(labels_of(study.settings.classes), labels)
    if lines:
        raise CvatError(
            f"project {project.name!r} at {url}: expected the labels of the study; "
            + "; ".join(lines)
            + ". Correct them in CVAT, or name another project in [cvat] of study.toml"
        )
    study.cvat.bind(Binding(url, project.id, project.name, key))
    return project, LabelIds(labels)


def _bound(study: Study, server: CvatServer, name: str, notes: list[str]) -> CvatProject | None:
    """The project that was used before; None where there was none, or it is gone."""
    bound = study.cvat.binding()
    if bound is None:
        return None
    try:
        server.labels(bound.project_id)
    except CvatUnreachable:
        raise
    except CvatError as error:
        notes.append(f"project {bound.project_id} cannot be used any more: {error}")
        return None
    if study.settings.cvat.project not in ("", bound.project_name):
        raise UsageError(
            f"expected the project {bound.project_name!r}, to which this study was sent, got "
            f"{name!r}; set project in [cvat] of study.toml back, or make a new study"
        )
    return CvatProject(bound.project_id, bound.project_name)


def _named(server: CvatServer, name: str, notes: list[str]) -> CvatProject | None:
    """The project of this name; of several the first that has tasks, else the first."""
    found = server.projects(name)
    if len(found) < 2:
        return found[0] if found else None
    kept = next((one for one in found if server.tasks(one.id)), found[0])
    others = ", ".join(str(one.id) for one in found if one.id != kept.id)
    notes.append(
        f"several projects are called {name!r}: {kept.id} is used; remove {others} in CVAT if empty"
    )
    return kept


# A task and its pictures


@dataclass(slots=True)
class TaskPictures:
    """The pictures of one batch on their way: made once, however often they are sent.

    Parameters
    ----------
    study : Study
    folder : Path
        Where the files lie until they are sent.
    images : mapping of str to KnownImage
        By id.
    """

    study: Study
    folder: Path
    images: Mapping[str, KnownImage]
    bad: dict[str, PushedImage] = field(default_factory=dict)

    def files(self, image_ids: Sequence[str]) -> list[Path]:
        """Files of the images that can be read; the others are in ``bad`` then."""
        paths = []
        for image_id in image_ids:
            path = self.folder / picture_name(image_id)
            if image_id not in self.bad and not path.exists():
                self._make(self.images[image_id], path)
            if image_id not in self.bad:
                paths.append(path)
        return paths

    def _make(self, image: KnownImage, path: Path) -> None:
        """Decoded pixels alone: names, places and notes in the original stay here."""
        try:
            found = read_image(Path(image.source), self.study.settings.read)
        except ImageError as error:
            self._refuse(image, f"{image.source}: {error}")
            return
        if found.id != image.id:
            self._refuse(image, f"{image.source}: holds another picture now; annotate it again")
            return
        try:
            path.write_bytes(encode_small_png(found.pixels))
        except OSError as error:
            raise storage_error(path, error) from error

    def _refuse(self, image: KnownImage, note: str) -> None:
        self.bad[image.id] = PushedImage(image.name, FAILED, note=note)

    def clear(self) -> None:
        """Remove the files."""
        for path in self.folder.glob("*.png"):
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedTask:
    """A task that has its pictures.

    Parameters
    ----------
    batch : TaskImages
        Without the images that could not be read.
    task : CvatTask
    numbers : mapping of str to int
        Frame of each image, by its id.
    uploaded : int
        Bytes that were sent for it now.
    """

    batch: TaskImages
    task: CvatTask
    numbers: Mapping[str, int]
    uploaded: int = 0


def ensure_task(
    server: CvatServer, project: CvatProject, batch: TaskImages, made: TaskPictures
) -> PreparedTask | None:
    """Find the task of a batch or make it, with its pictures; None where no image is left.

    Raises
    ------
    CvatError
        When the task holds other pictures, or two tasks of its name hold any.
    """
    study = made.study
    noted = {one.task_id for one in study.cvat.sent() if one.task_name == batch.task_name}
    task = find_task(server, project, batch.task_name, noted)
    uploaded = 0
    if task is None or not task.frames:
        files = made.files(batch.image_ids)
        if len(files) < len(batch.image_ids):
            return _without_bad(server, project, batch, made, task)
        if task is None:
            server.create_task(project.id, batch.task_name, study.settings.cvat.frames_per_job)
            task = find_task(server, project, batch.task_name)
        if task is None:
            raise CvatUnreachable(f"task {batch.task_name!r} was made and is not there")
        _upload(server, task, files)
        uploaded = sum(path.stat().st_size for path in files)
    frames = server.frames(task.id)
    # Whatever people call it there, here it keeps the name by which it is looked for.
    task = replace(task, name=batch.task_name)
    return PreparedTask(batch, task, _numbers(task, frames, batch, made.images), uploaded)


def _upload(server: CvatServer, task: CvatTask, files: Sequence[Path]) -> None:
    """Send the pictures; one that arrived twice is refused, and there all the same."""
    try:
        server.upload(task.id, files)
    except CvatUnreachable:
        raise
    except CvatError:
        there: tuple[CvatFrame, ...] = ()
        with suppress(CvatError):
            there = server.frames(task.id)
        if {frame.name for frame in there} != {path.name for path in files}:
            raise


def _without_bad(
    server: CvatServer,
    project: CvatProject,
    batch: TaskImages,
    made: TaskPictures,
    task: CvatTask | None,
) -> PreparedTask | None:
    """Make the task of the images that can be read."""
    good = [image_id for image_id in batch.image_ids if image_id not in made.bad]
    if task is not None:
        server.delete_task(task.id)
    smaller = [make_batch(made.study.cvat.study_key(), good)] if good else []
    made.study.cvat.note_batches(smaller, instead_of=[batch.task_name])
    return ensure_task(server, project, smaller[0], made) if smaller else None


def find_task(
    server: CvatServer, project: CvatProject, name: str, noted: Collection[int] = ()
) -> CvatTask | None:
    """The one task of this name; an empty second one, which is ours by its name, is removed.

    One whose id is `noted` was sent under that name, and people call it otherwise since.

    Raises
    ------
    CvatError
        When two of them hold pictures.
    """
    found = [t for t in server.tasks(project.id) if t.name == name or t.id in noted]
    full = [task for task in found if task.frames]
    if len(full) > 1:
        numbers = ", ".join(str(task.id) for task in full)
        raise CvatError(
            f"several tasks are called {name!r} and hold pictures: {numbers}; remove the one that "
            "nobody worked on in CVAT, and push again"
        )
    kept = next(iter(full or found), None)
    for task in found:
        if task is not kept:
            server.delete_task(task.id)
    return kept


def _numbers(
    task: CvatTask, frames: Sequence[CvatFrame], batch: TaskImages, images: Mapping[str, KnownImage]
) -> dict[str, int]:
    """Frame of each image by name; the server has to hold just what was sent."""
    there = {frame.name: (number, frame) for number, frame in enumerate(frames)}
    numbers = {}
    for image_id in batch.image_ids:
        number, frame = there.pop(picture_name(image_id), (-1, None))
        height, width = images[image_id].shape
        if frame is None or (frame.height, frame.width) != (height, width):
            size = "nothing" if frame is None else f"{frame.width} x {frame.height}"
            raise CvatError(
                f"task {task.id}: expected {images[image_id].name!r} as {picture_name(image_id)}, "
                f"{width} x {height} pixels, got {size}; remove the task in CVAT, and push again"
            )
        numbers[image_id] = number
    if there:
        raise CvatError(
            f"task {task.id}: holds pictures that were not sent, such as {min(there)!r}; rename "
            "the task in CVAT if it is somebody's, and push again"
        )
    return numbers
