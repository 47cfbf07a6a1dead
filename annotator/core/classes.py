"""The four classes of a marrow field: names, codes and colours.

A study reads its schema from ``study.toml``; :data:`DEFAULT_SCHEMA` is what
``trephine init`` writes there. Nothing else in the project names a colour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core.errors import SettingsError

BG, FAT, CELL, BONE = 0, 1, 2, 3
UNLABELLED = 255
CLASS_NAMES = ("bg", "fat", "cell", "bone")

_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def invalid_codes(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a value is neither the code of a class nor 255.

    Parameters
    ----------
    codes : (H, W) uint8, or of any other shape

    Returns
    -------
    bool of the same shape

    Examples
    --------
    >>> invalid_codes(np.array([0, 3, 4, 255], np.uint8))
    array([False, False,  True, False])
    """
    strange: NDArray[np.bool_] = (codes >= len(CLASS_NAMES)) & (codes != UNLABELLED)
    return strange


@dataclass(frozen=True, slots=True)
class ClassSchema:
    """Names in the order of their codes, and the colour of each.

    Parameters
    ----------
    colours : tuple of str
        ``#rrggbb`` for bg, fat, cell, bone (codes 0, 1, 2, 3), all different
        and none black: black is "unlabelled" in the archives that we write.

    Examples
    --------
    >>> DEFAULT_SCHEMA.rgb("fat")
    (128, 0, 0)
    """

    colours: tuple[str, str, str, str] = ("#008000", "#800000", "#808000", "#000080")

    def __post_init__(self) -> None:
        bad = [c for c in self.colours if not isinstance(c, str) or not _HEX.fullmatch(c)]
        if bad or len(self.colours) != len(CLASS_NAMES):
            raise SettingsError(
                f"class colours: expected four like '#808000' ({', '.join(CLASS_NAMES)}), "
                f"got {list(self.colours)}; correct [classes] in study.toml"
            )
        lower = [c.lower() for c in self.colours]
        if len(set(lower)) < len(lower) or "#000000" in lower:
            raise SettingsError(
                f"class colours must differ from each other and from black (unlabelled), "
                f"got {lower}; correct [classes] in study.toml"
            )

    def rgb(self, name: str) -> tuple[int, int, int]:
        """Colour of a class as red, green, blue, each 0-255."""
        text = self.colours[CLASS_NAMES.index(name)]
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)

    def palette(self) -> NDArray[np.uint8]:
        """Colours by code, (256, 3) uint8; codes without a class are black.

        Examples
        --------
        >>> DEFAULT_SCHEMA.palette()[[FAT, UNLABELLED]].tolist()
        [[128, 0, 0], [0, 0, 0]]
        """
        table = np.zeros((256, 3), np.uint8)
        for code, name in enumerate(CLASS_NAMES):
            table[code] = self.rgb(name)
        return table


DEFAULT_SCHEMA = ClassSchema()
