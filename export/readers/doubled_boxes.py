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
_SHORT_PX = 1
# The tips of a polygon hold no centre of a pixel, so that its box reaches farther than its pixels.
_TIP_PX, _TIP_SHARE = 3, 0.15


def without_boxes_of_masks(marks: Sequence[Mark]) -> tuple[list[Mark], int]:
    """Leave out each box that only repeats how far a mask, or the polygons of a group, reach.

    Both are of one class and group.

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
        if mark.group and not mark.is_box:
            reach[mark.group, mark.code].append(mark.box)
    whole = {key: _around(boxes) for key, boxes in reach.items()}

    def repeats(mark: Mark) -> bool:
        around = whole.get((mark.group, mark.code))
        return mark.is_box and around is not None and _goes_around(mark.box, around)

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


def _goes_around(box: Box, pixels: Box) -> bool:
    """Whether a box is that of these pixels: it holds them, and is hardly larger."""
    left, top, right, bottom = (b - p for b, p in zip(box, pixels, strict=True))
    across, down = pixels[2] - pixels[0], pixels[3] - pixels[1]
    excess = (-left, across), (right, across), (-top, down), (bottom, down)
    return all(-_SHORT_PX <= px <= max(_TIP_PX, _TIP_SHARE * side) for px, side in excess)
