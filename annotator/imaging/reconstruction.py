"""Grey reconstruction by dilation without sorting the pixels: exact, and mostly much faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

# Side of the blocks of the coarse pass, px.
_BLOCK = 4
# Steps after which what is left is handed to skimage: long windings need thousands.
_STEPS = 400
# Steps between two looks whether anything still changes.
_LOOK = 4
_SQUARE = np.ones((3, 3), np.uint8)


def reconstruct(marker: Plane, ceiling: Plane) -> Plane:
    """Grow `marker` under `ceiling` until nothing changes any more.

    Each pixel ends with the highest value that reaches it from any pixel of the marker on
    a path of 8-neighbours, cut down to the ceiling all along that path.

    Parameters
    ----------
    marker : (H, W) float32
        0 or more, nowhere above `ceiling`.
    ceiling : (H, W) float32

    Returns
    -------
    (H, W) float32
        What ``skimage.morphology.reconstruction(marker, ceiling, "dilation")`` returns, bit
        by bit: only minima and maxima are taken, so nothing is ever rounded.

    Notes
    -----
    The result has one fixed point, which is reached from any start between the marker and
    itself. So a coarse grid makes a high start, and only a few steps are left on the fine
    one. A block's least ceiling holds on every path through it, which is why the coarse
    result is never too high.

    References
    ----------
    L. Vincent, "Morphological grayscale reconstruction in image analysis: applications and
    efficient algorithms", IEEE Trans. Image Process. 2, 1993.

    Examples
    --------
    >>> ceiling = np.array([[5, 4, 2, 4, 5]], np.float32)
    >>> reconstruct(np.array([[5, 0, 0, 0, 3]], np.float32), ceiling).tolist()
    [[5.0, 4.0, 2.0, 3.0, 3.0]]
    """
    # Coarse pass: the highest of the marker in a block, under the lowest of its ceiling.
    low = _in_blocks(ceiling, np.min)
    coarse = _grown(np.minimum(_in_blocks(marker, np.max), low), low)

    # Back on the fine grid it is a start that is too low only near edges.
    height, width = marker.shape
    start = np.repeat(np.repeat(coarse, _BLOCK, axis=0), _BLOCK, axis=1)[:height, :width]
    return _grown(np.maximum(marker, start), ceiling)


def _grown(marker: Plane, ceiling: Plane) -> Plane:
    for step in range(_STEPS):
        # One step: each pixel takes the highest of its neighbours, cut down to its ceiling.
        grown = np.minimum(np.asarray(cv2.dilate(marker, _SQUARE), np.float32), ceiling)
        if step % _LOOK == 0 and np.array_equal(grown, marker):
            return grown
        marker = grown
    from skimage.morphology import reconstruction

    return np.asarray(reconstruction(marker, ceiling, method="dilation"), np.float32)


def _in_blocks(plane: Plane, reduce: Callable[..., Any]) -> Plane:
    """Least or largest value of each block; blocks at the edge are filled up with 0."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % _BLOCK), (0, -width % _BLOCK)))
    blocks = padded.reshape(padded.shape[0] // _BLOCK, _BLOCK, padded.shape[1] // _BLOCK, _BLOCK)
    return np.asarray(reduce(reduce(blocks, axis=3), axis=1), np.float32)
