"""Which images a push sends, and in which tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from active_learning.rounds.next_images import best_images
from annotator.core.errors import ModelError, StudyError, UsageError
from annotator.core.label_maps import LabelMaps, compact
from annotator.study.cvat import TaskImages
from annotator.study.names import fold
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from annotator.study.truth import TruthStore
from export.cvat.push_report import FAILED, LEFT, VOC, PushedImage, PushRequest
from export.formats.voc import MOST_INSTANCES
from export.shapes import shapes as voc_shapes

_MOST_NUMBER = 2**16 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is to be sent.

    Parameters
    ----------
    batches : tuple of TaskImages
        Those that are known first, in the order in which they were made.
    new : tuple of TaskImages
        Those among them that the study does not know yet.
    chosen : frozenset of str
        Ids of the images that were asked for.
    left : tuple of PushedImage
    notes : tuple of str
    """

    batches: tuple[TaskImages, ...]
    new: tuple[TaskImages, ...]
    chosen: frozenset[str]
    left: tuple[PushedImage, ...]
    notes: tuple[str, ...] = ()


def make_plan(study: Study, request: PushRequest) -> Plan:
    """Choose images and put those that are in no task yet into batches.

    Raises
    ------
    UsageError
        When the study has no images, or none of a name that is asked for.
    """
    notes: list[str] = []
    images = study.images()
    if not images:
        raise UsageError(f"{study.path}: no images yet; run trephine annotate first")
    if request.images:
        wanted = by_name(images, request.images)
    else:
        wanted = _by_turn(study, images, request.count, notes)
    ready, left = _ready(study, wanted, request.via)
    known = {image_id: batch for batch in study.cvat.batches() for image_id in batch.image_ids}
    size = request.batch_size or study.settings.cvat.batch_size
    free = [image.id for image in ready if image.id not in known]
    key = "new" if request.dry_run else study.cvat.study_key()
    new = tuple(make_batch(key, free[at : at + size]) for at in range(0, len(free), size))
    chosen = frozenset(image.id for image in ready)
    old = {b.task_name: b for b in study.cvat.batches() if chosen & set(b.image_ids)}
    return Plan((*old.values(), *new), new, chosen, tuple(left), tuple(notes))


def make_batch(study_key: str, image_ids: Sequence[str]) -> TaskImages:
    """A batch whose name depends on the study and the images alone.

    Examples
    --------
    >>> make_batch("0123456789ab", ["a" * 16, "b" * 16]).task_name
    '0123456789ab 74f8732986de'
    """
    digest = hashlib.sha256("\n".join(image_ids).encode()).hexdigest()[:12]
    return TaskImages(f"{study_key} {digest}", tuple(image_ids))


def read_rough(study: Study, image: KnownImage) -> LabelMaps:
    """The rough map of an image as it lies there, its instances numbered below 65,536.

    Raises
    ------
    StudyError
        When a file is missing or holds something else, or there are more instances.
    """
    rough = study.rough.read(image)
    if int(rough.instances.max(initial=0)) <= _MOST_NUMBER:
        return rough
    return LabelMaps(rough.classes, compact(rough.instances).astype("int32"))


def by_name(images: Sequence[KnownImage], names: Iterable[str]) -> list[KnownImage]:
    """Images by their names in the study, or else by those of their files; each once.

    Raises
    ------
    UsageError
        Naming all that no image has, or that several have.
    """
    tables = [
        _table(images, lambda image: image.name),
        _table(images, lambda image: PurePath(image.source).name),
        _table(images, lambda image: image.id),
    ]
    found: dict[str, KnownImage] = {}
    faults = []
    for name in names:
        hits = next((t[fold(name)] for t in tables if fold(name) in t), [])
        if len(hits) == 1:
            found[hits[0].id] = hits[0]
        else:
            faults.append(f"{name!r}" + (" (several)" if hits else ""))
    if faults:
        ours = ", ".join(repr(image.name) for image in images[:3])
        raise UsageError(
            f"expected names of images in the study, such as {ours}, got {', '.join(faults)}"
        )
    return list(found.values())


def _table(
    images: Iterable[KnownImage], key: Callable[[KnownImage], str]
) -> dict[str, list[KnownImage]]:
    table: dict[str, list[KnownImage]] = {}
    for image in images:
        table.setdefault(fold(key(image)), []).append(image)
    return table


def _by_turn(
    study: Study, images: Sequence[KnownImage], count: int, notes: list[str]
) -> list[KnownImage]:
    """What was begun, what was asked for, what lies on the server, then what is next."""
    known = {image.id: image for image in images}
    order = dict.fromkeys(i for i in _begun(study, known) if i in known)
    for image_id in _fill(study, images, count - len(order), order, notes):
        order.setdefault(image_id)
    return [known[image_id] for image_id in list(order)[:count]]


def _begun(study: Study, known: Mapping[str, KnownImage]) -> Iterator[str]:
    """Ids of the images of unfinished batches, of queries, of jobs without a truth."""
    truth = TruthStore(study.path)
    sent = {one.image_id for one in study.cvat.sent()}
    for batch in study.cvat.batches():
        yield from (i for i in batch.image_ids if i not in sent)
    done = {image_id for image_id, image in known.items() if truth.exists(image.name)}
    current = study.rounds.current()
    queried = study.rounds.queried(current.index if current else 0)
    yield from (i for i in queried if i not in sent | done)
    # These come before others are added: the same command twice sends nothing more.
    yield from (i for i in known if i in sent - done)


def _fill(
    study: Study,
    images: Sequence[KnownImage],
    count: int,
    taken: Mapping[str, None],
    notes: list[str],
) -> list[str]:
    """Ids of more images that have neither been sent nor corrected."""
    if count < 1:
        return []
    truth = TruthStore(study.path)
    sent = {one.image_id for one in study.cvat.sent()}
    free = [
        image.id
        for image in images
        if image.id not in sent
        and image.id not in taken
        and not truth.exists(image.name)
        and study.rough.annotation(image) is not None
    ]
    if not free or study.rounds.current() is None:
        return free[:count]
    try:
        ranked = [one.image_id for one in best_images(study, len(images))]
    except ModelError as error:
        notes.append(f"images in the order of the study: {error}")
        return free[:count]
    place = {image_id: rank for rank, image_id in enumerate(ranked)}
    return sorted(free, key=lambda i: place.get(i, len(place)))[:count]


def _ready(
    study: Study, wanted: Sequence[KnownImage], via: str
) -> tuple[list[KnownImage], list[PushedImage]]:
    """Images that have what is to be sent; and the others, each with the reason."""
    ready, left = [], []
    for image in wanted:
        if study.rough.annotation(image) is None:
            note = "no rough annotation yet; run trephine annotate"
            left.append(PushedImage(image.name, LEFT, note=note))
            continue
        try:
            fault = too_many(read_rough(study, image)) if via == VOC else ""
        except StudyError as error:
            fault = str(error)
        if fault:
            left.append(PushedImage(image.name, FAILED, note=fault))
        else:
            ready.append(image)
    return ready, left


def too_many(rough: LabelMaps) -> str:
    """Why PASCAL VOC cannot hold a map; empty where it can."""
    count = len(voc_shapes(rough))
    if count <= MOST_INSTANCES:
        return ""
    return (
        f"{count} instances, PASCAL VOC holds {MOST_INSTANCES} an image; send it with --via shapes"
    )
