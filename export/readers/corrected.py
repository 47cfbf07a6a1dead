"""The result of every reader: images with the pixels that were painted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from annotator.core.errors import UsageError
from export.readers.painting import Painted

Expected = Callable[[str], tuple[int, int] | None]
"""Height and width that an image of this name must have; None where the study has no such image."""


@dataclass(frozen=True, slots=True, eq=False)
class Corrected:
    """One image of an archive.

    Parameters
    ----------
    name : str
        As the archive gives it, with folders and suffix where there are any.
    painted : Painted or None
        None where the study has no such image.
    unused : mapping of str to int
        How many shapes of each kind cannot be painted: points, lines, tracks.
    source : str
        Where in the archive it stands, such as ``task 7``, for formats in which an image can
        occur twice; else empty.
    refused : str
        Why this image cannot be used, where the others can; `painted` is None then.
    notes : tuple of str
        What a person should know about this image.
    """

    name: str
    painted: Painted | None
    unused: Mapping[str, int] = field(default_factory=dict)
    source: str = ""
    refused: str = ""
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Reading:
    """An archive that is being read; `notes` and `unused` are complete after the last image.

    Parameters
    ----------
    format : str
        As the program that wrote it calls it.
    images : iterator of Corrected
        One in memory at a time. It raises UsageError for what cannot be used.
    notes : list of str
        Sentences for a person.
    unused : dict of str to int
        How many things that belong to no single image cannot be used, such as tracks, by kind.
    picture : callable
        Bytes of the PNG that the archive carries of an image, by its name; None where it has none.
    naming : str
        How a file tells its image, for whoever gave one that no image fits; else empty.
    by_hand : bool
        Whether people made its files one by one: then one that cannot be used does not stop the
        others. What a server exported is whole, or damaged.
    """

    format: str
    images: Iterator[Corrected]
    notes: list[str] = field(default_factory=list)
    unused: dict[str, int] = field(default_factory=dict)
    picture: Callable[[str], bytes | None] = lambda name: None
    naming: str = ""
    by_hand: bool = False


def check_size(image: str, found: tuple[int, int], expected: tuple[int, int]) -> None:
    """Refuse an image whose height and width are not those in the study.

    Raises
    ------
    UsageError
        With both sizes.

    Examples
    --------
    >>> check_size("field.png", (1200, 1920), (1200, 1920))
    """
    if found != expected:
        raise UsageError(
            f"{image}: expected {expected[1]} x {expected[0]} pixels, as in the study, got "
            f"{found[1]} x {found[0]}; it is another picture of this name, or was resized"
        )


def last_part(name: str) -> str:
    r"""The name of a file without the folders of any system.

    Examples
    --------
    >>> last_part("slides/a/field.png"), last_part(r"images\field.png")
    ('field.png', 'field.png')
    """
    return re.split(r"[/\\]", name)[-1]
