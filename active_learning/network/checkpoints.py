"""What a training keeps after every epoch, so that a kill loses at most the epoch in hand.

One file, written whole: tensors in the safetensors format, and beside them, in the file's own
metadata, a JSON of how far the training is. Nothing read here is ever run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from annotator.core.files import write_atomic

_FILE = "checkpoint.safetensors"
_GROUPS = ("now", "best", "moments", "average")
_PLAIN = ("key", "epochs", "epoch", "best_epoch", "seconds")


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """One point of the curve.

    Parameters
    ----------
    epoch : int
        From 1.
    loss : float
        Mean over the patches that it learned from.
    validation_loss, validation_dice : float or None
        On patches of other patients, of the weights that would be kept.
    """

    epoch: int
    loss: float
    validation_loss: float | None
    validation_dice: float | None


@dataclass(frozen=True, slots=True, eq=False)
class DecoderCheckpoint:
    """A training after some epochs.

    Parameters
    ----------
    key : str
        Of all that its weights depend on.
    epochs : int
        The most there will be.
    curve : tuple of EpochFigures
    epoch, best_epoch : int
        Done, and whose weights are the best; 0 before the first.
    seconds : float
    now, best : mapping of str to array
        The weights in hand, and those to keep.
    moments : mapping of str to array
        What the optimizer remembers.
    average : mapping of str to array
        The moving average; that of the start before the first epoch.
    """

    key: str
    epochs: int
    curve: tuple[EpochFigures, ...]
    epoch: int
    best_epoch: int
    seconds: float
    now: Mapping[str, NDArray[Any]]
    best: Mapping[str, NDArray[Any]]
    moments: Mapping[str, NDArray[Any]]
    average: Mapping[str, NDArray[Any]]


def save_checkpoint(folder: Path, state: DecoderCheckpoint) -> None:
    """Write the checkpoint over the one before it.

    Raises
    ------
    StorageError
        When the place refuses; the one before it is still there.
    """
    tensors = {
        f"{group}.{name}": np.ascontiguousarray(values).reshape(np.shape(values))
        for group in _GROUPS
        for name, values in getattr(state, group).items()
    }
    plain = {name: getattr(state, name) for name in _PLAIN}
    plain["curve"] = [asdict(one) for one in state.curve]
    write_atomic(folder / _FILE, save(tensors, {"training": json.dumps(plain)}))


def read_checkpoint(folder: Path, key: str) -> DecoderCheckpoint | None:
    """Read the checkpoint of the same training; None where there is none that can be used."""
    try:
        with safe_open(folder / _FILE, "numpy") as file:
            plain = json.loads(file.metadata()["training"])
            if plain["key"] != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        groups: dict[str, dict[str, NDArray[Any]]] = {group: {} for group in _GROUPS}
        for name, values in tensors.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = values
        curve = tuple(EpochFigures(**one) for one in plain.pop("curve"))
        whole: dict[str, Any] = {**plain, **groups, "curve": curve}
        return DecoderCheckpoint(**whole)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def remove_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of a training that is over."""
    (folder / _FILE).unlink(missing_ok=True)
