"""The annotations of a task as one PASCAL VOC archive, which CVAT turns into masks.

An import replaces what every frame of the task holds. So all jobs are looked at first, and the
whole task is left alone when a person has touched any of them.

The order is that of :mod:`export.cvat.push_jobs`, with one difference: the server cuts the
archive into shapes of its own, which nobody knows before they are read back. What is noted
ahead of the import is therefore a marker of the map
(:func:`export.cvat.push_jobs.map_marker`), not a digest of shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.cvat.client.server import CvatShape, Shapes
from export.cvat.client.shapes import difference, digest, paint_frame
from export.cvat.push_jobs import (
    assign,
    fault_text,
    map_marker,
    record_sent,
    shapes_of_frame,
    shows_rough_map,
    why_touched,
)
from export.cvat.push_payload import JobContents, JobFrame, PushContext, TaskJob, read_contents
from export.cvat.push_plan import why_not_voc
from export.cvat.push_report import FAILED, SAME, SENT, TOUCHED, PushedImage
from export.formats.voc import write_voc
from export.shapes import ExportImage, ExportOptions


def send_archive(
    context: PushContext, task_jobs: Sequence[TaskJob], folder: Path
) -> list[PushedImage]:
    """Make a task hold the rough maps of its images, unless a person touched it.

    Parameters
    ----------
    context : PushContext
    task_jobs : sequence of TaskJob
        All jobs of the task.
    folder : Path
        Where the archive lies until it is sent.

    Returns
    -------
    list of PushedImage
        One for each image of the task.

    Raises
    ------
    CvatError
        When the server refuses.
    """
    states = [_look_at_job(context, task_job) for task_job in task_jobs]
    # An import is one long job of the server: where every map is there already, it is saved.
    imported = not all(state.shows_map for state in states)
    if imported:
        reason = next((state.touched for state in states if state.touched), "")
        if reason:
            return [image for job in task_jobs for image in _leave(context, job, reason)]
        fault = next((state.fault for state in states if state.fault), "")
        if fault:
            ids = (image_id for job in task_jobs for image_id in job.image_ids)
            return [PushedImage(context.images[i].name, FAILED, note=fault) for i in ids]
        _import(context, task_jobs, folder)
    return [image for job in task_jobs for image in _verify(context, job, imported)]


@dataclass(frozen=True, slots=True)
class _JobState:
    """What a job holds before an import.

    Parameters
    ----------
    shows_map : bool
        Every frame paints its rough map to the pixel.
    touched : str
        Why it counts as touched by a person; empty where nobody touched it.
    fault : str
        Why an archive cannot hold what the job is to show; empty where it can.
    """

    shows_map: bool
    touched: str
    fault: str


def _look_at_job(context: PushContext, task_job: TaskJob) -> _JobState:
    contents = read_contents(context, task_job)
    on_server = context.server.shapes(task_job.job.id)
    shows_map = all(shows_rough_map(context, frame, on_server) for frame in contents.frames)
    # Asked even where the maps are there: an import that another job of the task needs would
    # replace what is in this one, too.
    touched = why_touched(context, contents, on_server)
    return _JobState(shows_map, touched, _archive_fault(contents, on_server))


def _archive_fault(contents: JobContents, on_server: Shapes) -> str:
    """Why an archive cannot hold what the job is to show; empty where it can."""
    for job_frame in contents.frames:
        reason = why_not_voc(job_frame.rough)
        if reason:
            return f"its task was not sent: {job_frame.image.name} has {reason}"
    if contents.failed and on_server.shapes:
        return f"its task was not sent: that would wipe {contents.failed[0].image}, which failed"
    return ""


def _leave(context: PushContext, task_job: TaskJob, reason: str) -> list[PushedImage]:
    """Leave a job as it is; what an archive brought but nobody noted as sent is noted now."""
    text = f"left as it is: {reason}, and a PASCAL VOC import would replace the whole task"
    contents, cvat = read_contents(context, task_job), context.study.cvat
    for job_frame in contents.frames:
        never_sent = cvat.verified(task_job.job.id, job_frame.frame) is None
        puts = cvat.puts(task_job.job.id, job_frame.frame)
        if never_sent and map_marker(job_frame.rough) in puts:
            # The person changed the shapes before they were ever read back: which they were is
            # not known any more, the map is.
            record_sent(context, contents, job_frame, ())
    images = [PushedImage(frame.image.name, TOUCHED, note=text) for frame in contents.frames]
    return [*images, *contents.failed]


def _import(context: PushContext, task_jobs: Sequence[TaskJob], folder: Path) -> None:
    archive = folder / "annotations.zip"
    options = ExportOptions(False, True)
    classes = context.study.settings.classes
    write_voc(archive, _export_images(context, task_jobs), classes, options)
    context.server.import_voc(task_jobs[0].prepared.task.id, archive)
    archive.unlink(missing_ok=True)


def _export_images(context: PushContext, task_jobs: Sequence[TaskJob]) -> Iterator[ExportImage]:
    """Images of a task, those of one job in memory at a time.

    The markers of their maps are noted on the way, so all are noted before the archive leaves.
    """
    for task_job in task_jobs:
        contents = read_contents(context, task_job)
        markers = {frame.frame: map_marker(frame.rough) for frame in contents.frames}
        context.study.cvat.note_puts(task_job.job.id, markers)
        for frame in contents.frames:
            yield ExportImage(frame.image.id, f"{frame.image.id}.png", frame.rough)


def _verify(context: PushContext, task_job: TaskJob, imported: bool) -> list[PushedImage]:
    """Compare what the server holds with the rough maps, and note what is the same as sent."""
    contents = read_contents(context, task_job)
    on_server = context.server.shapes(task_job.job.id)
    images = list(contents.failed)
    for job_frame in contents.frames:
        name, frame, size = job_frame.image.name, job_frame.frame, job_frame.image.shape
        painted = paint_frame(on_server.shapes, frame, size, context.labels)
        differing = difference(job_frame.rough, painted)
        if differing:
            fault = fault_text(job_frame.image, contents.job, differing)
            images.append(PushedImage(name, FAILED, note=fault))
            continue
        shapes = shapes_of_frame(on_server, frame)
        is_new = _is_ours(context, task_job, job_frame, shapes, imported) and record_sent(
            context, contents, job_frame, shapes
        )
        images.append(PushedImage(name, SENT if is_new else SAME, len(shapes)))
    if any(image.status != FAILED for image in images):
        assign(context, contents.job)
    return images


def _is_ours(
    context: PushContext,
    task_job: TaskJob,
    job_frame: JobFrame,
    shapes: Sequence[CvatShape],
    imported: bool,
) -> bool:
    """Whether shapes that paint our map are ours to note.

    A person may have redrawn an object so that it covers the same pixels: noting those shapes
    as put by us would hide that somebody was there.
    """
    cvat, job_id = context.study.cvat, task_job.job.id
    never_sent = cvat.verified(job_id, job_frame.frame) is None
    return imported or never_sent or digest(shapes) in cvat.puts(job_id, job_frame.frame)
