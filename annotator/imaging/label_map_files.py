"""Label maps as people and programs leave them: two grey PNG an image, read and checked.

::

    NAME.png              8 bits, the class code of each pixel: 0 bg, 1 fat, 2 cell, 3 bone,
                          255 where nobody says
    instances/NAME.png    16 bits, the instance of each pixel of fat and bone, 0 for none;
                          it may be missing

A person may correct the first with any drawing program; the second then follows, see
:func:`annotator.core.label_maps.fit_instances`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import BG, UNLABELLED, invalid_codes
from annotator.core.errors import StudyError
from annotator.core.label_maps import LabelMaps, fit_instances
from annotator.imaging.codecs import decode_png

_SAVE_CODES = "save it as grey of 8 bits in the size of its image, or take it away"
_DROP_INSTANCES = "take it away: connected fat and bone then become instances"


def read_label_maps(
    codes: Path, instances: Path, shape: tuple[int, int] | None = None, advice: str = ""
) -> LabelMaps:
    """Read the classes of an image and its instances, which follow the classes.

    Parameters
    ----------
    codes : Path
        PNG of class codes, (H, W) uint8.
    instances : Path
        PNG of instances, (H, W) uint16; there need not be one.
    shape : (int, int), optional
        Height and width that both must have.
    advice : str
        What to do with a file that holds something else.

    Raises
    ------
    StudyError
        When the first is missing, or either cannot be read or holds something else.

    Examples
    --------
    >>> import tempfile
    >>> from annotator.imaging.codecs import encode_png
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "field.png"
    ...     _ = path.write_bytes(encode_png(np.array([[1, 1, 2, 3]], np.uint8)))
    ...     maps = read_label_maps(path, Path(folder) / "no instances.png", (1, 4))
    >>> maps.classes.tolist(), maps.instances.tolist()
    ([[1, 1, 2, 3]], [[1, 1, 0, 2]])
    """
    classes = read_codes(codes, shape, advice)
    refuse_black_and_white(codes, classes, instances, advice)
    numbers = np.zeros(classes.shape, np.int32)
    if instances.exists():
        numbers = read_instances(instances, classes.shape, advice=advice).astype(np.int32)
    return LabelMaps(classes, fit_instances(classes, numbers))


def read_codes(
    path: Path, shape: tuple[int, int] | None = None, advice: str = ""
) -> NDArray[np.uint8]:
    """Read the class code of each pixel, (H, W) uint8: 0-3, and 255 where nobody says.

    Parameters
    ----------
    path : Path
    shape : (int, int), optional
        Height and width that it must have.
    advice : str
        What to do with a file that holds something else.

    Raises
    ------
    StudyError
        When it is missing, cannot be read or holds something else.

    Examples
    --------
    >>> import tempfile
    >>> from annotator.imaging.codecs import encode_png
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "field.png"
    ...     _ = path.write_bytes(encode_png(np.array([[1, 255]], np.uint8)))
    ...     read_codes(path).tolist()
    [[1, 255]]
    """
    advice = advice or _SAVE_CODES
    codes = _read_png(path, advice)
    if codes.dtype == np.uint16:
        advice = f"are these instances? {advice}"
    _check(path, codes, shape or codes.shape, ("uint8",), advice)
    strange = invalid_codes(codes)
    if strange.any():
        raise StudyError(
            f"{path}: expected codes 0-3 and 255, got {int(codes[strange][0])}; {advice}"
        )
    return codes


def read_corrected_codes(
    path: Path, instances: Path, shape: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """Read class codes that a person may have drawn, as :func:`read_codes` does.

    Parameters
    ----------
    path : Path
    instances : Path
        Where its instances would lie.
    shape : (int, int), optional
        Height and width that it must have.

    Raises
    ------
    StudyError
        When it is missing, cannot be read or holds something else, or is black and white.
    """
    codes = read_codes(path, shape)
    refuse_black_and_white(path, codes, instances)
    return codes


def refuse_black_and_white(
    path: Path, codes: NDArray[np.uint8], instances: Path, advice: str = ""
) -> None:
    """Refuse a mask of 0 and 255 alone: most likely it tells one class from all others.

    As class codes it would say background, and nothing of all else. Maps that we write have
    their instances beside them, and may hold just that: then there is no instance among them.
    Where there is one, somebody put the mask in the place of another.

    Parameters
    ----------
    path : Path
    codes : (H, W) uint8
        What it holds: 0-3 and 255.
    instances : Path
        Where its instances would lie.
    advice : str
        What to do with the file.

    Raises
    ------
    StudyError

    Examples
    --------
    >>> codes = np.array([[0, 255]], np.uint8)
    >>> refuse_black_and_white(Path("field.png"), codes, Path("no instances.png"))
    ... # doctest: +ELLIPSIS
    Traceback (most recent call last):
    annotator.core.errors.StudyError: field.png: expected codes 0-3 and 255, got 0 and 255 alone...
    """
    some_class = (codes != BG) & (codes != UNLABELLED)
    if some_class.any() or codes.min() == codes.max() or _says_no_instance(instances, codes.shape):
        return
    raise StudyError(
        f"{path}: expected codes 0-3 and 255, got 0 and 255 alone, as in a black-and-white mask of "
        f"one class; here 0 is bg and 255 says nothing: write the code of each class and "
        f"{advice or _SAVE_CODES}; if only bg is meant, put {instances} beside it, all 0, 16 bits"
    )


def _says_no_instance(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether there is a file of instances, and it holds none."""
    return path.exists() and not read_instances(path, shape).any()


def read_instances(
    path: Path,
    shape: tuple[int, ...],
    dtypes: Sequence[str] = ("uint16",),
    advice: str = "",
) -> NDArray[Any]:
    """Read the instance of each pixel as the file has them, (H, W), 0 for none.

    Parameters
    ----------
    path : Path
    shape : (int, int)
        Height and width that it must have, those of the class codes.
    dtypes : sequence of {"uint8", "uint16"}
        That it may have.
    advice : str
        What to do with a file that holds something else.

    Raises
    ------
    StudyError
        When it is missing, cannot be read or holds something else.

    Examples
    --------
    >>> import tempfile
    >>> from annotator.imaging.codecs import encode_png
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "field.png"
    ...     _ = path.write_bytes(encode_png(np.array([[300, 0]], np.uint16)))
    ...     read_instances(path, (1, 2)).tolist()
    [[300, 0]]
    """
    advice = advice or _DROP_INSTANCES
    instances = _read_png(path, advice)
    _check(path, instances, shape, dtypes, advice)
    return instances


def _read_png(path: Path, advice: str) -> NDArray[Any]:
    try:
        return decode_png(path.read_bytes())
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror}; restore it") from error
    except StudyError as error:
        raise StudyError(f"{path}: {error}; {advice}") from error


def _check(
    path: Path, found: NDArray[Any], shape: tuple[int, ...], dtypes: Sequence[str], advice: str
) -> None:
    if found.shape != shape or found.dtype.name not in dtypes:
        raise StudyError(
            f"{path}: expected {shape} {' or '.join(dtypes)}, got {found.shape} {found.dtype}; "
            f"{advice}"
        )
