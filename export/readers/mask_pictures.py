"""Read masks as PNG, one for each image, in whatever codes a lab paints them.

A code is a grey level, a number of a palette, or a colour. What it means is said by a person
(``--map "0=bg,1=bone,#ff0000=fat,255=ignore"``). As long as nothing else is said, the numbers
0-3 and 255 and the colours of the study mean what they mean in our own masks.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from annotator.core.classes import CLASS_NAMES, UNLABELLED
from annotator.core.errors import UsageError
from annotator.core.label_names import IGNORE
from export.readers.corrected import Corrected, Expected, Reading, check_size, last_part
from export.readers.labels import LabelReader
from export.readers.masks import connected_pieces
from export.readers.painting import Painted, split_excluded
from export.readers.zip import Entries

MASKS = "masks as PNG"
MOST_UNKNOWN = 0.5
"""A mask is refused when more of its pixels than this have codes that nobody explained."""
_ENDING = re.compile(
    r"[ _.-]+(masks?|labels?|labelmap|seg|segmentation|gt|truth|annotations?)", re.IGNORECASE
)
MOST_CODES = 1024
"""A file with more codes than this is a picture."""
_TRANSPARENT = -1
_MOST_NAMES = 8
_OURS = {str(code): name for code, name in enumerate(CLASS_NAMES)} | {str(UNLABELLED): IGNORE}
_OURS_NOTE = (
    "the codes of the masks were taken as our own: 0 bg, 1 fat, 2 cell, 3 bone, 255 unlabelled, "
    "and the colours of the study; --map says otherwise"
)
_NUMBER_OR_COLOUR = re.compile("[0-9]+|#[0-9a-f]{6}")


def read_mask_pictures(
    archive: Entries, names: Sequence[str], expected: Expected, labels: LabelReader
) -> Reading:
    """Read masks, each alone: one that cannot be used does not stop the others.

    Parameters
    ----------
    archive : Entries
    names : sequence of str
        Of the PNG files in it. A mask is called as its image, or as its image with an ending such
        as ``_mask`` or ``-labels``.
    expected : callable
        Height and width by the name of an image; None for one that the study does not know.
    labels : LabelReader

    Returns
    -------
    Reading
        Its images are read one by one as they are asked for. A mask has no instances: connected
        pieces take their place.
    """
    reading = Reading(MASKS, iter(()), by_hand=True)
    meanings = _CodeMeanings(labels, reading.notes)
    reading.images = _images(archive, names, expected, meanings)
    return reading


def _images(
    archive: Entries, names: Sequence[str], expected: Expected, meanings: _CodeMeanings
) -> Iterator[Corrected]:
    masked: set[str] = set()
    pictures: dict[str, Corrected] = {}
    for source in names:
        try:
            name, frame = _known(source, expected)
            if frame is None:
                yield Corrected(source, None, source=source)
                continue
            codes = meanings.codes(_read_codes(archive.read(source), frame), source)
            classes, excluded = split_excluded(codes)
        except _PictureError as error:
            pictures[name] = Corrected(source, None, source=source, refused=str(error))
        except UsageError as error:
            yield Corrected(source, None, source=source, refused=str(error))
        else:
            masked.add(name)
            painted = Painted(classes, connected_pieces(classes), excluded=excluded)
            yield Corrected(name, painted, source=source)
    # The picture itself may lie beside its mask.
    yield from (one for name, one in pictures.items() if name not in masked)


class _PictureError(UsageError):
    """The file is a picture, and no mask."""


def _known(source: str, expected: Expected) -> tuple[str, tuple[int, int] | None]:
    """Name and size of the image of a mask: its own name goes before that without the ending."""
    stem = PurePosixPath(last_part(source)).stem
    for name in image_stems(stem):
        frame = expected(name)
        if frame is not None:
            return name, frame
    return source, None


def image_stems(stem: str) -> list[str]:
    """Names that the image of a mask can have, the likeliest first.

    Examples
    --------
    >>> image_stems("field 3_mask"), image_stems("mask")
    (['field 3_mask', 'field 3'], ['mask'])
    """
    found = [stem]
    ending = re.search(f"{_ENDING.pattern}$", stem, re.IGNORECASE)
    if ending is not None and ending.start() > 0:
        found.append(stem[: ending.start()])
    return found


# Codes


@dataclass(frozen=True, slots=True, eq=False)
class _Codes:
    """The codes that occur in a mask, where each of them is, and how a person may call it.

    Parameters
    ----------
    names : sequence of tuple of str
        Of each code: as a number, as a colour, or both, the likelier first. Empty for what
        is transparent.
    at : (H, W) int
        For each pixel, which of them it has.
    is_black_and_white : bool
        Whether there are only 0, or 0 and 255, or the two levels of one bit.
    """

    names: Sequence[tuple[str, ...]]
    at: NDArray[np.intp]
    is_black_and_white: bool = False


def _read_codes(data: bytes, frame: tuple[int, int]) -> _Codes:
    try:
        # The header gives the size, so a picture of the wrong size is refused before it is decoded.
        with warnings.catch_warnings():
            warnings.simplefilter("error", Picture.DecompressionBombWarning)
            with Picture.open(io.BytesIO(data), formats=["PNG"]) as picture:
                check_size("the mask", (picture.height, picture.width), frame)
                return _codes_of(picture)
    except (OSError, SyntaxError, ValueError, Warning, Picture.DecompressionBombError) as error:
        raise UsageError(f"not a whole PNG ({error}); save it again") from error


def _codes_of(picture: Picture.Image) -> _Codes:
    if picture.mode == "P":
        colours = np.asarray(picture.convert("RGB"), np.int32)
        return _palette_codes(np.asarray(picture, np.int32), _packed(colours))
    if picture.mode == "1":
        levels, at = _distinct(np.asarray(picture, np.int32))
        return _Codes([("1", "255") if level else ("0",) for level in levels], at, True)
    if picture.mode in ("L", "I;16", "I;16B", "I"):
        return _grey_codes(np.asarray(picture).astype(np.int32))
    if picture.mode not in ("LA", "RGB", "RGBA"):
        raise UsageError(f"expected grey levels, a palette or colours, got {picture.mode}")
    pixels = np.asarray(picture.convert("RGBA"), np.int32)
    colours, opacity = pixels[..., :3], pixels[..., 3]
    painted = colours[opacity > 0]
    # A mask of codes that a program saved with three equal channels. All black says nothing.
    if painted.any() and (painted == painted[:, :1]).all():
        return _grey_codes(np.where(opacity > 0, colours[..., 0], _TRANSPARENT).astype(np.int32))
    return _colour_codes(np.where(opacity > 0, _packed(colours), _TRANSPARENT).astype(np.int32))


def _packed(colours: NDArray[np.int32]) -> NDArray[np.int32]:
    return colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]


def _grey_codes(levels: NDArray[np.int32]) -> _Codes:
    values, at = _distinct(levels)
    names = [(str(v), *([_hex(v * 0x010101)] if v < 256 else [])) for v in values]
    painted = set(values) - {_TRANSPARENT}
    # One of these masks without the object is black; 255 alone says nothing, as in our own.
    is_black_and_white = 0 in painted and painted <= {0, 255}
    return _Codes(_without_transparent(names, values), at, is_black_and_white)


def _palette_codes(indices: NDArray[np.int32], colours: NDArray[np.int32]) -> _Codes:
    values, at = _distinct(indices)
    # The colour of one pixel of each number.
    firsts = {value: int(colours.flat[int(np.argmax(indices == value))]) for value in values}
    return _Codes([(str(value), _hex(firsts[value])) for value in values], at)


def _colour_codes(colours: NDArray[np.int32]) -> _Codes:
    values, at = _distinct(colours)
    greys = [v & 255 if v == (v & 255) * 0x010101 else None for v in values]
    names = [
        (_hex(v), *([] if grey is None else [str(grey)]))
        for v, grey in zip(values, greys, strict=True)
    ]
    return _Codes(_without_transparent(names, values), at)


def _distinct(pixels: NDArray[np.int32]) -> tuple[list[int], NDArray[np.intp]]:
    """The values that occur, and for each pixel which of them it has."""
    # Which of all colours occur is looked up in a table, which is faster than sorting the pixels.
    shifted = pixels - _TRANSPARENT
    seen = np.zeros(int(shifted.max(initial=0)) + 1, np.bool_)
    seen[shifted] = True
    values = np.flatnonzero(seen) + _TRANSPARENT
    if len(values) > MOST_CODES:
        raise _PictureError(
            f"it has {len(values)} colours: it looks like a picture, not like a mask, or it was "
            "saved as JPEG once"
        )
    return values.tolist(), (np.cumsum(seen) - 1)[shifted]


def _without_transparent(
    names: Sequence[tuple[str, ...]], values: Sequence[int]
) -> list[tuple[str, ...]]:
    """No names for what is transparent."""
    return [() if v == _TRANSPARENT else name for name, v in zip(names, values, strict=True)]


def _hex(colour: int) -> str:
    return f"#{colour:06x}"


class _CodeMeanings:
    """What numbers and colours mean."""

    def __init__(self, labels: LabelReader, notes: list[str]) -> None:
        self._labels = labels
        self._notes = notes
        colours = zip(labels.schema.colours, CLASS_NAMES, strict=True)
        self._ours = _OURS | {colour.lower(): name for colour, name in colours}
        self._ours |= {"#000000": IGNORE}
        said = {k: v for k, v in labels.names.given.items() if _NUMBER_OR_COLOUR.fullmatch(k)}
        self._only_ours = not said
        # Who paints bone as 1 does not mean our class by 3.
        self._ours_hold = all(self._ours.get(code) == meaning for code, meaning in said.items())

    def codes(self, codes: _Codes, source: str) -> NDArray[np.uint8]:
        """Codes of our classes, (H, W) uint8; 255 where a code is to be ignored, or not known.

        254 (:data:`export.readers.painting.EXCLUDED`) where it says that pixels count nowhere.

        Raises
        ------
        UsageError
            When most of it is not known, or it is black and white and nobody said what that means.
        """
        if codes.is_black_and_white and self._only_ours:
            raise UsageError(
                "expected a code for each class, got black and white alone (0 and 255): say what "
                "they are, as in --map '255=bone,0=ignore'"
            )
        known = [self._class(names, source) if names else UNLABELLED for names in codes.names]
        counts = np.bincount(codes.at.ravel(), minlength=len(known)).tolist()
        unknown = {
            names[0]: count
            for names, code, count in zip(codes.names, known, counts, strict=True)
            if code is None
        }
        self._check_unknown(unknown, codes.at.size, source)
        if self._only_ours and _OURS_NOTE not in self._notes:
            self._notes.append(_OURS_NOTE)
        table = np.array([UNLABELLED if code is None else code for code in known], np.uint8)
        return table[codes.at]

    def _class(self, names: tuple[str, ...], source: str) -> int | None:
        """The class of a code by the first of its names that was explained."""
        for name in names:
            if name in self._labels.names.given:
                return self._labels.code(name, source)
        meaning = self._own_meaning(names) if self._ours_hold else None
        if meaning is None:
            return None
        self._labels.note_known()
        return UNLABELLED if meaning == IGNORE else CLASS_NAMES.index(meaning)

    def _own_meaning(self, names: tuple[str, ...]) -> str | None:
        """What a code means in our own masks; number and colour of a palette must not differ."""
        meaning, *others = [self._ours.get(name) for name in names]
        colour = others[0] if others and names[0] in _OURS else None
        if colour not in (None, IGNORE, meaning):
            raise UsageError(
                f"the palette has the colour {names[1]} of {colour} as number {names[0]}, which is "
                f"{meaning}: say which it is, as in --map '{names[0]}={meaning}' or "
                f"--map '{names[1]}={colour}'"
            )
        if meaning is None and others and names[1].startswith("#"):
            return others[0]
        return meaning

    def _check_unknown(self, unknown: dict[str, int], size: int, source: str) -> None:
        count = sum(unknown.values())
        largest = sorted(unknown, key=lambda name: -unknown[name])
        if count > MOST_UNKNOWN * size:
            some = ", ".join(
                f"{n} ({100 * unknown[n] / size:.0f} %)" for n in largest[:_MOST_NAMES]
            )
            more = f" and {len(largest) - _MOST_NAMES} more" if len(largest) > _MOST_NAMES else ""
            raise UsageError(
                f"{100 * count / size:.0f} % of its pixels have codes that nobody explained: "
                f"{some}{more}; say what they mean, as in --map '{largest[0]}=fat' (or bg, cell, "
                "bone, ignore, exclude)"
            )
        for name in largest[:_MOST_NAMES]:
            self._labels.note_unknown(name, source)
