"""Train a network on fields whose classes are known: encode once, then learn."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from active_learning.network.checkpoints import remove_checkpoint
from active_learning.network.encoding import (
    Encode,
    EncodedPatches,
    encode_patches,
    onnx_encoder,
    patch_counts,
    patch_settings,
    remove_patches,
)
from active_learning.network.modules import Encoder, channels_last
from active_learning.network.patches import TruthField
from active_learning.network.training import (
    PatchRows,
    TrainedDecoder,
    TrainingPlace,
    seconds_per_step,
    train_decoder,
)
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import ModelError
from annotator.core.objects import Image
from annotator.core.progress import OnProgress, Progress, silent
from annotator.segmentation.network.network_file import (
    SegmentationNetwork,
    Tensors,
    encoder_tensors,
)
from annotator.settings.network_training import NetworkTrainSettings
from annotator.study.database import now

VALIDATION_PATCHES = 12
"""Patches of each field that tell when to stop."""

_PACKAGES = ("trephine", "torch", "onnxruntime", "numpy", "opencv-python-headless")


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFields:
    """Fields whose patches were encoded: varied ones to learn from, others as they are.

    Parameters
    ----------
    fields : tuple of TruthField
    varied, plain : EncodedPatches
    seconds : float
        That it took.
    """

    fields: tuple[TruthField, ...]
    varied: EncodedPatches
    plain: EncodedPatches
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetwork:
    """A network that was trained, and what made it.

    Parameters
    ----------
    decoder : mapping of str to array
        For :func:`annotator.segmentation.network.network_file.write_network`.
    card : mapping
        JSON values: what it learned from, settings, versions, curve, seconds.
    """

    decoder: Tensors
    card: dict[str, Any]


def with_shares(
    groups: Sequence[tuple[Sequence[TruthField], float]],
) -> tuple[TruthField, ...]:
    """Fields of several groups, weighted so that each group gives its share of the patches.

    Parameters
    ----------
    groups : sequence of (fields, share)
        As real fields and drawn ones, half and half.

    Examples
    --------
    >>> pixels, codes = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)
    >>> field = TruthField("a", "a", pixels, codes, None, 1.0)
    >>> [one.weight for one in with_shares([([field], 1.0), ([field, field], 1.0)])]
    [1.5, 0.75, 0.75]
    """
    count = sum(len(fields) for fields, _ in groups)
    whole = sum(share for fields, share in groups if fields)
    return tuple(
        replace(
            field,
            weight=count * share / whole * field.weight / sum(each.weight for each in fields),
        )
        for fields, share in groups
        for field in fields
    )


def train_network(
    fields: Sequence[TruthField],
    validation_fields: Sequence[TruthField],
    settings: NetworkTrainSettings,
    place: TrainingPlace,
    *,
    start: SegmentationNetwork | None = None,
    on_progress: OnProgress = silent,
) -> TrainedNetwork:
    """Train a network, or go on where a killed run of the same training stopped.

    Parameters
    ----------
    fields : sequence of TruthField
        To learn from.
    validation_fields : sequence of TruthField
        Of other patients, to tell when to stop; may be empty.
    settings : NetworkTrainSettings
    place : TrainingPlace
        Its folder holds the encoded patches and the checkpoint meanwhile.
    start : SegmentationNetwork, optional
        To go on from; unless given, random weights.
    on_progress : callable

    Raises
    ------
    ModelError
        When there is nothing to learn from, a patient is on both sides, or the loss is no
        number any more.
    StorageError
        When the disk is full.
    """
    both = {each.patient for each in fields} & {each.patient for each in validation_fields}
    if both:
        raise ModelError(
            f"expected other patients to judge on than to learn from, got {sorted(both)[0]} on "
            "both sides"
        )
    everything = (*fields, *validation_fields)
    learned, judged = range(len(fields)), range(len(fields), len(everything))
    steps = settings.epochs * _steps(fields, settings)
    encoded = encode_fields(everything, settings, place, steps, on_progress)
    spent = time.monotonic()
    decoder = train_on(encoded, learned, judged, settings, place, start, on_progress=on_progress)
    card = training_card(encoded, learned, judged, settings, decoder, start)
    card["training_seconds"] = round(time.monotonic() - spent, 1)
    remove_work(place.folder)
    return TrainedNetwork(decoder.tensors, card)


def encode_fields(
    fields: Sequence[TruthField],
    settings: NetworkTrainSettings,
    place: TrainingPlace,
    steps: int,
    on_progress: OnProgress = silent,
) -> EncodedFields:
    """Draw patches of fields and encode them, once for all trainings on them.

    Parameters
    ----------
    fields : sequence of TruthField
    settings : NetworkTrainSettings
    place : TrainingPlace
    steps : int
        Of training that will follow at most, for the estimate.
    on_progress : callable

    Raises
    ------
    ModelError
        When a field has no labelled pixel.
    StorageError
        When the disk is full.
    """
    _refuse_unlabelled(fields)
    began = time.monotonic()
    encode = encoder_on(place.device, settings.threads)
    varied = patch_counts(fields, settings.patches)
    plain = np.full(len(fields), min(VALIDATION_PATCHES, settings.patches), np.int64)
    total = int(varied.sum() + plain.sum())
    tell = _EncodingProgress(total, steps * seconds_per_step(settings, place.device), on_progress)
    made = [
        encode_patches(
            fields,
            patch_settings(settings, is_varied),
            counts,
            place.folder / name,
            seed=settings.random_state,
            encode=encode,
            on_patches=tell.after(before),
        )
        for name, is_varied, counts, before in (
            ("plain", False, plain, 0),
            ("varied", True, varied, int(plain.sum())),
        )
    ]
    return EncodedFields(tuple(fields), made[1], made[0], time.monotonic() - began)


def train_on(
    encoded: EncodedFields,
    learned: Sequence[int],
    judged: Sequence[int],
    settings: NetworkTrainSettings,
    place: TrainingPlace,
    start: SegmentationNetwork | None = None,
    *,
    later_seconds: Callable[[float], float] = lambda own: 0.0,
    on_progress: OnProgress = silent,
) -> TrainedDecoder:
    """Train on some of the encoded fields; others tell when to stop.

    Parameters
    ----------
    encoded : EncodedFields
    learned, judged : sequence of int
        Indices of fields.
    settings : NetworkTrainSettings
    place : TrainingPlace
    start : SegmentationNetwork, optional
    later_seconds : callable
        From the seconds that an epoch takes to those of what comes after this training.
    on_progress : callable
    """
    training = PatchRows(encoded.varied, encoded.varied.rows(learned))
    validation = PatchRows(encoded.plain, encoded.plain.rows(judged)) if len(judged) else None
    began, first = time.monotonic(), [0]

    def on_epoch(done: int, total: int, left: float) -> None:
        first[0] += 1
        each = (time.monotonic() - began) / first[0]
        on_progress(Progress("training", done, total, "", left + later_seconds(each)))

    tensors = None if start is None else start.decoder
    return train_decoder(training, validation, settings, place, tensors, on_epoch)


def training_card(
    encoded: EncodedFields,
    learned: Sequence[int],
    judged: Sequence[int],
    settings: NetworkTrainSettings,
    decoder: TrainedDecoder,
    start: SegmentationNetwork | None,
) -> dict[str, Any]:
    """JSON values that say what made a network."""
    fields = encoded.fields
    return {
        "time": now(),
        "started_from": None if start is None else start.sha256,
        "patients": sorted({fields[at].patient for at in (*learned, *judged)}),
        "images": [_described(fields[at], "learned from") for at in learned]
        + [_described(fields[at], "told when to stop") for at in judged],
        "classes": _shares([fields[at] for at in learned]),
        "settings": asdict(settings),
        "versions": versions(),
        **decoder.to_dict(),
        "encoding_seconds": round(encoded.seconds, 1),
    }


def encoder_on(device: str, threads: int = 0) -> Encode:
    """The frozen encoder where the training happens: ONNX Runtime on the processor, else torch."""
    if device == "cpu":
        return onnx_encoder(threads or torch.get_num_threads())
    return torch_encoder(device)


def torch_encoder(device: str) -> Encode:
    """The frozen encoder in torch, for a GPU."""
    net = Encoder()
    state = {
        name: torch.from_numpy(np.asarray(values, np.float32))
        for name, values in encoder_tensors().items()
    }
    net.load_state_dict(state)
    channels_last(net.eval(), device)

    @torch.no_grad()
    def encode(pixels: NDArray[np.uint8]) -> list[NDArray[np.float16]]:
        batch = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()
        return [level.half().cpu().numpy() for level in net(batch)]

    return encode


def remove_work(folder: Path) -> None:
    """Remove what a training kept for the case of a kill, once its network is written."""
    for name in ("plain", "varied"):
        remove_patches(folder / name)
    remove_checkpoint(folder)


def versions() -> dict[str, str]:
    """Of Python and of the packages that shape a network."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


