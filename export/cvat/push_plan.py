"""Which images a push sends, and in which tasks.

A task is planned as a batch of images. Batches are noted in the study before their tasks are
made, so that a push that broke off is finished with the same tasks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from active_learning.rounds.next_images import best_images
from annotator.core.errors import ModelError, StudyError, UsageError
from annotator.core.label_maps import LabelMaps, compact
from annotator.imaging.slide_region import file_name
from annotator.study.cvat import TaskImages
from annotator.study.deleted_images import deleted_in_cvat
from annotator.study.names import fold
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from annotator.study.truth import TruthStore
from export.cvat.push_report import FAILED, LEFT, VOC, PushedImage, PushRequest
from export.formats.voc import MOST_INSTANCES
from export.shapes import shapes as voc_shapes

# Instances are kept as 16-bit PNG beside the map that was sent.
_HIGHEST_INSTANCE = 2**16 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The tasks that a push is going to send.

    Parameters
    ----------
    batches : tuple of TaskImages
        One for each task: first those of earlier pushes in the order in which they were made,
        then the new ones.
    new : tuple of TaskImages
        Those among them that the study has not noted yet.
    chosen : frozenset of str
        Ids of the images that are to be sent. A batch of an earlier push may hold others.
    left : tuple of PushedImage
        Images that cannot be sent, each with the reason.
    notes : tuple of str
        What a person should know.
    """

    batches: tuple[TaskImages, ...]
    new: tuple[TaskImages, ...]
    chosen: frozenset[str]
    left: tuple[PushedImage, ...]
    notes: tuple[str, ...] = ()


