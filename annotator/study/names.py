"""The name of an image in a study: its own, made safe and unique."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from pathlib import PurePath

from annotator.imaging.slide_region import SlideRegion

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 180


def clean_stem(path: str) -> str:
    """Take a file's stem, and change only what some file system or archive cannot hold.

    Unicode and spaces stay (NFC); forbidden and invisible characters become ``_``, and so
    does a ``#`` in front, which lists in archives take for a comment; other kinds of blanks
    become a space; at most 180 bytes of UTF-8, so that the suffixes of our files fit into the
    usual 255.

    Examples
    --------
    >>> clean_stem("fields/Fall 12 – Mäusle.ome.tif")
    'Fall 12 – Mäusle.ome'
    >>> clean_stem("case 7.svs/x002048-y000512-w1200-h1200-um0.5000")
    'case 7_x2048_y512'
    >>> clean_stem("what?.png"), clean_stem("nul.png"), clean_stem("#3.png"), clean_stem(" ..png")
    ('what_', 'nul_', '_3', 'image')
    """
    region = SlideRegion.from_path(PurePath(path))
    whole = PurePath(path).stem if region is None else region.name
    stem = unicodedata.normalize("NFC", whole)
    stem = stem.encode("utf-8", "replace").decode("utf-8")
    stem = "".join(map(_visible, _FORBIDDEN.sub("_", stem)))
    stem = stem.encode()[:_LONGEST].decode("utf-8", "ignore").strip(" .")
    stem = re.sub("^#", "_", stem)
    if _RESERVED.fullmatch(stem):
        stem += "_"
    return stem or "image"


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else "_"


def fold(name: str) -> str:
    """Form in which two names are the same on file systems that ignore case.

    Examples
    --------
    >>> fold("Maß_A") == fold("MASS_a")
    True
    """
    return unicodedata.normalize("NFC", name.casefold())


def unique_name(path: str, image_id: str, taken: Container[str]) -> str:
    """Choose a name that no other image of the study has.

    Parameters
    ----------
    path : str
        Where the image came from.
    image_id : str
        Its content hash: a clash gets the first eight digits of it.
    taken : container of str
        Names in use, folded by :func:`fold`.

    Examples
    --------
    >>> unique_name("b/field.png", "0123456789abcdef", {"field"})
    'field-01234567'
    """
    stem = clean_stem(path)
    for name in (stem, f"{stem}-{image_id[:8]}"):
        if fold(name) not in taken:
            return name
    return f"{stem}-{image_id}"
