"""The annotations of a task, job by job, and never over a person's work.

Each job goes through the same steps, in an order that makes a crash harmless:

1. *Look* at what the job holds. It is read before anything is written, because a write
   replaces the whole job. If it already holds the payload, steps 2 to 4 are skipped.
2. *Ask whether a person touched it*: its state or stage is no longer the first, a person gave
   it to somebody, or it holds shapes that this study never put there. Such a job is left as
   it is; one that never held anything is filled, whoever has it.
3. *Note the digests* of the shapes that are about to be put.
4. *Put* the shapes, and read the job again.
5. *Compare* what was read, pixel by pixel, with the rough map.
6. *Assign* the job.
7. *Note it as sent*, and keep the map that corrections will be counted against.

What a crash or a broken connection leaves, and what the next push does:

- after 1 or 2: nothing is on the server, nothing is noted; it begins anew.
- after 3: digests are noted but the job is still empty; it counts as untouched and is sent.
- after 4: the shapes on the server are recognised by the digests of step 3, so they are not
  mistaken for a person's; they are compared and noted.
- after 5 or 6: the same; assigning a job that has its assignee already is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from annotator.core.errors import CvatError, CvatUnreachable
from annotator.core.label_maps import LabelMaps
from annotator.study.cvat import Sent, map_digest
from annotator.study.database import now
from annotator.study.rough import KnownImage
from export.cvat.client.server import ANNOTATION, NEW, CvatJob, CvatShape, Shapes
from export.cvat.client.shapes import (
    Difference,
    difference,
    digest,
    distinct_digests,
    paint_frame,
)
from export.cvat.push_payload import JobContents, JobFrame, JobPayload, PushContext
from export.cvat.push_report import FAILED, SAME, SENT, TOUCHED, PushedImage
from export.cvat.push_tasks import picture_name


def send_job(context: PushContext, payload: JobPayload) -> list[PushedImage]:
    """Make a job hold its payload, unless a person touched it.

    It looks at what is there before it writes, so it can be repeated when the connection broke.

    Parameters
    ----------
    context : PushContext
    payload : JobPayload

    Returns
    -------
    list of PushedImage
        One for each image of the job, those without a readable map included.

    Raises
    ------
    CvatError
        When the server refuses.
    CvatUnreachable
        When the connection breaks, or one write arrived twice: push again.
    """
    contents = payload.contents
    if not contents.frames:
        return list(contents.failed)
    on_server = context.server.shapes(contents.job.id)
    if not _holds_payload(payload, on_server):
        # A write that the server worked off twice doubled our shapes. No person draws each of
        # them once more, so the doubled set is noted as put by us, and is replaced below.
        context.study.cvat.note_puts(contents.job.id, _doubled_digests(payload, on_server))
        reason = why_touched(context, contents, on_server)
        if reason:
            return [*_leave(context, payload, reason), *contents.failed]
        on_server = _put(context, payload, on_server)
    return finish_job(context, payload, on_server)


def finish_job(context: PushContext, payload: JobPayload, on_server: Shapes) -> list[PushedImage]:
    """Compare what was read back from a job with its payload, assign it, and note it as sent."""
    faults = _faults(context, payload, on_server)
    if not faults:
        assign(context, payload.contents.job)
    frames = _record_frames(context, payload, on_server, faults)
    return [*frames, *payload.contents.failed]


def put_payload(
    context: PushContext, payload: JobPayload, others: Sequence[CvatShape] = ()
) -> None:
    """Write the payload of a job, and `others` behind it, in the place of all that it holds."""
    job_id = payload.contents.job.id
    # Noted first: if the connection breaks during the write, the next push must know that
    # these shapes are ours.
    context.study.cvat.note_puts(job_id, payload.digests)
    ours = [shape for one in payload.drawn.values() for shape in one.shapes]
    context.server.put_shapes(job_id, [*ours, *others])


def _put(context: PushContext, payload: JobPayload, on_server: Shapes) -> Shapes:
    """Write the payload of a job, and read the job again."""
    job_id = payload.contents.job.id
    # A write replaces the whole job: shapes of frames that are not in the payload go back as
    # they are, without their old ids, which the server gives anew.
    others = [replace(s, id=None) for s in on_server.shapes if s.frame not in payload.drawn]
    put_payload(context, payload, others)
    read_back = context.server.shapes(job_id)
    if _doubled_digests(payload, read_back):
        raise CvatUnreachable(f"job {job_id}: the server carried out one write twice; push again")
    return read_back


def shapes_of_frame(on_server: Shapes, frame: int) -> list[CvatShape]:
    """The shapes of one frame of a job."""
    return [shape for shape in on_server.shapes if shape.frame == frame]


def _holds_payload(payload: JobPayload, on_server: Shapes) -> bool:
    """Whether every frame of the payload holds exactly its shapes."""
    return all(
        digest(shapes_of_frame(on_server, frame)) == expected
        for frame, expected in payload.digests.items()
    )


def is_doubled(payload: JobPayload, on_server: Shapes) -> bool:
    """Whether a write was worked off twice at once, so that our shapes are there twice."""
    return bool(_doubled_digests(payload, on_server))


def _doubled_digests(payload: JobPayload, on_server: Shapes) -> dict[int, str]:
    """Digests, by frame, of shapes that one write put there twice.

    Each of our shapes is there, no other is, and some are there more than once.
    """
    doubled = {}
    for frame, drawn in payload.drawn.items():
        shapes = shapes_of_frame(on_server, frame)
        more = len(shapes) > len(drawn.shapes)
        if more and distinct_digests(shapes) == distinct_digests(drawn.shapes):
            doubled[frame] = digest(shapes)
    return doubled


# Did a person touch it?


def why_touched(context: PushContext, contents: JobContents, on_server: Shapes) -> str:
    """Why a job counts as touched by a person; empty where it is as this study left it."""
    if on_server.tracks or on_server.tags:
        return "somebody added tracks or tags"
    job = contents.job
    if on_server.shapes:
        # Somebody may have begun since the list of jobs was read, and here there is work to
        # lose: the state is asked for again just before the write.
        job = _current_job(context, contents)
    if (job.state, job.stage) != (NEW, ANNOTATION):
        return f"job {job.id} is {job.state}, in {job.stage}"
    if on_server.shapes and job.replicas:
        return f"job {job.id} has {job.replicas} replicas, in which people annotate"
    if on_server.shapes and _was_given(context, job):
        return f"somebody gave job {job.id} to {job.assignee}"
    changed = [
        job_frame.image.name
        for job_frame in contents.frames
        if not _is_as_we_left_it(context, job, job_frame, on_server)
    ]
    changed += [
        f"frame {frame}"
        for frame in _frames_without_map(contents, on_server)
        if not _was_put(context, job, frame, on_server)
    ]
    return f"somebody changed {', '.join(changed)} in job {job.id}" if changed else ""


def _was_given(context: PushContext, job: CvatJob) -> bool:
    """Whether a person, not a push, gave a job to somebody."""
    assignee = job.assignee
    return assignee is not None and not context.study.cvat.assignments.is_ours(job.id, assignee)


def _is_as_we_left_it(
    context: PushContext, job: CvatJob, job_frame: JobFrame, on_server: Shapes
) -> bool:
    """Whether a frame holds what this study put there, or nothing before it sent anything."""
    cvat, frame = context.study.cvat, job_frame.frame
    never_sent = cvat.verified(job.id, frame) is None
    if not shapes_of_frame(on_server, frame):
        # An empty frame is a fresh one, unless shapes were sent before: then somebody deleted
        # them, and that is a correction.
        return never_sent
    if _was_put(context, job, frame, on_server):
        return True
    # An archive makes shapes whose digest we cannot know before they are read back. If the
    # connection broke in between, they are recognised by what they paint.
    archive_was_sent = map_marker(job_frame.rough) in cvat.puts(job.id, frame)
    return never_sent and archive_was_sent and shows_rough_map(context, job_frame, on_server)


def _was_put(context: PushContext, job: CvatJob, frame: int, on_server: Shapes) -> bool:
    """Whether the shapes of a frame are exactly some that this study once put there."""
    return digest(shapes_of_frame(on_server, frame)) in context.study.cvat.puts(job.id, frame)


def _frames_without_map(contents: JobContents, on_server: Shapes) -> list[int]:
    """Frames that hold shapes, but for which this push has no rough map."""
    return sorted(
        {shape.frame for shape in on_server.shapes}
        - {job_frame.frame for job_frame in contents.frames}
    )


def _current_job(context: PushContext, contents: JobContents) -> CvatJob:
    """The job as the server has it at this moment."""
    jobs = context.server.task_jobs(contents.prepared.task.id)
    current = next((job for job in jobs if job.id == contents.job.id), None)
    if current is None:
        raise CvatError(f"job {contents.job.id}: somebody removed it just now; push again")
    return current


def map_marker(rough: LabelMaps) -> str:
    """The mark that stands in place of a digest of shapes, where the server makes them itself.

    The server cuts an archive into shapes of its own: before they are read back, only the
    map that they will paint is known.
    """
    return f"map {map_digest(rough)}"


def shows_rough_map(context: PushContext, job_frame: JobFrame, on_server: Shapes) -> bool:
    """Whether the shapes of a frame paint its rough map to the pixel, however they are cut."""
    frame, size = job_frame.frame, job_frame.image.shape
    try:
        painted = paint_frame(on_server.shapes, frame, size, context.labels)
    except CvatError:
        return False
    return not difference(job_frame.rough, painted)


def _leave(context: PushContext, payload: JobPayload, reason: str) -> list[PushedImage]:
    """Leave a job to the person who touched it.

    Where our shapes are in it but were never noted as sent, since the push before broke off,
    they are noted now: else nobody would know what the corrections are counted against.
    """
    cvat, contents = context.study.cvat, payload.contents
    images = []
    for job_frame in contents.frames:
        frame, drawn = job_frame.frame, payload.drawn[job_frame.frame]
        never_sent = cvat.verified(contents.job.id, frame) is None
        if never_sent and payload.digests[frame] in cvat.puts(contents.job.id, frame):
            record_sent(context, contents, job_frame, drawn.shapes, len(drawn.merged_ids))
        images.append(PushedImage(job_frame.image.name, TOUCHED, note=f"left as it is: {reason}"))
    return images


# What is on the server now


def _faults(context: PushContext, payload: JobPayload, on_server: Shapes) -> dict[int, str]:
    """In what way the server holds other than what was sent, by frame."""
    faults, job = {}, payload.contents.job
    for job_frame in payload.contents.frames:
        frame, image = job_frame.frame, job_frame.image
        if digest(shapes_of_frame(on_server, frame)) == payload.digests[frame]:
            # They are what was sent to the last number, and that shows the map.
            continue
        painted = paint_frame(on_server.shapes, frame, image.shape, context.labels)
        differing = difference(job_frame.rough, painted, payload.drawn[frame].merged_ids)
        if differing:
            faults[frame] = fault_text(image, job, differing)
        else:
            faults[frame] = (
                f"job {job.id}: the shapes of {image.name} came back otherwise than they were "
                "sent, though every pixel is right; look at the job in CVAT"
            )
    return faults


def fault_text(image: KnownImage, job: CvatJob, differing: Difference) -> str:
    """Say by how many pixels the server's copy of an image is wrong, and what to do."""
    return (
        f"job {job.id}: {image.name} came back with {differing.classes_px} pixels of another "
        f"class and {differing.instances_px} of another object than were sent; look at the job "
        "in CVAT, remove its task if nobody works on it, and push again"
    )


