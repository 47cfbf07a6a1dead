"""Patches as the frozen encoder sees them, made once and kept on disk while a network learns.

The encoder never changes, so that what it sees in a patch need not be made again in every
epoch. A record of one file holds all of a patch: its features at five levels, half
precision, and its truth.

::

    FOLDER/patches.bin     one record after the other
    FOLDER/patches.json    whose patches they are, and how many are whole
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions

from active_learning.network.patches import Patch, PatchSettings, TruthField, draw_patch
from annotator.core.errors import StorageError
from annotator.core.files import storage_error, write_atomic
from annotator.core.hashing import fingerprint, short_hash
from annotator.core.objects import Image
from annotator.segmentation.network.architecture import LEVEL_CHANNELS, OUTPUT_STRIDE
from annotator.segmentation.network.graph import PIXELS, encoder_graph
from annotator.segmentation.network.network_file import ENCODER_SHA256, encoder_tensors
from annotator.settings.network_training import NetworkTrainSettings

Encode = Callable[[NDArray[np.uint8]], Sequence[NDArray[np.float16]]]
"""From pixels (N, S, S, 3) to five levels (N, C, S/s, S/s), finest first."""

# Raised whenever the same field and settings would give other patches.
VERSION = 2
_BATCH = 8
# Patches between two notes of how many are whole.
_NOTED = 64
TRUTH_MAPS = ("codes", "line", "depth")
"""What is known of a patch at each pixel; see :class:`~active_learning.network.patches.Patch`."""
_FILE, _NOTE = "patches.bin", "patches.json"


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPatches:
    """Patches of some fields as the encoder sees them.

    Parameters
    ----------
    records : (M,) structured array on disk
        ``level0`` to ``level4`` (S/s, S/s, C) float16; ``codes``, ``line`` and ``depth``
        (S/2, S/2) uint8; ``um_per_px`` float32.
    field_of : (M,) int64
        Index of each patch's field.
    """

    records: np.memmap[Any, Any]
    field_of: NDArray[np.int64]

    def rows(self, fields: Sequence[int]) -> NDArray[np.int64]:
        """Patches of some fields, by their indices."""
        return np.flatnonzero(np.isin(self.field_of, fields))


def record_type(side: int) -> np.dtype[Any]:
    """Layout of one record, for patches of this side."""
    levels = [
        (f"level{at}", "<f2", (side >> at + 1, side >> at + 1, channels))
        for at, channels in enumerate(LEVEL_CHANNELS)
    ]
    half = side // OUTPUT_STRIDE
    maps = [(name, "u1", (half, half)) for name in TRUTH_MAPS]
    return np.dtype([*levels, *maps, ("um_per_px", "<f4")])


def onnx_encoder(threads: int = 1) -> Encode:
    """The frozen encoder on the processor; for these features quicker than torch."""
    options = SessionOptions()
    options.intra_op_num_threads = threads
    session = InferenceSession(
        encoder_graph(encoder_tensors()), options, providers=["CPUExecutionProvider"]
    )
    return lambda pixels: session.run(None, {PIXELS: pixels})


def patch_settings(settings: NetworkTrainSettings, varied: bool) -> PatchSettings:
    """How patches are drawn to learn from, or as they are, to be judged on."""
    return PatchSettings(
        settings.patch_px,
        settings.finest_um,
        settings.coarsest_um,
        settings.variation if varied else "none",
    )


def patch_counts(fields: Sequence[TruthField], patches: int) -> NDArray[np.int64]:
    """How many patches each field gives, by its weight; at least one, (N,) int64.

    Examples
    --------
    >>> pixels, codes = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)
    >>> fields = [TruthField("a", "a", pixels, codes, None, 1.0, weight) for weight in (1, 0.5)]
    >>> patch_counts(fields, 10).tolist()
    [10, 5]
    """
    weights = np.array([field.weight for field in fields], np.float64)
    return np.maximum(np.round(weights * patches), 1).astype(np.int64)


def encode_patches(
    fields: Sequence[TruthField],
    settings: PatchSettings,
    counts: NDArray[np.int64],
    folder: Path,
    *,
    seed: int,
    encode: Encode,
    on_patches: Callable[[int, int], None],
) -> EncodedPatches:
    """Draw patches of fields and encode them, or go on where a killed run stopped.

    Each patch has a random generator of its own, so that it is the same in whatever order
    and run it is drawn. Patches of a field lie spread over the file: all fields come once
    before one comes again.

    Parameters
    ----------
    fields : sequence of TruthField
    settings : PatchSettings
    counts : (N,) int64
        Patches of each field.
    folder : Path
        Made where it is not there.
    seed : int
    encode : Encode
    on_patches : callable
        Told how many patches are done, and of how many.

    Raises
    ------
    StorageError
        When the disk has no room for them, or the place refuses.
    """
    dtype = record_type(settings.side)
    turn = np.concatenate([np.arange(count) for count in counts])
    owner = np.repeat(np.arange(len(fields)), counts)
    order = np.lexsort((owner, turn))
    turn, owner = turn[order], owner[order]
    key = fingerprint(
        VERSION, ENCODER_SHA256, seed, settings, counts.tolist(), [_identity(f) for f in fields]
    )
    done = _whole_records(folder, key)
    _refuse_small_disk(folder, (len(owner) - done) * dtype.itemsize)
    path = folder / _FILE
    try:
        with path.open("r+b" if done else "wb") as file:
            file.truncate(done * dtype.itemsize)
            file.seek(done * dtype.itemsize)
            for start in range(done, len(owner), _BATCH):
                end = min(start + _BATCH, len(owner))
                drawn = [
                    draw_patch(
                        fields[owner[at]],
                        settings,
                        np.random.default_rng([seed, owner[at], turn[at]]),
                    )
                    for at in range(start, end)
                ]
                _write_records(file, drawn, encode, dtype)
                if end // _NOTED > start // _NOTED or end == len(owner):
                    file.flush()
                    _note(folder, key, end)
                on_patches(end, len(owner))
    except OSError as error:
        raise storage_error(path, error) from error
    return EncodedPatches(np.memmap(path, dtype, "r", shape=(len(owner),)), owner)


def _write_records(
    file: BinaryIO, drawn: Sequence[Patch], encode: Encode, dtype: np.dtype[Any]
) -> None:
    records = np.zeros(len(drawn), dtype)
    levels = encode(np.stack([patch.pixels for patch in drawn]))
    for at, values in enumerate(levels):
        records[f"level{at}"] = np.moveaxis(np.asarray(values), 1, -1)
    for name in TRUTH_MAPS:
        records[name] = np.stack([getattr(patch, name) for patch in drawn])
    records["um_per_px"] = [patch.um_per_px for patch in drawn]
    # Written, not mapped: a disk that is full then says so, and does not kill the process.
    file.write(records.tobytes())


def _identity(field: TruthField) -> list[Any]:
    """What a field's patches depend on."""
    image = Image.from_pixels(field.pixels).id
    maps = (field.codes, field.instances)
    hashes = [None if each is None else short_hash(each.tobytes()) for each in maps]
    return [image, *hashes, field.um_per_px, field.is_scale_known]


def _whole_records(folder: Path, key: str) -> int:
    """How many records an earlier run with the same key left whole."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        note = json.loads((folder / _NOTE).read_text("utf-8"))
        return int(note["done"]) if note["key"] == key and (folder / _FILE).exists() else 0
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise storage_error(folder, error) from error
    except (ValueError, KeyError, TypeError):
        return 0


def _note(folder: Path, key: str, done: int) -> None:
    write_atomic(folder / _NOTE, json.dumps({"key": key, "done": done}).encode())


def _refuse_small_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{folder}: expected room for {needed / 1e9:.1f} GB of encoded patches, got "
            f"{free / 1e9:.1f} GB: the disk is full; free some space, or lower patches under "
            "[network_train] in study.toml"
        )


def remove_patches(folder: Path) -> None:
    """Remove encoded patches, once nobody learns from them."""
    for name in (_FILE, _NOTE):
        (folder / name).unlink(missing_ok=True)
