"""The objects of a study in memory, as far as the review page needs them.

Masks are kept as bits, eight pixels a byte; features are read where classes are
predicted, and let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import BoolMask, ImageObjects, freeze
from annotator.review.errors import NotFound
from annotator.study.excluded_area import ExcludedArea
from annotator.study.labels import LabelledMask, labelled_mask, mask_key
from annotator.study.objects_file import ImageFeatures
from annotator.study.rough import KnownImage
from annotator.study.study import Study

Stamp = tuple[int, int]
Key = tuple[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class IndexedObjects:
    """The objects of one image.

    Parameters
    ----------
    image : KnownImage
    stamp : (int, int)
        Time and size of their file.
    objects_key : str
        Another one whenever the objects are others.
    ids, areas : (N,) int32, (N,) int64
        Areas in pixels.
    boxes : (N, 4) int32
        Half-open ``x0 y0 x1 y1``.
    mask_keys : tuple of N str
    bits : tuple of N bytes
        Each crop row by row, eight pixels a byte.
    position : mapping of int to int
        Place among the N by the object's number.
    """

    image: KnownImage
    stamp: Stamp
    objects_key: str
    ids: NDArray[np.int32]
    areas: NDArray[np.int64]
    boxes: NDArray[np.int32]
    mask_keys: tuple[str, ...]
    bits: tuple[bytes, ...]
    position: Mapping[int, int]

    def __len__(self) -> int:
        return len(self.ids)

    def crop(self, at: int) -> BoolMask:
        """The mask of the object at a position, 0..N - 1, inside its box, (H, W) bool."""
        x0, y0, x1, y1 = self.boxes[at].tolist()
        count = (x1 - x0) * (y1 - y0)
        flat = np.unpackbits(np.frombuffer(self.bits[at], np.uint8), count=count)
        return flat.astype(np.bool_).reshape(y1 - y0, x1 - x0)

    def mask(self, at: int) -> LabelledMask:
        """The mask as labels keep it."""
        return labelled_mask(self.image.id, self.boxes[at], self.crop(at))


def index_objects(image: KnownImage, stamp: Stamp, described: ImageFeatures) -> IndexedObjects:
    """Keep of an image's objects what is needed."""
    objects: ImageObjects = described.objects
    pairs = list(zip(objects.boxes.tolist(), objects.crops, strict=True))
    return IndexedObjects(
        image,
        stamp,
        described.key,
        freeze(objects.ids),
        freeze(objects.areas()),
        freeze(objects.boxes),
        tuple(mask_key(box, crop) for box, crop in pairs),
        tuple(np.packbits(crop).tobytes() for _, crop in pairs),
        {int(number): at for at, number in enumerate(objects.ids.tolist())},
    )


@dataclass(frozen=True)
class ObjectIndex:
    """The objects of all images that have some, by id of the image, in order of names."""

    indexed: Mapping[str, IndexedObjects]

    def find(self, object_id: str) -> tuple[IndexedObjects, int]:
        """An image's objects, and the position among them, of ``IMAGE_ID:OBJECT_ID``.

        Raises
        ------
        NotFound
            When there is no such object.
        """
        image_id, _, number = object_id.partition(":")
        indexed = self.indexed.get(image_id)
        known = number.isascii() and number.isdecimal() and len(number) < 11
        at = indexed.position.get(int(number)) if indexed is not None and known else None
        if indexed is None or at is None:
            raise NotFound(
                f"expected an object of the study, got {object_id[:60]!r}; the objects may be "
                "others now: load the page again"
            )
        return indexed, at

    def image(self, image_id: str) -> IndexedObjects:
        """The objects of an image, by its id; raises like :meth:`find`."""
        indexed = self.indexed.get(image_id)
        if indexed is None:
            raise NotFound(
                f"expected an image of the study that has objects, got {image_id[:60]!r}; "
                "annotate it first, or load the page again"
            )
        return indexed

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """Image and number of every object: the rows of all arrays over the study."""
        return tuple(
            (image_id, number)
            for image_id, indexed in self.indexed.items()
            for number in indexed.ids.tolist()
        )

    @cached_property
    def rows(self) -> Mapping[Key, int]:
        """Row of each object."""
        return {key: row for row, key in enumerate(self.keys)}

    @cached_property
    def image_of(self) -> NDArray[np.intp]:
        """Position of the image of each row, (M,) intp."""
        sizes = [len(indexed) for indexed in self.indexed.values()]
        return np.repeat(np.arange(len(sizes), dtype=np.intp), sizes)

    @cached_property
    def areas(self) -> NDArray[np.float64]:
        """Pixels of each row, (M,) float64."""
        parts = [indexed.areas for indexed in self.indexed.values()]
        return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.float64)

    @cached_property
    def version(self) -> str:
        """Another one whenever the objects are others."""
        from annotator.core.hashing import fingerprint

        return fingerprint(
            "stock", *((one.image.id, one.objects_key) for one in self.indexed.values())
        )


def read_objects(
    study: Study, before: ObjectIndex | None, use: Callable[[KnownImage, ImageFeatures], None]
) -> ObjectIndex:
    """Read the objects of a study; those whose files are as before are not read again.

    Parameters
    ----------
    study : Study
    before : ObjectIndex or None
    use : callable
        Given each image that was read, with its features, before these are let go.

    Raises
    ------
    ValueError
        When the objects of an image are damaged.
    """
    known = {} if before is None else before.indexed
    found: dict[str, IndexedObjects] = {}
    for image in study.images():
        stamp = stamp_of(study, image)
        old = known.get(image.id)
        if stamp is None:
            continue
        if old is not None and old.stamp == stamp:
            found[image.id] = old
            continue
        described = study.described(image)
        if described is not None:
            use(image, described)
            found[image.id] = index_objects(image, stamp, described)
    return ObjectIndex(found)


def counted_rows(
    object_index: ObjectIndex, excluded: Mapping[str, ExcludedArea]
) -> NDArray[np.bool_]:
    """Objects that do not lie mostly in excluded regions, (M,) bool.

    Parameters
    ----------
    object_index : ObjectIndex
    excluded : mapping of str to ExcludedArea
        By the id of the image.
    """
    counted = np.ones(len(object_index.keys), np.bool_)
    for image_id, area in excluded.items():
        indexed = object_index.indexed.get(image_id)
        if indexed is None or area.shape != indexed.image.shape:
            continue
        mask = area.mask()
        for at, (x0, y0, x1, y1) in enumerate(indexed.boxes.tolist()):
            inside = np.count_nonzero(mask[y0:y1, x0:x1] & indexed.crop(at))
            row = object_index.rows[image_id, int(indexed.ids[at])]
            counted[row] = 2 * inside <= indexed.areas[at]
    return counted


def stamp_of(study: Study, image: KnownImage) -> Stamp | None:
    """Time and size of the file of an image's objects; None where there is none."""
    try:
        status = study.objects_path(image).stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size


def is_stale(study: Study, object_index: ObjectIndex, images: Iterable[KnownImage]) -> bool:
    """Whether any file of objects is another one, new or gone."""
    indexed = object_index.indexed
    now = {image.id: stamp for image in images if (stamp := stamp_of(study, image))}
    return now != {image_id: one.stamp for image_id, one in indexed.items()}
