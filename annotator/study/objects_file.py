"""The objects of an image and their features as a file, ``objects/NAME.npz``.

It has no pickles, and its bytes depend on nothing but the content: the masks as packed bits
of their crops, the features, and the keys of all settings that they depend on. The proposals
before pruning are in it too, so that pruning and features can be done again without the slow
search for them.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import BoolMask, ImageObjects, freeze
from features.table import FeatureTable

# 2: who made each object. 3: the stained pixels.
FORMAT = 3

# Files of an older Trephine have none; they are whole without it.
_NETWORK_CLASSES = "network_classes"

T = TypeVar("T")
_Arrays = Mapping[str, NDArray[Any]]


class OutdatedError(ValueError):
    """An objects file of another format: whole, but to be made again."""


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """The objects that the proposer found, before pruning.

    Parameters
    ----------
    key : str
        Hash of the pixels, the scale and the proposer.
    objects : ImageObjects
    """

    key: str
    objects: ImageObjects


@dataclass(frozen=True, slots=True, eq=False)
class ImageFeatures:
    """Objects of one image with their features.

    Parameters
    ----------
    key : str
        Hash of the proposals' key and of all settings between there and here.
    objects : ImageObjects
    table : FeatureTable
        One row an object, in the same order.
    coverage : (float, float, float)
        Shares (0..1) of the pixels under no object, one, and more than one, after pruning.
    dropped : int
        Proposals that pruning took away.
    stained : (H, W) bool
        What is not white: classes change, and this stays.
    surer : (H, W) uint8 or None
        Class of single pixels by network and threshold, see
        :func:`annotator.segmentation.surer_classes.surer_classes`; None without a network.
    network_classes : (H, W) uint8 or None
        Class that the network holds most probable at each pixel, along whose borders objects
        are cut; None without a network, and from :func:`unpack`.
    """

    key: str
    objects: ImageObjects
    table: FeatureTable
    coverage: tuple[float, float, float]
    dropped: int
    stained: BoolMask
    surer: NDArray[np.uint8] | None = None
    network_classes: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if not np.array_equal(self.table.object_ids, self.objects.ids):
            raise ValueError("the table must have one row an object, in the same order")
        if self.stained.shape != self.objects.shape or self.stained.dtype != np.bool_:
            raise ValueError(f"stained must be {self.objects.shape} bool, got {self.stained.shape}")
        object.__setattr__(self, "stained", freeze(self.stained))
        for name in ("surer", "network_classes"):
            codes: NDArray[np.uint8] | None = getattr(self, name)
            if codes is None:
                continue
            if codes.shape != self.objects.shape or codes.dtype != np.uint8:
                raise ValueError(f"{name} must be {self.objects.shape} uint8")
            object.__setattr__(self, name, freeze(codes))


def pack(proposed: Proposals, described: ImageFeatures) -> bytes:
    """Write both into the bytes of an ``.npz``."""
    table = described.table
    header = {
        "format": FORMAT,
        "propose_key": proposed.key,
        "look_key": described.key,
        "image_id": described.objects.image_id,
        "shape": list(described.objects.shape),
        "coverage": list(described.coverage),
        "dropped": described.dropped,
        "names": list(table.names),
        "fingerprint": table.fingerprint,
    }
    arrays: dict[str, NDArray[Any]] = {
        "header": np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8),
        "X": table.X,
        "stained": np.packbits(described.stained),
        **_to_arrays("proposals", proposed.objects),
        **_to_arrays("objects", described.objects),
    }
    if described.surer is not None:
        arrays["surer"] = described.surer
    if described.network_classes is not None:
        arrays[_NETWORK_CLASSES] = described.network_classes
    buffer = io.BytesIO()
    # As numpy's savez_compressed, but packed three times as fast, to a tenth more. Its members
    # carry the date 1980-01-01, whatever the day.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as members:
        for name, array in arrays.items():
            with members.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def unpack(data: bytes) -> ImageFeatures:
    """Read the described objects that :func:`pack` wrote.

    Raises
    ------
    ValueError
        When the bytes are damaged or truncated; :class:`OutdatedError` when they are
        of another format.
    """
    return _load(data, _described)


def unpack_proposals(data: bytes) -> Proposals:
    """Read the bare proposals that :func:`pack` wrote; raises like :func:`unpack`."""
    return _load(
        data,
        lambda header, arrays: Proposals(
            str(header["propose_key"]), _from_arrays("proposals", header, arrays)
        ),
    )


def unpack_with_network(data: bytes) -> ImageFeatures:
    """As :func:`unpack`, with the classes of the network where there are any: 5 ms longer."""
    return _load(
        data,
        lambda header, arrays: replace(
            _described(header, arrays), network_classes=arrays.get(_NETWORK_CLASSES)
        ),
    )


def unpack_keys(data: bytes) -> tuple[str, str]:
    """Read the keys of the proposals and of the described objects alone; raises alike."""
    return _load(data, lambda header, _: (str(header["propose_key"]), str(header["look_key"])))


def _load(data: bytes, build: Callable[[Mapping[str, Any], _Arrays], T]) -> T:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            if header["format"] != FORMAT:
                raise OutdatedError(f"expected format {FORMAT}, got {header['format']}")
            return build(header, arrays)
    except (
        KeyError,
        IndexError,
        TypeError,
        OSError,
        EOFError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(f"not an objects file: {error}") from error


def _described(header: Mapping[str, Any], arrays: _Arrays) -> ImageFeatures:
    objects = _from_arrays("objects", header, arrays)
    table = FeatureTable(
        np.full(len(objects), objects.image_id),
        objects.ids,
        arrays["X"],
        tuple(header["names"]),
        str(header["fingerprint"]),
    )
    none, one, more = map(float, header["coverage"])
    height, width = objects.shape
    stained = np.unpackbits(arrays["stained"], count=height * width).astype(np.bool_)
    return ImageFeatures(
        str(header["look_key"]),
        objects,
        table,
        (none, one, more),
        int(header["dropped"]),
        stained.reshape(height, width),
        # Only what a network saw has it.
        arrays.get("surer"),
    )


def _to_arrays(part: str, objects: ImageObjects) -> dict[str, NDArray[Any]]:
    flat = [np.zeros(0, np.bool_), *(crop.ravel() for crop in objects.crops)]
    return {
        f"{part}.ids": objects.ids,
        f"{part}.boxes": objects.boxes,
        f"{part}.bits": np.packbits(np.concatenate(flat)),
        f"{part}.scores": objects.scores,
        f"{part}.stability": objects.stability,
        f"{part}.makers": objects.sources,
    }


def _from_arrays(part: str, header: Mapping[str, Any], arrays: _Arrays) -> ImageObjects:
    height, width = map(int, header["shape"])
    boxes = arrays[f"{part}.boxes"]
    return ImageObjects(
        str(header["image_id"]),
        (height, width),
        arrays[f"{part}.ids"],
        boxes,
        _unpack_crops(boxes, arrays[f"{part}.bits"]),
        arrays[f"{part}.scores"],
        arrays[f"{part}.stability"],
        arrays[f"{part}.makers"],
    )


def _unpack_crops(boxes: NDArray[np.int32], bits: NDArray[np.uint8]) -> tuple[BoolMask, ...]:
    """Cut the row of bits into one mask a box."""
    widths = (boxes[:, 2] - boxes[:, 0]).astype(np.int64)
    heights = (boxes[:, 3] - boxes[:, 1]).astype(np.int64)
    ends = np.cumsum(widths * heights)
    total = int(ends[-1]) if len(ends) else 0
    if (widths < 1).any() or (heights < 1).any() or len(bits) != -(-total // 8):
        raise ValueError("masks and boxes do not fit together")
    flat = np.unpackbits(bits, count=total).astype(np.bool_)
    # Plain slices: np.split takes longer to begin with each piece than to cut it.
    sides = zip(ends.tolist(), heights.tolist(), widths.tolist(), strict=True)
    return tuple(flat[end - h * w : end].reshape(h, w) for end, h, w in sides)
