"""Which class a name stands for, in files of programs in which people name classes freely."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from annotator.core.classes import CLASS_NAMES
from export.readers.corrected import EXCLUDE


class NoClass(Enum):
    """What a name can stand for that is no class."""

    EXCLUDE = "exclude"
    """The region counts nowhere: no class, no training, no area."""
    IGNORE = "ignore"
    """The shape is passed over, as if it were not there."""


Meaning = int | NoClass | None
"""Code of a class, 0-3, or what else a name stands for; None for an unknown one."""

ClassOfName = Callable[[str], Meaning]


def class_of_name(name: str) -> Meaning:
    """What a name stands for; capitals and blanks around it do not matter.

    Examples
    --------
    >>> class_of_name("Bone"), class_of_name("exclude").name, class_of_name("tumour") is None
    (3, 'EXCLUDE', True)
    """
    plain = name.strip().casefold()
    if plain in CLASS_NAMES:
        return CLASS_NAMES.index(plain)
    return NoClass.EXCLUDE if plain == EXCLUDE else None
