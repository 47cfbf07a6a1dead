"""From the decoder's low-resolution masks to the image's pixels, as two small matrices.

SAM's decoder answers on a coarse square grid. The package brings that to the encoder's
side length with a bilinear resize, cuts the letter-box off, and resizes once more to the
image (``Sam.postprocess_masks``). Both steps are linear and treat rows and columns alone,
so one matrix for each side does the same, and any part of the result can be had by itself.

Imports torch at its head: only engine modules import this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from annotator.core.objects import freeze


@dataclass(frozen=True, slots=True, eq=False)
class WeightBand:
    """Where the weights of a resizing matrix (n, m) lie: ``first[i] <= column < stop[i]``.

    Parameters
    ----------
    first, stop : (n,) int64
        Both never fall with i: what lies further down reads from further down.
    """

    first: NDArray[np.int64]
    stop: NDArray[np.int64]

    def reached_from(
        self, first: NDArray[np.int64], stop: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Half-open ranges of rows in which any column of ``first .. stop`` has a weight.

        Ranges of columns that nothing reads from give ranges that are empty.

        Parameters
        ----------
        first, stop : (K,) int64
            Half-open ranges of columns.

        Returns
        -------
        start, end : (K,) int64

        Examples
        --------
        >>> band = WeightBand(np.array([0, 0, 1, 2]), np.array([1, 2, 3, 3]))
        >>> start, end = band.reached_from(np.array([0, 2]), np.array([1, 3]))
        >>> start.tolist(), end.tolist()
        ([0, 2], [2, 4])
        """
        # Both ends of the bands never fall: two binary searches instead of all rows.
        start = np.searchsorted(self.stop, first, side="right")
        return start, np.maximum(start, np.searchsorted(self.first, stop, side="left"))

    def cells(self, rows: slice) -> slice:
        """The columns that some rows read; there must be at least one row."""
        return slice(int(self.first[rows.start]), int(self.stop[rows.stop - 1]))


@dataclass(frozen=True, slots=True, eq=False)
class Resize:
    """The pair of matrices: ``full = rows @ low[:h, :w] @ columns.T``.

    Parameters
    ----------
    rows : (H, h) float32 tensor
        Weights from rows of the low mask to rows of the image; each row sums to 1.
    columns : (W, w) float32 tensor
        The same for columns.
    """

    rows: Tensor
    columns: Tensor
    row_band: WeightBand = field(init=False)
    column_band: WeightBand = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "row_band", _band(self.rows))
        object.__setattr__(self, "column_band", _band(self.columns))

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.rows.shape[0], self.columns.shape[0]

    @property
    def low_shape(self) -> tuple[int, int]:
        """Rows and columns of the low mask that the image reads: without letter-box."""
        return self.rows.shape[1], self.columns.shape[1]


def resize_for(
    image_size: tuple[int, int],
    input_size: tuple[int, int],
    longest: int,
    low_side: int,
    device: str | torch.device,
) -> Resize:
    """The package's two bilinear resizes of a mask, as one pair of matrices.

    Parameters
    ----------
    image_size : (int, int)
        Height and width of the image in pixels.
    input_size : (int, int)
        Height and width of the image as the encoder saw it, without padding.
    longest : int
        Side of the encoder's square input in pixels.
    low_side : int
        Side of the decoder's square output.
    device : str or torch.device
        Where the matrices go.

    Examples
    --------
    >>> resize = resize_for((1200, 1920), (640, 1024), 1024, 256, "cpu")
    >>> resize.image_shape, resize.low_shape
    ((1200, 1920), (161, 256))
    """
    rows, columns = (
        _weights(low_side, longest, seen, size).to(device)
        for seen, size in zip(input_size, image_size, strict=True)
    )
    return Resize(rows, columns)


def identity(shape: tuple[int, int], device: str | torch.device) -> Resize:
    """A pair that changes nothing, for masks that have the image's size already.

    Examples
    --------
    >>> identity((3, 5), "cpu").low_shape
    (3, 5)
    """
    height, width = shape
    return Resize(torch.eye(height, device=device), torch.eye(width, device=device))


def _weights(low_side: int, longest: int, seen: int, size: int) -> Tensor:
    """Weights (size, m) of one side; columns at the end that nothing reads are cut off.

    torch resizes the unit vectors, in float32: it rounds the weights of the package's
    own resizes in the same way.
    """
    # Resizing is linear: what it makes of the unit vectors are the columns of its matrix.
    units = torch.eye(low_side)[None]
    inner = functional.interpolate(units, longest, mode="linear", align_corners=False)
    outer = functional.interpolate(inner[..., :seen], size, mode="linear", align_corners=False)
    weights = outer[0].T
    # Cells that only the letter-box reads have no weight; the decoder need not make them.
    used = int(weights.any(dim=0).nonzero().max()) + 1
    return weights[:, :used].contiguous()


def _band(weights: Tensor) -> WeightBand:
    there = (weights != 0).cpu().numpy()
    first = there.argmax(axis=1)
    stop = there.shape[1] - there[:, ::-1].argmax(axis=1)
    # Rising already, but for weights that happen to be 0 inside the band.
    rising = np.minimum.accumulate(first[::-1])[::-1], np.maximum.accumulate(stop)
    return WeightBand(*(freeze(np.ascontiguousarray(ends, np.int64)) for ends in rising))