def assign(context: PushContext, job: CvatJob) -> None:
    """Give a job to the assignee, unless somebody has it or has begun it."""
    free = (job.state, job.stage, job.assignee) == (NEW, ANNOTATION, None)
    if context.assignee is not None and free:
        # Noted first: if the connection breaks, the next push must know that we gave it.
        context.study.cvat.assignments.note(job.id, context.assignee[0])
        context.server.assign(job.id, context.assignee[1])


def _record_frames(
    context: PushContext, payload: JobPayload, on_server: Shapes, faults: Mapping[int, str]
) -> list[PushedImage]:
    """Note every frame without a fault as sent, and report all of them."""
    images = []
    for job_frame in payload.contents.frames:
        frame, name = job_frame.frame, job_frame.image.name
        if frame in faults:
            images.append(PushedImage(name, FAILED, note=faults[frame]))
            continue
        drawn, shapes = payload.drawn[frame], shapes_of_frame(on_server, frame)
        merged = len(drawn.merged_ids)
        is_new = record_sent(context, payload.contents, job_frame, shapes, merged)
        images.append(PushedImage(name, SENT if is_new else SAME, len(shapes), drawn.merged))
    return images


def record_sent(
    context: PushContext,
    contents: JobContents,
    job_frame: JobFrame,
    shapes: Sequence[CvatShape],
    merged: int = 0,
) -> bool:
    """Note in the study what a frame holds, and keep its map as the baseline of corrections.

    Parameters
    ----------
    context : PushContext
    contents : JobContents
    job_frame : JobFrame
    shapes : sequence of CvatShape
        Those of the frame, as they were read back.
    merged : int
        Objects that share a shape with others.

    Returns
    -------
    bool
        False where the very same was noted before.
    """
    sent = Sent(
        image_id=job_frame.image.id,
        task_id=contents.prepared.task.id,
        task_name=contents.prepared.task.name,
        job_id=contents.job.id,
        frame=job_frame.frame,
        name=picture_name(job_frame.image.id),
        rough_sha256=map_digest(job_frame.rough),
        shapes_sha256=digest(shapes),
        shapes=len(shapes),
        merged=merged,
        time=now(),
    )
    earlier = context.study.cvat.verified(contents.job.id, job_frame.frame)
    if earlier is not None and replace(earlier, time=sent.time) == sent:
        return False
    context.study.cvat.note_sent(sent, job_frame.rough)
    return True
