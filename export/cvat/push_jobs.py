"""The annotations of a task, job by job: looked at, sent, read back, compared, noted.

A job that a person has touched is left as it is: one whose state or stage is no longer the
first, or that holds shapes which we never put there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from annotator.core.errors import CvatError, CvatUnreachable, StudyError
from annotator.core.label_maps import LabelMaps
from annotator.study.cvat import Sent, map_digest
from annotator.study.database import now
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from export.cvat.client.labels import LabelIds
from export.cvat.client.server import ANNOTATION, NEW, CvatJob, CvatServer, CvatShape, Shapes
from export.cvat.client.shapes import (
    Difference,
    ImageShapes,
    check,
    difference,
    digest,
    draw,
    paint_frame,
    said,
)
from export.cvat.push_plan import read_rough
from export.cvat.push_report import FAILED, SAME, SENT, TOUCHED, PushedImage
from export.cvat.push_tasks import PreparedTask, picture_name


@dataclass(frozen=True, slots=True, eq=False)
class PushContext:
    """What the sending of every job shares.

    Parameters
    ----------
    study : Study
    server : CvatServer
    labels : LabelIds
    images : mapping of str to KnownImage
        By id.
    assignee : (str, int) or None
        User name and id of who is to do the jobs.
    """

    study: Study
    server: CvatServer
    labels: LabelIds
    images: Mapping[str, KnownImage]
    assignee: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class JobFrame:
    """One image of a job, with the map that is to be there.

    Parameters
    ----------
    image : KnownImage
    frame : int
        Of the task.
    rough : LabelMaps
    """

    image: KnownImage
    frame: int
    rough: LabelMaps


@dataclass(frozen=True, slots=True, eq=False)
class TaskJob:
    """A job of a task, and the ids of our images in it."""

    ready: PreparedTask
    job: CvatJob
    image_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class JobContents:
    """A job with the maps of our images in it, and those that cannot be sent."""

    ready: PreparedTask
    job: CvatJob
    items: tuple[JobFrame, ...]
    failed: tuple[PushedImage, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class JobPayload:
    """A job with the shapes that each of our frames is to hold, checked, and their digests."""

    place: JobContents
    drawn: Mapping[int, ImageShapes]
    digests: Mapping[int, str]


def slots(sending: PushContext, ready: PreparedTask, wanted: frozenset[str]) -> list[TaskJob]:
    """The jobs of a task that hold an image which is wanted.

    Raises
    ------
    CvatError
        When a picture is in no job, or in several.
    """
    jobs = [j for j in sending.server.task_jobs(ready.task.id) if j.kind == ANNOTATION]
    by_job: dict[int, list[str]] = {}
    for image_id, frame in ready.numbers.items():
        holding = [job.id for job in jobs if job.start <= frame <= job.stop]
        if len(holding) != 1:
            raise CvatError(
                f"task {ready.task.id}: expected one job for {picture_name(image_id)}, got "
                f"{len(holding)}; remove the task in CVAT if nobody works on it, and push again"
            )
        by_job.setdefault(holding[0], []).append(image_id)
    return [
        TaskJob(ready, job, tuple(by_job[job.id]))
        for job in jobs
        if wanted & set(by_job.get(job.id, ()))
    ]


def opened(sending: PushContext, slot: TaskJob) -> JobContents:
    """Read the rough maps of a job; those that cannot be read are named."""
    items, failed = [], []
    for image_id in slot.image_ids:
        image = sending.images[image_id]
        try:
            rough = read_rough(sending.study, image)
        except StudyError as error:
            failed.append(PushedImage(image.name, FAILED, note=str(error)))
            continue
        items.append(JobFrame(image, slot.ready.numbers[image_id], rough))
    return JobContents(slot.ready, slot.job, tuple(items), tuple(failed))


def meant_ahead(
    sending: PushContext, jobs: Iterable[TaskJob]
) -> Generator[tuple[TaskJob, Future[JobPayload]], None, None]:
    """Draw what each job is to hold, the next one while the one before is being sent."""
    with ThreadPoolExecutor(1) as pool:
        before: tuple[TaskJob, Future[JobPayload]] | None = None
        for slot in jobs:
            # The database stays with this thread.
            images = [sending.images[image_id] for image_id in slot.image_ids]
            sure = {image.id: sending.study.rough.confidence(image) for image in images}
            following = slot, pool.submit(payload, sending, slot, sure)
            if before is not None:
                yield before
            before = following
        if before is not None:
            yield before


def payload(
    sending: PushContext, slot: TaskJob, sure: Mapping[str, Mapping[int, float]]
) -> JobPayload:
    """Draw what a job is to hold, and check it.

    Parameters
    ----------
    sending : PushContext
    slot : TaskJob
    sure : mapping
        Of each image by its id: confidence of its instances.

    Raises
    ------
    CvatError
        When a shape is not as the server must have it.
    """
    place = opened(sending, slot)
    budget = sending.study.settings.cvat.shapes_per_frame
    drawn = {}
    for item in place.items:
        one = draw(item.rough, sure[item.image.id], sending.labels, item.frame, budget)
        check(one.shapes, {item.frame: item.image.shape}, sending.labels)
        drawn[item.frame] = one
    return JobPayload(place, drawn, {frame: digest(one.shapes) for frame, one in drawn.items()})


def send_job(sending: PushContext, job: JobPayload) -> list[PushedImage]:
    """Bring the annotations of a job to what the rough maps say, unless a person is at it.

    It looks what is there before it writes, so it can be repeated when the connection broke.

    Raises
    ------
    CvatError
        When the server refuses, or holds something other than what was sent; the message
        names the image and the pixels.
    """
    place = job.place
    if not place.items:
        return list(place.failed)
    found = sending.server.shapes(place.job.id)
    if not _is_there(job, found):
        # No person draws each of our shapes once more: what is doubled is still ours.
        sending.study.cvat.note_puts(place.job.id, _doubled(job, found))
        why = touched(sending, place, found)
        if why:
            return [*_left(sending, job, why), *place.failed]
        found = _put(sending, job, found)
    faults = _faults(sending, job, found)
    if not faults:
        assign(sending, place.job)
    return [*_note_all(sending, job, found, faults), *place.failed]


def _put(sending: PushContext, job: JobPayload, found: Shapes) -> Shapes:
    """Write a job, and read it again."""
    number = job.place.job.id
    # A write replaces the whole job: what is there of a frame that is not ours stays.
    others = [replace(s, id=None) for s in found.shapes if s.frame not in job.drawn]
    sending.study.cvat.note_puts(number, job.digests)
    ours = [shape for one in job.drawn.values() for shape in one.shapes]
    sending.server.put_shapes(number, [*ours, *others])
    there = sending.server.shapes(number)
    if _doubled(job, there):
        raise CvatUnreachable(f"job {number}: one write was worked off twice; push again")
    return there


def of_frame(shapes: Shapes, frame: int) -> list[CvatShape]:
    """The shapes of one frame."""
    return [shape for shape in shapes.shapes if shape.frame == frame]


def _is_there(job: JobPayload, found: Shapes) -> bool:
    """Whether all our frames hold exactly the shapes that are meant."""
    return all(digest(of_frame(found, frame)) == ours for frame, ours in job.digests.items())


def _doubled(job: JobPayload, found: Shapes) -> dict[int, str]:
    """Digests, by frame, of what a write left that was worked off twice at once.

    Each of our shapes is there, nothing else is, and some are there more than once.
    """
    doubled = {}
    for frame, drawn in job.drawn.items():
        here = of_frame(found, frame)
        if len(here) > len(drawn.shapes) and said(here) == said(drawn.shapes):
            doubled[frame] = digest(here)
    return doubled


# Whose it is


def touched(sending: PushContext, place: JobContents, found: Shapes) -> str:
    """Why a job is a person's; empty where it is still as we left it."""
    if found.tracks or found.tags:
        return "somebody added tracks or tags"
    job = place.job
    if found.shapes:
        # There is something to lose: what was read a while ago does not count.
        job = _as_it_is_now(sending, place)
    if (job.state, job.stage) != (NEW, ANNOTATION):
        return f"job {job.id} is {job.state}, in {job.stage}"
    changed = [i.image.name for i in place.items if not _is_ours(sending, place, i, found)]
    changed += [
        f"frame {f}" for f in _others(place, found) if not _was_put(sending, place, f, found)
    ]
    return f"somebody changed {', '.join(changed)} in job {job.id}" if changed else ""