class _EncodingProgress:
    """Tells how far the encoding is, with an estimate of the whole run."""

    def __init__(self, total: int, training_seconds: float, on_progress: OnProgress) -> None:
        self.total, self.training_seconds, self.on_progress = total, training_seconds, on_progress
        self.began = time.monotonic()
        self.here = 0

    def after(self, before: int) -> Callable[[int, int], None]:
        """A callback for the patches that come after so many others."""
        last = [-1]

        def on_patches(done: int, total: int) -> None:
            # What an earlier run left took no time of this one.
            self.here += done - last[0] if last[0] >= 0 else min(done, total)
            last[0] = done
            whole = before + done
            each = (time.monotonic() - self.began) / max(self.here, 1)
            left = (self.total - whole) * each + self.training_seconds
            self.on_progress(Progress("encoding", whole, self.total, "", left))

        return on_patches


def _steps(fields: Sequence[TruthField], settings: NetworkTrainSettings) -> int:
    return max(int(patch_counts(fields, settings.patches).sum()) // settings.batch, 1)


def _refuse_unlabelled(fields: Sequence[TruthField]) -> None:
    if not fields:
        raise ModelError("expected fields whose classes are known, got none")
    bare = [each.name for each in fields if not (each.codes < len(CLASS_NAMES)).any()]
    if bare:
        raise ModelError(
            f"{bare[0]}: expected a mask with classes, got one that is open everywhere (255); "
            f"correct it or take it away{f' ({len(bare)} masks are so)' if len(bare) > 1 else ''}"
        )


def _described(field: TruthField, use: str) -> dict[str, Any]:
    return {
        "name": field.name,
        "patient": field.patient,
        "id": Image.from_pixels(field.pixels).id,
        "um_per_px": round(field.um_per_px, 4),
        "use": use,
    }


def _shares(fields: Sequence[TruthField]) -> dict[str, float]:
    """Share of the labelled pixels that each class has, mean over the fields."""
    rows = [np.bincount(each.codes.ravel(), minlength=256)[: len(CLASS_NAMES)] for each in fields]
    shares = np.stack([row / max(row.sum(), 1) for row in rows]).mean(axis=0)
    return {name: round(float(share), 5) for name, share in zip(CLASS_NAMES, shares, strict=True)}