def make_plan(study: Study, request: PushRequest) -> Plan:
    """Choose images, and put those that are in no task yet into batches.

    Parameters
    ----------
    study : Study
    request : PushRequest
        With ``dry_run`` nothing is noted, not even the key of the study.

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
        deleted = deleted_in_cvat(study)
        asked = [image for image in images if image.id not in deleted]
        wanted = _in_order_of_need(study, asked, request.count, notes)
        if deleted:
            names = ", ".join(image.name for image in images if image.id in deleted)
            notes.append(
                f"not sent, their frames were deleted in CVAT: {names}; name them to "
                "send them with --images"
            )
    ready, left = _ready(study, wanted, request.via)
    batches = study.cvat.batches()
    batched_ids = {image_id for batch in batches for image_id in batch.image_ids}
    unbatched = [image.id for image in ready if image.id not in batched_ids]
    size = request.batch_size or study.settings.cvat.batch_size
    key = "new" if request.dry_run else study.cvat.study_key()
    new = tuple(
        make_batch(key, unbatched[start : start + size]) for start in range(0, len(unbatched), size)
    )
    chosen = frozenset(image.id for image in ready)
    old = tuple(batch for batch in batches if chosen & set(batch.image_ids))
    return Plan((*old, *new), new, chosen, tuple(left), tuple(notes))


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
    """The rough map of an image in the study, its instances numbered below 65,536.

    Raises
    ------
    StudyError
        When a file is missing or holds something else, or there are more instances.
    """
    rough = study.rough.read(image)
    if int(rough.instances.max(initial=0)) <= _HIGHEST_INSTANCE:
        return rough
    return LabelMaps(rough.classes, compact(rough.instances).astype("int32"))


def by_name(images: Sequence[KnownImage], names: Iterable[str]) -> list[KnownImage]:
    """Images by their names in the study, else by the names of their files, else by their ids.

    Returns
    -------
    list of KnownImage
        In the order of `names`, each image once.

    Raises
    ------
    UsageError
        Naming all that no image has, or that several have.
    """
    tables = [
        _table(images, lambda image: image.name),
        _table(images, lambda image: file_name(image.source)),
        _table(images, lambda image: image.id),
    ]
    found: dict[str, KnownImage] = {}
    faults = []
    for name in names:
        matches = next((table[fold(name)] for table in tables if fold(name) in table), [])
        if len(matches) == 1:
            found[matches[0].id] = matches[0]
        else:
            faults.append(f"{name!r}" + (" (several)" if matches else ""))
    if faults:
        known = ", ".join(repr(image.name) for image in images[:3])
        raise UsageError(
            f"expected names of images in the study, such as {known}, got {', '.join(faults)}"
        )
    return list(found.values())


def _table(
    images: Iterable[KnownImage], key: Callable[[KnownImage], str]
) -> dict[str, list[KnownImage]]:
    table: dict[str, list[KnownImage]] = {}
    for image in images:
        table.setdefault(fold(key(image)), []).append(image)
    return table


def _in_order_of_need(
    study: Study, images: Sequence[KnownImage], count: int, notes: list[str]
) -> list[KnownImage]:
    """First what an earlier push or round left unfinished, then images that are new.

    Parameters
    ----------
    study : Study
    images : sequence of KnownImage
    count : int
        Images at most.
    notes : list of str
        What a person should know is appended.
    """
    by_id = {image.id: image for image in images}
    # A dict keeps the order, and each image once.
    order = dict.fromkeys(image_id for image_id in _begun(study, by_id) if image_id in by_id)
    for image_id in _not_begun(study, images, count - len(order), order, notes):
        order.setdefault(image_id)
    return [by_id[image_id] for image_id in list(order)[:count]]


def _begun(study: Study, known: Mapping[str, KnownImage]) -> Iterator[str]:
    """Ids of images that a push or a round has begun with, and that are not corrected yet.

    First those of tasks that were not sent to their end, then those that the current round
    asks for, then those that lie on the server.
    """
    truth = TruthStore(study.path)
    sent = {row.image_id for row in study.cvat.sent()}
    for batch in study.cvat.batches():
        yield from (image_id for image_id in batch.image_ids if image_id not in sent)
    corrected = {image_id for image_id, image in known.items() if truth.exists(image.name)}
    current = study.rounds.current()
    queried = study.rounds.queried(current.index if current else 0)
    yield from (image_id for image_id in queried if image_id not in sent | corrected)
    # These count before new ones are added, so that the same command given twice sends nothing
    # more.
    yield from (image_id for image_id in known if image_id in sent - corrected)


def _not_begun(
    study: Study,
    images: Sequence[KnownImage],
    count: int,
    taken: Mapping[str, None],
    notes: list[str],
) -> list[str]:
    """Ids of images that were neither sent nor corrected: the most useful to the model first."""
    if count < 1:
        return []
    truth = TruthStore(study.path)
    sent = {row.image_id for row in study.cvat.sent()}
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
        ranked = [choice.image_id for choice in best_images(study, len(images))]
    except ModelError as error:
        notes.append(f"images in the order of the study: {error}")
        return free[:count]
    ranks = {image_id: rank for rank, image_id in enumerate(ranked)}
    return sorted(free, key=lambda image_id: ranks.get(image_id, len(ranks)))[:count]


def _ready(
    study: Study, wanted: Sequence[KnownImage], via: str
) -> tuple[list[KnownImage], list[PushedImage]]:
    """Images that can be sent; and those that cannot, each with the reason."""
    ready, left = [], []
    for image in wanted:
        if study.rough.annotation(image) is None:
            note = "no rough annotation yet; run trephine annotate"
            left.append(PushedImage(image.name, LEFT, note=note))
            continue
        try:
            fault = why_not_voc(read_rough(study, image)) if via == VOC else ""
        except StudyError as error:
            fault = str(error)
        if fault:
            left.append(PushedImage(image.name, FAILED, note=fault))
        else:
            ready.append(image)
    return ready, left


def why_not_voc(rough: LabelMaps) -> str:
    """Why PASCAL VOC cannot hold a map; empty where it can."""
    count = len(voc_shapes(rough))
    if count <= MOST_INSTANCES:
        return ""
    return (
        f"{count} instances, PASCAL VOC holds {MOST_INSTANCES} an image; send it with --via shapes"
    )