def _others(place: JobContents, found: Shapes) -> list[int]:
    """Frames with shapes for which we have no map now; they would be written again as they are."""
    return sorted({s.frame for s in found.shapes} - {item.frame for item in place.items})


def _was_put(sending: PushContext, place: JobContents, frame: int, found: Shapes) -> bool:
    return digest(of_frame(found, frame)) in sending.study.cvat.puts(place.job.id, frame)


def _as_it_is_now(sending: PushContext, place: JobContents) -> CvatJob:
    jobs = sending.server.task_jobs(place.ready.task.id)
    found = next((job for job in jobs if job.id == place.job.id), None)
    if found is None:
        raise CvatError(f"job {place.job.id}: somebody removed it just now; push again")
    return found


def _is_ours(sending: PushContext, place: JobContents, item: JobFrame, found: Shapes) -> bool:
    """Whether a frame holds what we put there, or nothing before we put anything."""
    cvat = sending.study.cvat
    never = cvat.verified(place.job.id, item.frame) is None
    if not of_frame(found, item.frame):
        return never
    if _was_put(sending, place, item.frame, found):
        return True
    # An archive that arrived, and nobody heard so: the server alone knew its shapes.
    payload = intent(item.rough) in cvat.puts(place.job.id, item.frame)
    return never and payload and is_exact(sending, item, found)


