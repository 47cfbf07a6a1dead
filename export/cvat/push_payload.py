"""What each job of a task is to hold: its rough maps, drawn as shapes before they are sent."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from annotator.core.errors import CvatError, StudyError
from annotator.core.label_maps import LabelMaps
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from export.cvat.client.labels import LabelIds
from export.cvat.client.server import ANNOTATION, CvatJob, CvatServer
from export.cvat.client.shapes import ImageShapes, check, difference, digest, draw
from export.cvat.push_plan import read_rough
from export.cvat.push_report import FAILED, PushedImage
from export.cvat.push_tasks import PreparedTask, picture_name


@dataclass(frozen=True, slots=True, eq=False)
class PushContext:
    """What every job of a push needs.

    Parameters
    ----------
    study : Study
    server : CvatServer
    labels : LabelIds
        Ids of the study's labels on the server.
    images : mapping of str to KnownImage
        All images of the study, by id.
    assignee : (str, int) or None
        User name and user id of the person who is to correct the jobs.
    """

    study: Study
    server: CvatServer
    labels: LabelIds
    images: Mapping[str, KnownImage]
    assignee: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TaskJob:
    """A job of a task, before any rough map of it is read.

    Parameters
    ----------
    prepared : PreparedTask
    job : CvatJob
    image_ids : tuple of str
        The images of this study that the job shows, in the order of its frames.
    """

    prepared: PreparedTask
    job: CvatJob
    image_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class JobFrame:
    """One frame of a job, with the map that it is to show.

    Parameters
    ----------
    image : KnownImage
    frame : int
        Number of the frame in its task, from 0.
    rough : LabelMaps
        The rough annotation, (H, W) as the image.
    """

    image: KnownImage
    frame: int
    rough: LabelMaps


@dataclass(frozen=True, slots=True, eq=False)
class JobContents:
    """A job with the rough maps of its images.

    Parameters
    ----------
    prepared : PreparedTask
    job : CvatJob
    frames : tuple of JobFrame
        The frames whose map could be read.
    failed : tuple of PushedImage
        The images whose map could not be read, each with the reason.
    """

    prepared: PreparedTask
    job: CvatJob
    frames: tuple[JobFrame, ...]
    failed: tuple[PushedImage, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class JobPayload:
    """The shapes that a job is to hold, checked and ready to be sent.

    Parameters
    ----------
    contents : JobContents
    drawn : mapping of int to ImageShapes
        Shapes of each frame, by its number in the task.
    digests : mapping of int to str
        :func:`export.cvat.client.shapes.digest` of the shapes of each frame.
    """

    contents: JobContents
    drawn: Mapping[int, ImageShapes]
    digests: Mapping[int, str]


def jobs_with_images(
    context: PushContext, prepared: PreparedTask, wanted: frozenset[str]
) -> list[TaskJob]:
    """The jobs of a task that show at least one wanted image.

    Parameters
    ----------
    context : PushContext
    prepared : PreparedTask
    wanted : frozenset of str
        Image ids. A job is written as a whole, so the other images of this study in it come
        along.

    Raises
    ------
    CvatError
        When a picture is in no job, or in several.
    """
    jobs = [j for j in context.server.task_jobs(prepared.task.id) if j.kind == ANNOTATION]
    by_job: dict[int, list[str]] = {}
    for image_id, frame in prepared.frame_numbers.items():
        holding = [job.id for job in jobs if job.start <= frame <= job.stop]
        if len(holding) != 1:
            raise CvatError(
                f"task {prepared.task.id}: expected one job for {picture_name(image_id)}, got "
                f"{len(holding)}; remove the task in CVAT if nobody works on it, and push again"
            )
        by_job.setdefault(holding[0], []).append(image_id)
    return [
        TaskJob(prepared, job, tuple(by_job[job.id]))
        for job in jobs
        if wanted & set(by_job.get(job.id, ()))
    ]


def read_contents(context: PushContext, task_job: TaskJob) -> JobContents:
    """Read the rough maps of a job; an image whose map cannot be read is listed as failed."""
    frames, failed = [], []
    for image_id in task_job.image_ids:
        image = context.images[image_id]
        try:
            rough = read_rough(context.study, image)
        except StudyError as error:
            failed.append(PushedImage(image.name, FAILED, note=str(error)))
            continue
        frames.append(JobFrame(image, task_job.prepared.frame_numbers[image_id], rough))
    return JobContents(task_job.prepared, task_job.job, tuple(frames), tuple(failed))


def payloads_ahead(
    context: PushContext, task_jobs: Iterable[TaskJob]
) -> Generator[tuple[TaskJob, Future[JobPayload]], None, None]:
    """Draw the payload of each job in a second thread, one job ahead of the sending.

    Drawing keeps a core busy and sending waits for the network, so the two overlap. Only one
    payload is drawn ahead, which bounds the memory.

    Yields
    ------
    (TaskJob, Future of JobPayload)
        In the order of `task_jobs`.
    """
    with ThreadPoolExecutor(1) as pool:
        previous: tuple[TaskJob, Future[JobPayload]] | None = None
        for task_job in task_jobs:
            # SQLite connections belong to one thread: the confidences are read in this one.
            images = [context.images[image_id] for image_id in task_job.image_ids]
            confidences = {image.id: context.study.rough.confidence(image) for image in images}
            drawing = task_job, pool.submit(draw_payload, context, task_job, confidences)
            if previous is not None:
                yield previous
            previous = drawing
        if previous is not None:
            yield previous


def draw_payload(
    context: PushContext, task_job: TaskJob, confidences: Mapping[str, Mapping[int, float]]
) -> JobPayload:
    """Read the rough maps of a job, draw them as shapes, and check the shapes.

    Parameters
    ----------
    context : PushContext
    task_job : TaskJob
    confidences : mapping of str to mapping of int to float
        By image id: confidence in 0..1 of each instance, by its number in the map.

    Raises
    ------
    CvatError
        When a shape is one that the server would take and keep wrong, or the shapes of an image
        do not show its map.
    """
    contents = read_contents(context, task_job)
    budget = context.study.settings.cvat.shapes_per_frame
    drawn = {}
    for job_frame in contents.frames:
        number, image = job_frame.frame, job_frame.image
        image_shapes = draw(job_frame.rough, confidences[image.id], context.labels, number, budget)
        painted = check(image_shapes.shapes, {number: image.shape}, context.labels)[number]
        # Here, so that shapes that come back as they were sent need not be painted again.
        if difference(job_frame.rough, painted, image_shapes.merged_ids):
            raise CvatError(f"{image.name}: its shapes do not show its map; nothing sent")
        drawn[number] = image_shapes
    digests = {number: digest(one.shapes) for number, one in drawn.items()}
    return JobPayload(contents, drawn, digests)
