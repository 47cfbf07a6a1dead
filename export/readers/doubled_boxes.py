"""Boxes around masks that a converter added, which are no areas that anybody marked.

datumaro 1.x reads each object of COCO as its mask and a box around it, in one group, and reads
the file backwards. Painted as they come, a box would cover whatever lies in the corners around
its object, and where objects overlap the other one would win.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from export.readers.painting import Box, Mark

# A polygon that was made from a mask can be a row and a column short.
_TOLERANCE_PX = 1


def without_boxes_of_masks(marks: Sequence[Mark]) -> tuple[list[Mark], int]:
    """Leave out each box that only repeats how far a mask, or the polygons of a group, reach.

    Both are of one class, and of one group where the format has groups (COCO has none).

    Parameters
    ----------
    marks : sequence of Mark
        Of one image.

    Returns
    -------
    marks : list of Mark
        The others, in their order.
    left_out : int
        How many boxes were left out.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.eye(4, dtype=bool)
    >>> object_and_box = [
    ...     Mark(1, (2, 2, 6, 6), mask, group=7),
    ...     Mark(1, (2, 2, 6, 6), np.ones((4, 4), bool), group=7, is_box=True),
    ... ]
    >>> kept, left_out = without_boxes_of_masks(object_and_box)
    >>> [mark.is_box for mark in kept], left_out
    ([False], 1)
    """
    reach: dict[tuple[int, int], list[Box]] = defaultdict(list)
    for mark in marks:
        if not mark.is_box:
            reach[mark.group, mark.code].append(mark.box)
    for (group, _), boxes in reach.items():
        if group:
            boxes.append(_around(boxes))

    def repeats(mark: Mark) -> bool:
        return mark.is_box and any(
            _alike(mark.box, box) for box in reach.get((mark.group, mark.code), [])
        )

    kept = [mark for mark in marks if not repeats(mark)]
    return kept, len(marks) - len(kept)


def boxes_note(count: int) -> str:
    """What a person should know where boxes around masks were found."""
    return (
        f"{count} object(s) are there twice, as a mask and as a box of one group, as datumaro 1.x "
        "writes what it read from COCO; the boxes were left out; the order may be reversed, so "
        "that another object lies on top where they overlap: look at it, or read the file that "
        "went into the conversion"
    )


def _around(boxes: Sequence[Box]) -> Box:
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _alike(one: Box, other: Box) -> bool:
    return all(abs(a - b) <= _TOLERANCE_PX for a, b in zip(one, other, strict=True))
