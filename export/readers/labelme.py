"""Read LabelMe: a file of JSON for each image.

Points are pixels from the corner of the image: 0, 0 is the corner, not the centre, of the first
pixel. Later shapes lie on top. A ``mask`` is a PNG in its box, whose corners are inclusive;
LabelMe puts the picture at the first corner, also where the box is not as large as it.

References
----------
LabelMe 5 and 6: ``_label_file.py`` (what a file holds), ``_utils/shape.py`` (what a shape means).
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image as Picture

from annotator.core.errors import UsageError
from annotator.core.objects import BoolMask, tight_box
from export.readers.corrected import Corrected, Expected, Reading, check_size, last_part
from export.readers.doubled_boxes import boxes_note, without_boxes_of_masks
from export.readers.ellipses import exact_ellipse
from export.readers.json_files import load_json, numbers_of
from export.readers.labels import LabelReader
from export.readers.painting import Crop, Mark, check_points, crop_of_shape, paint, polygon
from export.readers.zip import Entries

LABELME = "LabelMe"
_WITHOUT_AREA = ("line", "linestrip", "point", "points")
_PNG = b"\x89PNG\r\n\x1a\n"


def read_labelme(
    archive: Entries, names: Sequence[str], expected: Expected, labels: LabelReader
) -> Reading:
    """Read files of LabelMe, each alone: one that cannot be used does not stop the others.

    Parameters
    ----------
    archive : Entries
    names : sequence of str
        Of the files in it.
    expected : callable
        Height and width by the name of an image; None for one that the study does not know.
    labels : LabelReader

    Returns
    -------
    Reading
        Its images are read one by one as they are asked for.
    """
    files = _Files(archive, names, expected, labels)
    return Reading(LABELME, files.images(), picture=files.picture, by_hand=True)


class _Files:
    """The files, and the picture that the one read last carries."""

    def __init__(
        self, archive: Entries, names: Sequence[str], expected: Expected, labels: LabelReader
    ) -> None:
        self._archive = archive
        self._names = names
        self._expected = expected
        self._labels = labels
        self._embedded: tuple[str, bytes] | None = None

    def images(self) -> Iterator[Corrected]:
        """One after the other."""
        for source in self._names:
            try:
                yield self._image(source)
            except UsageError as error:
                yield Corrected(source, None, source=source, refused=str(error))

    def picture(self, name: str) -> bytes | None:
        """The PNG inside the file of the image that was read last, if it is that of `name`."""
        if self._embedded is None or self._embedded[0] != name:
            return None
        return self._embedded[1]

    def _image(self, source: str) -> Corrected:
        document = load_json(self._archive.read(source), source)
        name, frame = self._known(str(document["imagePath"]), source)
        if frame is None:
            return Corrected(name, None, source=source)
        size = document.get("imageHeight"), document.get("imageWidth")
        if size != (None, None):
            check_size(name, size, frame)
        self._keep_picture(name, document.get("imageData"))
        shapes = document["shapes"]
        if not isinstance(shapes, list) or not all(isinstance(one, dict) for one in shapes):
            raise UsageError(f"{source}: expected a list of shapes, got another")
        return self._painted(name, shapes, frame, source)

    def _known(self, image_path: str, source: str) -> tuple[str, tuple[int, int] | None]:
        """Name and size of the image; a file is also called as the image that it is of."""
        frame = self._expected(image_path)
        if frame is not None:
            return image_path, frame
        stem = PurePosixPath(last_part(source)).stem
        frame = self._expected(stem)
        return (image_path, None) if frame is None else (stem, frame)

    def _keep_picture(self, name: str, data: Any) -> None:
        self._embedded = None
        try:
            picture = base64.b64decode(data) if isinstance(data, str) else b""
        except (binascii.Error, ValueError):
            return
        # A picture that was no JPEG or PNG is in there as a JPEG, whose pixels are others.
        if picture.startswith(_PNG):
            self._embedded = name, picture

    def _painted(
        self,
        name: str,
        shapes: Sequence[Mapping[str, Any]],
        frame: tuple[int, int],
        source: str,
    ) -> Corrected:
        marks: list[Mark] = []
        unused: Counter[str] = Counter()
        groups: dict[Any, int] = {}
        for order, shape in enumerate(shapes):
            kind = shape.get("shape_type") or "polygon"
            if kind in _WITHOUT_AREA:
                unused[str(kind)] += 1
                continue
            try:
                crop = _crop(shape, kind, frame)
            except UsageError as error:
                raise UsageError(f"shape {order + 1} ({shape.get('label')}): {error}") from error
            if crop is None:
                unused["shape without a pixel"] += 1
                continue
            group = shape.get("group_id")
            # 0 is a group as any other, here; for a mark it means none.
            number = 0 if group is None else groups.setdefault(str(group), len(groups) + 1)
            code = self._labels.code(str(shape.get("label", "")), name)
            marks.append(Mark(code, *crop, order, order, number, kind == "rectangle"))
        marks, boxes = without_boxes_of_masks(marks)
        notes = (boxes_note(boxes),) if boxes else ()
        return Corrected(name, paint(marks, frame), dict(unused), source, notes=notes)


def _crop(shape: Mapping[str, Any], kind: str, frame: tuple[int, int]) -> Crop | None:
    points = shape.get("points")
    pairs = [numbers_of(pair, 2) for pair in points] if isinstance(points, list) else []
    if not pairs:
        raise UsageError("expected points [[x, y], ...], got none")
    flat = [value for pair in pairs for value in pair]
    check_points(flat, frame)
    if kind == "mask":
        return _placed(_picture(shape.get("mask")), pairs[0], frame)
    if kind == "circle" and len(pairs) == 2:
        (cx, cy), (x, y) = pairs
        radius = math.hypot(x - cx, y - cy)
        return exact_ellipse((cx, cy), (radius, radius), 0.0, frame)
    if kind == "rectangle" and len(pairs) == 2:
        (x0, y0), (x1, y1) = pairs
        box = [min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)]
        return crop_of_shape("rectangle", box, frame)
    # Rectangles of four corners are written by later versions and by programs that follow.
    if kind in ("polygon", "rectangle", "oriented_rectangle", "rotation"):
        return polygon([flat], frame)
    raise UsageError(f"a {kind!r} of {len(pairs)} points cannot be painted; draw it as a polygon")


def _picture(text: Any) -> BoolMask:
    """The mask in a shape: a PNG as base64."""
    try:
        data = base64.b64decode(text, validate=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error", Picture.DecompressionBombWarning)
            with Picture.open(io.BytesIO(data), formats=["PNG"]) as picture:
                pixels = np.asarray(picture)
    except (
        TypeError,
        OSError,
        SyntaxError,
        ValueError,
        Warning,
        Picture.DecompressionBombError,
    ) as error:
        raise UsageError(f"its mask is not a whole PNG ({error})") from error
    if pixels.ndim != 2:
        raise UsageError("expected a mask of one channel, got several")
    return pixels.astype(np.bool_)


def _placed(mask: BoolMask, corner: Sequence[float], frame: tuple[int, int]) -> Crop | None:
    """A mask with its first pixel at a corner, cut where it leaves the image."""
    left, top = round(corner[0]), round(corner[1])
    below, beyond = max(0, frame[0] - top), max(0, frame[1] - left)
    inside = mask[max(0, -top) : below, max(0, -left) : beyond]
    tight = tight_box(inside)
    if tight is None:
        return None
    x0, y0, x1, y1 = tight
    left, top = max(0, left), max(0, top)
    return (left + x0, top + y0, left + x1, top + y1), inside[y0:y1, x0:x1].copy()
