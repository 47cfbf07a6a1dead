"""A decoder learns from encoded patches, epoch after epoch; the only door to torch's training.

The same settings, patches and start give the same weights on one machine's processor: order
and start come from the seed, and nothing depends on how quick the machine was, unless a
time is set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from active_learning.network.checkpoints import (
    DecoderCheckpoint,
    EpochFigures,
    read_checkpoint,
    save_checkpoint,
)
from active_learning.network.decoder_state import (
    decoder_tensors,
    load_decoder,
    make_decoder,
    move_average,
    optimizer_moments,
    optimizer_state,
)
from active_learning.network.encoding import TRUTH_MAPS, EncodedPatches
from active_learning.network.loss import PatchTruth, network_loss
from active_learning.network.modules import Decoder, channels_last
from active_learning.network.schedule import one_cycle
from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import ModelError
from annotator.core.hashing import fingerprint, short_hash
from annotator.segmentation.network.architecture import LEVEL_CHANNELS, LINE
from annotator.segmentation.network.network_file import Tensors, write_network
from annotator.settings.network_training import NetworkTrainSettings

LAST_GOOD = "last-good.safetensors"
"""What a training that failed leaves in its folder: a network that can be gone on from."""

_CLIPPED_NORM = 5.0
_MOST_AVERAGING = 0.998


@dataclass(frozen=True, slots=True, eq=False)
class PatchRows:
    """Some of the encoded patches: those of the fields to learn from, or to be judged on.

    Parameters
    ----------
    encoded : EncodedPatches
    rows : (M,) int64
    """

    encoded: EncodedPatches
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class TrainedDecoder:
    """What came out of a training.

    Parameters
    ----------
    tensors : mapping of str to array
        The decoder's, float32.
    curve : tuple of EpochFigures
    best_epoch : int
        From 1; whose weights these are.
    precision : {"float32", "bfloat16"}
    device : str
    seconds : float
        Of all runs that it took.
    """

    tensors: Tensors
    curve: tuple[EpochFigures, ...]
    best_epoch: int
    precision: str
    device: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """All but the tensors, as JSON values."""
        return {
            "curve": [asdict(one) for one in self.curve],
            "best_epoch": self.best_epoch,
            "precision": self.precision,
            "device": self.device,
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True, slots=True)
class TrainingPlace:
    """Where a training happens.

    Parameters
    ----------
    folder : Path
        Of its checkpoint; what a killed run left there is gone on from.
    device : str
        cpu, cuda or mps.
    minutes : float or None
        It is fitted into so much time, after its first epoch; never less than one epoch.
        The weights then depend on how quick the machine is.
    """

    folder: Path
    device: str = "cpu"
    minutes: float | None = None


def train_decoder(
    training: PatchRows,
    validation: PatchRows | None,
    settings: NetworkTrainSettings,
    place: TrainingPlace,
    start: Tensors | None = None,
    on_epoch: Callable[[int, int, float], None] | None = None,
) -> TrainedDecoder:
    """Learn from patches; stop when patches of other patients say so.

    Parameters
    ----------
    training : PatchRows
    validation : PatchRows or None
        Of patients that are in neither training nor the judging; None: the last epoch counts.
    settings : NetworkTrainSettings
    place : TrainingPlace
    start : mapping of str to array, optional
        Decoder to go on from; unless given, random weights.
    on_epoch : callable, optional
        Told the epochs done, the most there will be, and the seconds that they may still take.

    Raises
    ------
    ModelError
        When the loss is no number any more; the last good weights are kept.
    StorageError
        When the checkpoint cannot be written.
    """
    with _threads(settings.threads):
        return _Training(training, validation, settings, place, start).run(on_epoch)


class _Training:
    """One training under way."""

    def __init__(
        self,
        training: PatchRows,
        validation: PatchRows | None,
        settings: NetworkTrainSettings,
        place: TrainingPlace,
        start: Tensors | None,
    ) -> None:
        self.training, self.validation, self.settings = training, validation, settings
        self.place, self.device = place, torch.device(place.device)
        self.dtype = training_precision(settings.precision, place.device)
        self.net = make_decoder(settings.random_state, start)
        channels_last(self.net, place.device)
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.key = self._key(start)
        self.steps = max(len(training) // settings.batch, 1)
        now = decoder_tensors(self.net)
        self.state = DecoderCheckpoint(self.key, settings.epochs, (), 0, 0, 0.0, now, now, {}, now)

    def _key(self, start: Tensors | None) -> str:
        """What the weights depend on: a checkpoint with another one is of another training."""
        rows = [each.rows.tobytes() for each in (self.training, self.validation) if each]
        first = self.training.encoded.records[self.training.rows[0]].tobytes()
        begin = [start[name].tobytes() for name in sorted(start)] if start else []
        return fingerprint(
            self.settings,
            short_hash(*rows, first, *begin),
            str(self.dtype),
            self.place.device,
            self.place.minutes,
        )

    def run(self, on_epoch: Callable[[int, int, float], None] | None) -> TrainedDecoder:
        self._resume()
        began, earlier, first = time.monotonic(), self.state.seconds, self.state.epoch
        while not self._is_over():
            average = self._epoch(self.state.epoch)
            spent = time.monotonic() - began
            self._note(average, earlier + spent)
            if on_epoch:
                each = spent / (self.state.epoch - first)
                left = 0 if self._is_over() else self.state.epochs - self.state.epoch
                on_epoch(self.state.epoch, self.state.epochs, left * each)
        state = self.state
        best = {name: np.asarray(values, np.float32) for name, values in state.best.items()}
        return TrainedDecoder(
            best,
            state.curve,
            state.best_epoch,
            str(self.dtype).removeprefix("torch."),
            self.place.device,
            state.seconds,
        )

    def _is_over(self) -> bool:
        state, patience = self.state, self.settings.patience
        waited = state.epoch - state.best_epoch
        is_worse_for_long = bool(self.validation) and 0 < patience <= waited
        return state.epoch >= state.epochs or is_worse_for_long

    def _resume(self) -> None:
        found = read_checkpoint(self.place.folder, self.key)
        if found is None:
            return
        self.state = found
        load_decoder(self.net, found.now)
        if found.epoch:
            self.optimizer.load_state_dict(optimizer_state(self.optimizer, found.moments))

    def _epoch(self, epoch: int) -> float:
        """Learn from every patch once; return the mean loss."""
        rng = np.random.default_rng([self.settings.random_state, epoch])
        order = rng.permutation(self.training.rows)
        average = make_decoder(0, self.state.average).to(self.device)
        total = 0.0
        self.net.train()
        for step in range(self.steps):
            rows = np.sort(order[step * self.settings.batch : (step + 1) * self.settings.batch])
            loss = self._step(rows, epoch * self.steps + step)
            if not np.isfinite(loss):
                raise self._no_number(epoch, step)
            total += loss
            move_average(average, self.net, self._averaging(epoch * self.steps + step))
        self._finished = decoder_tensors(average if self.settings.averaged else self.net)
        both = (*self._finished.values(), *decoder_tensors(self.net).values())
        # The last step of an epoch is followed by no loss that would show it.
        if not all(np.isfinite(values).all() for values in both):
            raise self._no_number(epoch, self.steps - 1)
        return total / self.steps

    def _step(self, rows: NDArray[np.int64], at: int) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(at / (self.state.epochs * self.steps))
        levels, truth = self._read(self.training.encoded, rows)
        loss = self._loss(self.net, levels, truth)[0]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), _CLIPPED_NORM)
        self.optimizer.step()
        return float(loss.detach())

    def _loss(self, net: Decoder, levels: list[Tensor], truth: PatchTruth) -> tuple[Tensor, Tensor]:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits = net(levels)
        logits = logits.float()
        return network_loss(logits, truth, self.settings.loss == "dice"), logits

    def _rate(self, part: float) -> float:
        """Learning rate after a part of the whole training, 0..1."""
        highest = self.settings.learning_rate
        if self.settings.schedule == "constant":
            return highest
        return highest * one_cycle(part)

    def _averaging(self, step: int) -> float:
        return min(_MOST_AVERAGING, (1 + step) / (10 + step)) if self.settings.averaged else 0.0

    def _read(
        self, encoded: EncodedPatches, rows: NDArray[np.int64]
    ) -> tuple[list[Tensor], PatchTruth]:
        """Features (N, C, h, w), in memory channels last, and the truth."""
        records = encoded.records[rows]
        levels = [
            torch.from_numpy(np.ascontiguousarray(records[f"level{at}"]))
            .to(self.device)
            .permute(0, 3, 1, 2)
            .to(self.dtype)
            for at in range(len(LEVEL_CHANNELS))
        ]
        codes, line, depth = (
            torch.from_numpy(records[name].astype(np.int64)).to(self.device) for name in TRUTH_MAPS
        )
        um_per_px = torch.from_numpy(np.ascontiguousarray(records["um_per_px"])).to(self.device)
        return levels, PatchTruth(codes, line, depth, um_per_px)

    def _note(self, loss: float, seconds: float) -> None:
        """Judge the epoch and keep it."""
        state, finished = self.state, self._finished
        figures = EpochFigures(state.epoch + 1, loss, None, None)
        if self.validation:
            figures = self._judged(figures, finished)
        is_best = not self.validation or _dice(figures) > max(
            (_dice(one) for one in state.curve), default=-1.0
        )
        epochs = self._fitted(seconds) if state.epoch == 0 else state.epochs
        self.state = DecoderCheckpoint(
            self.key,
            epochs,
            (*state.curve, figures),
            state.epoch + 1,
            state.epoch + 1 if is_best else state.best_epoch,
            seconds,
            decoder_tensors(self.net),
            finished if is_best else state.best,
            optimizer_moments(self.optimizer),
            finished,
        )
        save_checkpoint(self.place.folder, self.state)

    def _fitted(self, seconds: float) -> int:
        """Epochs that fit into the time, after the first one."""
        if self.place.minutes is None:
            return self.settings.epochs
        fitting = int(60 * self.place.minutes / max(seconds, 1e-3))
        return min(max(fitting, 1), self.settings.epochs)

    @torch.no_grad()
    def _judged(self, figures: EpochFigures, tensors: Mapping[str, NDArray[Any]]) -> EpochFigures:
        """Loss and Dice on the patches of other patients."""
        assert self.validation is not None
        net = make_decoder(0, tensors).eval()
        channels_last(net, self.place.device)
        rows, losses = self.validation.rows, []
        confusion = np.zeros((len(CLASS_NAMES), len(CLASS_NAMES)), np.int64)
        for start in range(0, len(rows), self.settings.batch):
            levels, truth = self._read(
                self.validation.encoded, rows[start : start + self.settings.batch]
            )
            loss, logits = self._loss(net, levels, truth)
            losses.append(float(loss))
            confusion += _confusion(logits[:, :LINE].argmax(1), truth.codes)
        return EpochFigures(
            figures.epoch, figures.loss, float(np.mean(losses)), mean_dice(confusion)
        )

    def _no_number(self, epoch: int, step: int) -> ModelError:
        kept = "nothing was learned yet"
        if self.state.epoch:
            path = self.place.folder / LAST_GOOD
            card = {"name": "last good", "epoch": self.state.best_epoch}
            write_network(path, self.state.best, card)
            kept = f"the weights of epoch {self.state.best_epoch} are kept: --from {path}"
        return ModelError(
            f"expected a finite loss, got none in epoch {epoch + 1}, step {step + 1}; {kept}. "
            f"Lower learning_rate ({self.settings.learning_rate:g}) under [network_train] in "
            "study.toml, or set precision to float32, and train again"
        )


def training_precision(wanted: str, device: str) -> torch.dtype:
    """Numbers to reckon in: bfloat16 where the device works with them, else float32.

    What the device can do decides, not how quick it was today: else the same seed could give
    other weights.
    """
    if wanted != "auto":
        return torch.bfloat16 if wanted == "bfloat16" else torch.float32
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device == "cpu":
        abilities = torch.cpu.get_capabilities()
        has_it = abilities.get("avx512_bf16") or abilities.get("amx_bf16")
        return torch.bfloat16 if has_it else torch.float32
    return torch.float32


def seconds_per_step(settings: NetworkTrainSettings, device: str) -> float:
    """What one step of training takes here, measured on zeros; for an estimate of the whole."""
    net = make_decoder(0, None)
    channels_last(net, device)
    dtype, side = training_precision(settings.precision, device), settings.patch_px
    levels = [
        torch.zeros(
            settings.batch, channels, side >> at + 1, side >> at + 1, dtype=dtype, device=device
        ).to(memory_format=torch.channels_last)
        for at, channels in enumerate(LEVEL_CHANNELS)
    ]
    codes = torch.zeros(settings.batch, side // 2, side // 2, dtype=torch.int64, device=device)
    kind = torch.device(device).type
    with _threads(settings.threads):
        # The first one makes room and plans; the second is as all others will be.
        for _ in range(2):
            began = time.monotonic()
            with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
                logits = net(levels)
            truth = PatchTruth(codes, codes, codes, torch.ones(len(codes), device=device))
            loss = network_loss(logits.float(), truth)
            loss.backward()
            float(loss.detach())
    return time.monotonic() - began


def mean_dice(confusion: NDArray[np.int64]) -> float:
    """Mean Dice over the classes that the truth has, of (4, 4) true by predicted; 0 for none.

    Examples
    --------
    >>> mean_dice(np.diag([3, 1, 0, 0]))
    1.0
    """
    both = np.diagonal(confusion)
    true, said = confusion.sum(1), confusion.sum(0)
    present = true > 0
    if not present.any():
        return 0.0
    return float((2 * both[present] / (true + said)[present]).mean())


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        if count:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)


def _confusion(said: Tensor, codes: Tensor) -> NDArray[np.int64]:
    known = codes < LINE
    joint = codes[known] * LINE + said[known]
    counts = torch.bincount(joint.cpu(), minlength=LINE * LINE).numpy()
    return np.asarray(counts, np.int64).reshape(LINE, LINE)


def _dice(figures: EpochFigures) -> float:
    return -1.0 if figures.validation_dice is None else figures.validation_dice
