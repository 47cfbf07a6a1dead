"""The pages of a TIFF: which is the picture, and which show it smaller, or its label.

A file of a scanner holds more than the field: smaller copies (a pyramid), a thumbnail, a
picture of the slide's label and one of the whole slide. A stack (focus, time, channels)
holds pictures of one size: which of them to annotate is not ours to choose.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

import tifffile

from annotator.core.errors import ImageError
from annotator.imaging.pixel_size import OmePicture, ome_colour_planes, ome_pictures

_MOST_PAGES = 64  # no pyramid has more; a long stack is recognised well before
_NUMBERS = (
    "imagewidth", "imagelength", "imagedepth", "tilewidth", "tilelength", "rowsperstrip",
    "samplesperpixel", "planarconfig", "photometric", "compression", "subfiletype",
)  # fmt: skip
_NDPI = 65420  # a tag that every NDPI file has
_PAGE_NAME = 285
_REDUCED, _MASK = 0b001, 0b100  # of NewSubfileType; 255, its elder, is read as the same
# Aperio writes "label 387x463" and "macro 1280x431" on a line of its own, Ventana "Label Image"
# and "level=1 mag=10", Philips "Macro", Akoya an element ImageType.
_EXTRA = re.compile(
    r"^\s*(?:(?:label|macro|thumbnail|overview|probability)(?:[ _]image)?(?:\s+\d+\s*x\s*\d+)?"
    r"|level=[1-9]\d*\s+mag=.*)\s*$"
    r"|<ImageType>(?:label|macro|thumbnail|overview|reducedresolution)</ImageType>",
    re.IGNORECASE | re.MULTILINE,
)
# A page of other proportions is a label or a thumbnail where it has at most this share of the
# picture's area, and another picture where it is larger.
_EXTRA_AREA = 0.5


@dataclass(frozen=True, slots=True)
class TiffPages:
    """What is needed of an open TIFF: its pages, and what its first page says."""

    pages: tuple[Any, ...]
    description: str
    aperio: bool


@dataclass(frozen=True, slots=True)
class TiffPicture:
    """The picture of a TIFF: one page, or three that hold red, green and blue."""

    planes: tuple[Any, ...]
    notes: tuple[str, ...] = ()


def open_pages(handle: BinaryIO) -> TiffPages:
    """Read the directories of a TIFF, those of sub-pictures included.

    Parameters
    ----------
    handle : binary file
        Open and seekable.

    Raises
    ------
    ImageError
        For formats that are built on TIFF and are not read, and for damaged tags. Whatever
        tifffile raises on other damage passes through.
    """
    # is_ndpi: tifffile would otherwise go by the file's name
    tif: Any = tifffile.TiffFile(handle, is_ndpi=False)
    top = list(islice(tif.pages, _MOST_PAGES))
    pages = list(top)
    for page in top:
        if page.subifds:
            pages += islice(page.pages, _MOST_PAGES)
    foreign = (
        "a Hamamatsu NDPI slide" if top and _NDPI in top[0].tags
        else "a Zeiss LSM stack" if tif.is_lsm
        else "a MetaMorph STK stack" if tif.is_stk
        else ""
    )  # fmt: skip
    if foreign:
        raise ImageError(
            f"expected a TIFF image, got {foreign}; export the field as plain TIFF or PNG"
        )
    for page in pages:
        _check_tags(page)
    pages = [p for p in pages if p.imagewidth > 0 and p.imagelength > 0]
    if not pages:
        raise ImageError(
            "expected a TIFF image, but there is no picture in it (cut off, or never finished?); "
            "copy or export it again"
        )
    return TiffPages(tuple(pages), str(top[0].description or ""), bool(tif.is_svs))


def _check_tags(page: Any) -> None:
    """Check that numbers are numbers: a damaged tag comes as a tuple or a text."""
    wrong = [name for name in _NUMBERS if not isinstance(getattr(page, name), int)]
    if wrong:
        raise ImageError(
            f"expected a number as {wrong[0]}, got {getattr(page, wrong[0])!r:.60}; "
            "the TIFF is damaged: copy or export it again"
        )


def find_picture(file: TiffPages) -> TiffPicture:
    """The full-resolution picture, if all other pages are smaller views of it or of its slide.

    Raises
    ------
    ImageError
        For a stack: a second page of the same size, or another picture.
    """
    pages = _pictures(file)
    colours = _colour_planes(pages, file.description)
    if colours:
        return TiffPicture(colours, ("planes of red, green and blue joined",))
    full = max(pages, key=_area)
    # A flag that calls the largest page a smaller copy of another one is wrong.
    full = max((p for p in file.pages if p is full or _is_view(full, p)), key=_area)

    others = [p for p in pages if p is not full and not (file.aperio or _is_view(p, full))]
    own = [each for each in ome_pictures(file.description) if not each.extra]
    extra = [p for p in others if _is_small(p, full) and not _is_among(p, own)]
    _check_no_stack(file.description, full, len(others) - len(extra) + 1)
    return TiffPicture((full,), _left_out(extra))


def _pictures(file: TiffPages) -> list[Any]:
    """The pages that neither a flag nor a name calls a copy, a mask or a label; all if none."""
    ome = ome_pictures(file.description)
    extra = [each for each in ome if each.extra]
    own = [each for each in ome if not each.extra]
    named = [
        page
        for page in file.pages
        if not _is_called_extra(page) and (_is_among(page, own) or not _is_among(page, extra))
    ]
    flagged = [page for page in named if not page.subfiletype & (_REDUCED | _MASK)]
    return flagged or named or list(file.pages)


def _is_called_extra(page: Any) -> bool:
    name = page.tags.get(_PAGE_NAME)
    texts = page.description, name.value if name is not None else ""
    return any(isinstance(text, str) and _EXTRA.search(text) is not None for text in texts)


def _is_among(page: Any, pictures: Sequence[OmePicture]) -> bool:
    size = page.imagelength, page.imagewidth
    return any(picture.shape == size for picture in pictures)


def _area(page: Any) -> int:
    return int(page.imagewidth * page.imagelength)


def _colour_planes(pages: Sequence[Any], description: str) -> tuple[Any, ...]:
    """The pages of red, green and blue of an OME-TIFF that keeps each by itself, or none.

    Converters write RGB so. Three stains under fluorescence look alike to a reader: planes
    with other names than those of the three colours stay a stack.
    """
    largest = max(_area(p) for p in pages)
    full = [p for p in pages if _area(p) == largest]
    kinds = {(p.imagewidth, p.samplesperpixel, p.bitspersample, int(p.photometric)) for p in full}
    names = ome_colour_planes(description)
    if len(full) != 3 or names is None or len(kinds) > 1 or kinds.pop()[1:] != (1, 8, 1):
        return ()
    return tuple(full[at] for at in names)


def _is_view(page: Any, full: Any) -> bool:
    """Whether a page is smaller than another and has its proportions."""
    if page.imagewidth >= full.imagewidth or page.imagelength >= full.imagelength:
        return False
    x, y = page.imagewidth / full.imagewidth, page.imagelength / full.imagelength
    # levels are rounded to whole pixels
    rounding = 1 / min(full.imagewidth, full.imagelength)
    return bool(abs(x - y) <= 0.01 * max(x, y) + rounding)


def _is_small(page: Any, full: Any) -> bool:
    smaller = page.imagewidth < full.imagewidth and page.imagelength < full.imagelength
    return smaller and _area(page) <= _EXTRA_AREA * _area(full)


def _check_no_stack(description: str, full: Any, pages: int) -> None:
    images = re.search(r"^images=(\d+)", description, re.MULTILINE)
    planes = int(images[1]) if images and description.startswith("ImageJ=") else 1
    count = max(pages, planes, full.imagedepth)
    if count > 1:
        raise ImageError(
            f"expected one picture (or a pyramid of it), got a stack of {count} different pages; "
            "save the plane to annotate as a file of its own"
        )


def _left_out(extra: Sequence[Any]) -> tuple[str, ...]:
    if not extra:
        return ()
    sizes = ", ".join(f"{p.imagewidth} x {p.imagelength} px" for p in extra[:3])
    pages = "a smaller page" if len(extra) == 1 else f"{len(extra)} smaller pages"
    return (f"{pages} of other proportions left out (label or thumbnail?): {sizes}",)
