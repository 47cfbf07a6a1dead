"""Directed texture: courses that wind through a field, and streaks drawn out along them.

A course is a pair of coordinates ``(along, across)``, (H, W) float32, um. A texture that is drawn
in these coordinates follows the course, as lamellae follow a trabecula and fibres their bundle.
"""

from __future__ import annotations

import cv2
import numpy as np

from annotator.synthetic.noise import Field, Rng, as_field, broad_noise

# Distance (um) between bends, and how far (um) the course swings there.
_BENDS = ((700.0, 110.0), (260.0, 26.0), (80.0, 6.0), (28.0, 1.3), (9.0, 0.22))
_TABLE = 512


def course(
    rng: Rng, shape: tuple[int, int], um: float, bend: float, angle: float | None = None
) -> tuple[Field, Field]:
    """Coordinates along and across a winding direction.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : (int, int)
        Height and width, px.
    um : float
        Microns per pixel.
    bend : float
        How strongly it winds; 0 for straight.
    angle : float or None
        Direction, radians; random where it is None.

    Returns
    -------
    along, across : (H, W) float32
        Um.

    Examples
    --------
    >>> along, across = course(np.random.default_rng(0), (4, 6), 0.5, bend=0.0, angle=0.0)
    >>> across[:, 0].tolist()
    [0.0, 0.5, 1.0, 1.5]
    """
    turn = rng.uniform(0, np.pi) if angle is None else angle
    x = np.arange(shape[1], dtype=np.float32)[None, :] * np.float32(um)
    y = np.arange(shape[0], dtype=np.float32)[:, None] * np.float32(um)
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    along, across = x * c + y * s, y * c - x * s
    for scale, swing in _BENDS:
        across = across + broad_noise(rng, shape, scale / um) * np.float32(bend * swing)
    along = along + broad_noise(rng, shape, 90.0 / um) * np.float32(8.0)
    return as_field(along), as_field(across)


def streaks(rng: Rng, along: Field, across: Field, length: float, width: float) -> Field:
    """Noise drawn out along a course.

    Parameters
    ----------
    rng : numpy.random.Generator
    along, across : (H, W) float32
        The course, um.
    length, width : float
        Of a streak, um.

    Returns
    -------
    (H, W) float32
        Mean 0, standard deviation about 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> drawn = streaks(rng, *course(rng, (200, 200), 1.0, 0.0, 0.0), length=50.0, width=3.0)
    >>> steps = [float(np.abs(np.diff(drawn, axis=a)).mean()) for a in (0, 1)]
    >>> steps[0] > 5 * steps[1]
    True
    """
    # A table of random values, its end equal to its beginning, is read at the coordinates.
    table = rng.standard_normal((_TABLE, _TABLE), np.float32)
    table[-4:] = table[:4]
    table[:, -4:] = table[:, :4]
    u = np.mod(along / np.float32(length), _TABLE - 4) + np.float32(1.5)
    v = np.mod(across / np.float32(width), _TABLE - 4) + np.float32(1.5)
    drawn = cv2.remap(table, as_field(u), as_field(v), cv2.INTER_LINEAR)
    # Interpolation takes away variance between the values; the factor puts it back.
    return as_field(drawn) * np.float32(1.5)


def crossed_streaks(
    rng: Rng, along: Field, across: Field, length: float, width: float, um: float
) -> Field:
    """Streaks of two directions that take turns in patches of 60 um, as in woven tissue."""
    c, s = np.float32(np.cos(0.5)), np.float32(np.sin(0.5))
    one = streaks(rng, along, across, length, width)
    two = streaks(rng, along * c + across * s, across * c - along * s, length, width)
    shape = (one.shape[0], one.shape[1])
    share = np.clip(0.5 + broad_noise(rng, shape, 60 / um), 0, 1)
    return as_field(one * share + two * (1 - share))
