"""The rasters of a study as bytes: label maps, instance maps, overlays."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.errors import StudyError
from annotator.schema import BONE, FAT

JPEG_QUALITY = 90


def encode_png(grey: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Write a (H, W) map of 8 or 16 bits as a grey PNG.

    Examples
    --------
    >>> codes = np.array([[0, 3], [255, 1]], np.uint8)
    >>> decode_png(encode_png(codes)).tolist()
    [[0, 3], [255, 1]]
    """
    if grey.ndim != 2 or grey.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected (H, W) uint8 or uint16, got {grey.shape} {grey.dtype}")
    return _encode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, 6])


def decode_png(data: bytes) -> NDArray[Any]:
    """Read a grey PNG of 8 or 16 bits, (H, W) uint8 or uint16.

    Raises
    ------
    StudyError
        When the bytes are something else.
    """
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        found = None
    if found is None or found.ndim != 2 or found.dtype not in (np.uint8, np.uint16):
        what = "no picture" if found is None else f"{found.shape} {found.dtype}"
        raise StudyError(f"expected a grey PNG of 8 or 16 bits, got {what}")
    return found


def encode_rgb_png(rgb: NDArray[np.uint8]) -> bytes:
    """Write a (H, W, 3) uint8 RGB picture as PNG."""
    return _encode(".png", rgb[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 6])


def encode_jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """Write a (H, W, 3) uint8 RGB picture as JPEG, quality 90."""
    return _encode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def decode_jpeg(data: bytes) -> NDArray[np.uint8] | None:
    """Read a JPEG, (H, W, 3) uint8 RGB; None when it is damaged."""
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if bgr is None else np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def compact(instances: NDArray[np.int32]) -> NDArray[np.uint16]:
    """Renumber instances 1, 2, 3 ... in the order of their ids; 0 stays none.

    Raises
    ------
    StudyError
        When there are more than 65,535.

    Examples
    --------
    >>> compact(np.array([[0, 70000], [9, 9]], np.int32)).tolist()
    [[0, 2], [1, 1]]
    """
    values = np.unique(instances)
    values = values[values > 0]
    if len(values) > np.iinfo(np.uint16).max:
        raise StudyError(
            f"expected at most 65535 instances in one image, got {len(values)}; "
            "raise the smallest object size in [prune], or cut the image into fields"
        )
    table = np.zeros(int(instances.max(initial=0)) + 1, np.uint16)
    table[values] = np.arange(1, len(values) + 1)
    numbered: NDArray[np.uint16] = table[np.maximum(instances, 0)]
    return numbered


def fit_instances(classes: NDArray[np.uint8], instances: NDArray[np.int32]) -> NDArray[np.int32]:
    """Make the instances agree with classes that a person may have changed.

    An instance keeps its id on the pixels of its most frequent class, fat or bone; fat and
    bone that nobody owns then become instances by their connected parts.

    Parameters
    ----------
    classes : (H, W) uint8
    instances : (H, W) int32
        0 for none.

    Examples
    --------
    >>> classes = np.array([[1, 1, 2, 3]], np.uint8)
    >>> fit_instances(classes, np.array([[7, 7, 7, 0]], np.int32)).tolist()
    [[7, 7, 0, 8]]
    """
    fitted = np.zeros_like(instances)
    count = int(instances.max(initial=0)) + 1
    votes = np.stack(
        [np.bincount(instances[classes == code], minlength=count) for code in (FAT, BONE)]
    )
    for row, code in enumerate((FAT, BONE)):
        here = (classes == code) & (votes.argmax(axis=0)[instances] == row)
        fitted[here] = instances[here]
    for code in (FAT, BONE):
        orphans = (classes == code) & (fitted == 0)
        if orphans.any():
            _, parts = cv2.connectedComponents(orphans.astype(np.uint8), connectivity=4)
            fitted[orphans] = parts[orphans] + fitted.max()
    return fitted


def _encode(suffix: str, pixels: NDArray[Any], flags: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, np.ascontiguousarray(pixels), flags)
    if not done:
        raise ValueError(f"cannot encode {pixels.shape} {pixels.dtype} as {suffix}")
    return data.tobytes()
