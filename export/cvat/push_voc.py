"""The annotations of a task as one PASCAL VOC archive, which CVAT turns into masks.

An import replaces what every frame of the task holds: it is left alone when a person has
touched any of its jobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.cvat.client.server import CvatShape, Shapes
from export.cvat.client.shapes import difference, digest, paint_frame
from export.cvat.push_jobs import (
    JobContents,
    JobFrame,
    PushContext,
    TaskJob,
    assign,
    fault_text,
    intent,
    is_exact,
    note,
    of_frame,
    opened,
    touched,
)
from export.cvat.push_plan import too_many
from export.cvat.push_report import FAILED, SAME, SENT, TOUCHED, PushedImage
from export.formats.voc import write_voc
from export.shapes import ExportImage, ExportOptions


def send_archive(sending: PushContext, slots: Sequence[TaskJob], folder: Path) -> list[PushedImage]:
    """Bring the annotations of a task to what the rough maps say, unless a person is at it.

    Parameters
    ----------
    sending : PushContext
    slots : sequence of TaskJob
        All jobs of the task.
    folder : Path
        Where the archive lies until it is sent.

    Raises
    ------
    CvatError
        When the server refuses.
    """
    object_runs = [_look(sending, slot) for slot in slots]
    imported = not all(look.exact for look in object_runs)
    if imported:
        why = next((look.touched for look in object_runs if look.touched), "")
        if why:
            return [one for slot in slots for one in _left(sending, slot, why)]
        fault = next((look.fault for look in object_runs if look.fault), "")
        if fault:
            ids = (image_id for slot in slots for image_id in slot.image_ids)
            return [PushedImage(sending.images[i].name, FAILED, note=fault) for i in ids]
        _import(sending, slots, folder)
    return [one for slot in slots for one in _finish(sending, slot, imported)]


@dataclass(frozen=True, slots=True)
class _Look:
    """What a job was found to be: as it is meant; a person's; not to be said in an archive."""

    exact: bool
    touched: str
    fault: str


def _look(sending: PushContext, slot: TaskJob) -> _Look:
    place = opened(sending, slot)
    found = sending.server.shapes(slot.job.id)
    exact = all(is_exact(sending, item, found) for item in place.items)
    # Of an exact one, too: an import for the sake of its neighbour would replace it.
    return _Look(exact, touched(sending, place, found), _fault(place, found))


def _fault(place: JobContents, found: Shapes) -> str:
    """Why an archive cannot say what the job is to hold; empty where it can."""
    for item in place.items:
        if too_many(item.rough):
            return f"its task was not sent: {item.image.name} has {too_many(item.rough)}"
    if place.failed and found.shapes:
        return f"its task was not sent: that would wipe {place.failed[0].image}, which failed"
    return ""


def _left(sending: PushContext, slot: TaskJob, why: str) -> list[PushedImage]:
    text = f"left as it is: {why}, and a PASCAL VOC import would replace the whole task"
    place = opened(sending, slot)
    for item in place.items:
        cvat = sending.study.cvat
        never = cvat.verified(slot.job.id, item.frame) is None
        if never and intent(item.rough) in cvat.puts(slot.job.id, item.frame):
            note(sending, place, item, ())
    left = [PushedImage(item.image.name, TOUCHED, note=text) for item in place.items]
    return [*left, *place.failed]


def _import(sending: PushContext, slots: Sequence[TaskJob], folder: Path) -> None:
    archive = folder / "annotations.zip"
    options = ExportOptions(False, True)
    write_voc(archive, _export(sending, slots), sending.study.settings.classes, options)
    sending.server.import_voc(slots[0].ready.task.id, archive)
    archive.unlink(missing_ok=True)


def _export(sending: PushContext, slots: Sequence[TaskJob]) -> Iterator[ExportImage]:
    """Images of a task, one in memory at a time; what is about to be put there is noted."""
    for slot in slots:
        place = opened(sending, slot)
        intents = {item.frame: intent(item.rough) for item in place.items}
        sending.study.cvat.note_puts(slot.job.id, intents)
        for item in place.items:
            yield ExportImage(item.image.id, f"{item.image.id}.png", item.rough)


def _finish(sending: PushContext, slot: TaskJob, imported: bool) -> list[PushedImage]:
    """Compare what is there with what was sent, and note it."""
    place = opened(sending, slot)
    found = sending.server.shapes(slot.job.id)
    done = list(place.failed)
    for item in place.items:
        painted = paint_frame(found.shapes, item.frame, item.image.shape, sending.labels)
        differs = difference(item.rough, painted)
        if differs:
            fault = fault_text(item.image, place.job, differs)
            done.append(PushedImage(item.image.name, FAILED, note=fault))
            continue
        here = of_frame(found, item.frame)
        news = _is_new(sending, slot, item, here, imported) and note(sending, place, item, here)
        done.append(PushedImage(item.image.name, SENT if news else SAME, len(here)))
    if any(one.status != FAILED for one in done):
        assign(sending, place.job)
    return done


def _is_new(
    sending: PushContext, slot: TaskJob, item: JobFrame, here: Sequence[CvatShape], imported: bool
) -> bool:
    """Whether shapes that paint our map are to be noted: not those that a person made over."""
    cvat = sending.study.cvat
    never = cvat.verified(slot.job.id, item.frame) is None
    return imported or never or digest(here) in cvat.puts(slot.job.id, item.frame)