def intent(rough: LabelMaps) -> str:
    """What stands for shapes that the server will make of a map, until they are read back."""
    return f"map {map_digest(rough)}"


def is_exact(sending: PushContext, item: JobFrame, found: Shapes) -> bool:
    """Whether the server holds the rough map to the pixel, in whatever shapes."""
    try:
        painted = paint_frame(found.shapes, item.frame, item.image.shape, sending.labels)
    except CvatError:
        return False
    return not difference(item.rough, painted)


def _left(sending: PushContext, job: JobPayload, why: str) -> list[PushedImage]:
    """Leave a job; where our shapes are in it but were never noted, they are now.

    Without a note nobody would know against what its corrections are to be counted.
    """
    cvat, number = sending.study.cvat, job.place.job.id
    left = []
    for item in job.place.items:
        one = job.drawn[item.frame]
        never = cvat.verified(number, item.frame) is None
        if never and job.digests[item.frame] in cvat.puts(number, item.frame):
            note(sending, job.place, item, one.shapes, len(one.merged_ids))
        left.append(PushedImage(item.image.name, TOUCHED, note=f"left as it is: {why}"))
    return left


# After


def _faults(sending: PushContext, job: JobPayload, found: Shapes) -> dict[int, str]:
    """What the server holds otherwise than it was sent, by frame."""
    faults = {}
    for item in job.place.items:
        painted = paint_frame(found.shapes, item.frame, item.image.shape, sending.labels)
        differs = difference(item.rough, painted, job.drawn[item.frame].merged_ids)
        if differs:
            faults[item.frame] = fault_text(item.image, job.place.job, differs)
        elif digest(of_frame(found, item.frame)) != job.digests[item.frame]:
            faults[item.frame] = (
                f"job {job.place.job.id}: the shapes of {item.image.name} came back otherwise "
                "than they were sent, though every pixel is right; look at the job in CVAT"
            )
    return faults


def fault_text(image: KnownImage, job: CvatJob, differs: Difference) -> str:
    """Say by how much the server's copy of an image is wrong, and what to do."""
    return (
        f"job {job.id}: {image.name} came back with {differs.classes_px} pixels of another class "
        f"and {differs.instances_px} of another object than were sent; look at the job in CVAT, "
        "remove its task if nobody works on it, and push again"
    )


def assign(sending: PushContext, job: CvatJob) -> None:
    """Give a job to the assignee, unless somebody has it or was at it."""
    fresh = (job.state, job.stage, job.assignee) == (NEW, ANNOTATION, None)
    if sending.assignee is not None and fresh:
        sending.server.assign(job.id, sending.assignee[1])


def _note_all(
    sending: PushContext, job: JobPayload, found: Shapes, faults: Mapping[int, str]
) -> list[PushedImage]:
    done = []
    for item in job.place.items:
        if item.frame in faults:
            done.append(PushedImage(item.image.name, FAILED, note=faults[item.frame]))
            continue
        one, here = job.drawn[item.frame], of_frame(found, item.frame)
        news = note(sending, job.place, item, here, len(one.merged_ids))
        status = SENT if news else SAME
        done.append(PushedImage(item.image.name, status, len(here), one.merged))
    return done


def note(
    sending: PushContext,
    place: JobContents,
    item: JobFrame,
    shapes: Sequence[CvatShape],
    merged: int = 0,
) -> bool:
    """Note what a frame holds; whether that is news."""
    sent = Sent(
        item.image.id,
        place.ready.task.id,
        place.ready.task.name,
        place.job.id,
        item.frame,
        picture_name(item.image.id),
        map_digest(item.rough),
        digest(shapes),
        len(shapes),
        merged,
        now(),
    )
    before = sending.study.cvat.verified(place.job.id, item.frame)
    if before is not None and replace(before, time=sent.time) == sent:
        return False
    sending.study.cvat.note_sent(sent, item.rough)
    return True
