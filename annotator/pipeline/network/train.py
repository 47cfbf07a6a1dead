"""Train a study's own network on its corrected masks, judge it fairly, use it if it is better.

Every figure is of patients that the judged network had not seen: the patients are dealt into
parts, and each part is judged by a network that learned from the others. The network that is
kept learns from all of them but those held out for good. Nothing becomes the study's before
the end; a killed run goes on where it stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learning.network.patches import TruthField
from active_learning.network.train_network import (
    EncodedFields,
    encode_fields,
    train_on,
    training_card,
)
from active_learning.network.training import TrainedDecoder, TrainingPlace
from annotator.core.progress import OnProgress, Progress
from annotator.imaging.codecs import encode_png
from annotator.pipeline.network.corrected_fields import corrected_fields
from annotator.pipeline.network.figures import (
    ImageScores,
    NetworkComparison,
    class_means,
    compare_networks,
    figures_values,
    image_scores,
    table3,
)
from annotator.pipeline.network.patient_folds import patient_splits
from annotator.pipeline.network.unseen_maps import UnseenMaps, most_probable
from annotator.segmentation.network.network_file import (
    SegmentationNetwork,
    read_network,
    starter_network,
)
from annotator.segmentation.network.prediction import NetworkPredictor
from annotator.segmentation.sam.checkpoint import choose_device
from annotator.settings.network_training import NetworkTrainSettings
from annotator.study.networks import NetworkEntry
from annotator.study.study import Study

Codes = NDArray[np.uint8]
STARTER = "starter"


@dataclass(frozen=True, slots=True)
class NetworkTrainOptions:
    """What a training is asked for, apart from the settings of the study.

    Parameters
    ----------
    preset : {"default", "bambo"}
    seeds : int
        How often every part is judged, each time with other random numbers.
    epochs : int or None
        At most; None: as the settings say.
    start : Path or None
        File of the network to go on from; None: the starter, or with ``bambo`` none.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    """

    preset: str = "default"
    seeds: int = 1
    epochs: int | None = None
    start: Path | None = None
    device: str = "auto"


def network_in_use(study: Study) -> UnseenMaps:
    """The study's own network, or the starter where it has none.

    Raises
    ------
    ModelError
        When its file is damaged.
    """
    entry = study.networks.current_entry()
    if entry is None:
        return UnseenMaps(STARTER, starter_network(), study.networks)
    return UnseenMaps(entry.name, study.networks.read(entry.index), study.networks, entry.index)


def train_study_network(
    study: Study, options: NetworkTrainOptions, on_progress: OnProgress
) -> NetworkEntry:
    """Train a network on the corrected masks of a study, and keep it.

    Parameters
    ----------
    study : Study
    options : NetworkTrainOptions
    on_progress : callable

    Returns
    -------
    NetworkEntry
        Its card tells all figures and whether it is used now.

    Raises
    ------
    ModelError
        When there is no corrected mask to learn from, a network cannot be read, or the loss
        is no number any more; the network in use stays.
    StudyError
        When another run holds the study, or the disk is full; the same command goes on.
    """
    with study.writing():
        return _NetworkTraining(study, options, on_progress).run()


class _NetworkTraining:
    """One training of a study's network, with all that judge it."""

    def __init__(self, study: Study, options: NetworkTrainOptions, on_progress: OnProgress) -> None:
        self.study, self.options, self.on_progress = study, options, on_progress
        settings = study.settings.network_train.with_preset(options.preset)
        self.settings = replace(settings, epochs=options.epochs or settings.epochs)
        # All that can be refused is refused before the long work.
        self.device = choose_device(options.device)
        self.start = _start(options)
        self.in_use = network_in_use(study)
        self.corrected = corrected_fields(study, self._reading)
        self.fields = self.corrected.fields
        self.splits = patient_splits(
            self.fields,
            self.settings,
            study.settings.patients.held_out,
            study.settings.train.random_state,
        )
        self.folder = study.networks.unfinished
        self.left = len(self.splits.folds) * options.seeds + 1

    def _reading(self, what: str, done: int, total: int) -> None:
        self.on_progress(Progress(what, done, total, "", None))

    def run(self) -> NetworkEntry:
        encoded = self._encoded()
        maps: dict[int, Codes] = {}
        by_seed: list[list[ImageScores]] = []
        trained: list[TrainedDecoder] = []
        for seed in range(self.options.seeds):
            scores: list[ImageScores] = []
            for number, fold in enumerate(self.splits.folds):
                name = f"seed-{seed}-part-{number}"
                decoder = self._trained(encoded, fold.learned, fold.stopping, seed, name)
                trained.append(decoder)
                found = self._predicted(decoder, fold.unseen)
                scores += self._scores(found)
                if not seed:
                    maps |= found
            by_seed.append(scores)
        final_settings = self._final_settings(trained)
        final = self._trained(encoded, self.splits.learned, (), 0, "final", final_settings)
        held_out = self._scores(self._predicted(final, self.splits.held_out))
        judged = _Judged([*by_seed[0], *held_out], by_seed, held_out)
        card = training_card(encoded, self.splits.learned, (), final_settings, final, self.start)
        card |= self._verdict(judged) | {"fold_curves": [_curve(one) for one in trained]}
        return self._kept(final, card, maps)

    # What is trained

    def _encoded(self) -> EncodedFields:
        steps = self.settings.patches * len(self.fields) * self.settings.epochs
        whole = steps * self.left // self.settings.batch
        place = TrainingPlace(self.folder, self.device)
        return encode_fields(self.fields, self.settings, place, whole, self.on_progress)

    def _trained(
        self,
        encoded: EncodedFields,
        learned: Sequence[int],
        stopping: Sequence[int],
        seed: int,
        name: str,
        settings: NetworkTrainSettings | None = None,
    ) -> TrainedDecoder:
        settings = settings or self.settings
        own = replace(settings, random_state=(settings.random_state + seed) % 2**32)
        place = TrainingPlace(self.folder / name, self.device)
        self.left -= 1
        later, epochs = self.left, settings.epochs
        return train_on(
            encoded,
            learned,
            stopping,
            own,
            place,
            self.start,
            later_seconds=lambda each: later * epochs * each,
            on_progress=lambda step: self.on_progress(replace(step, name=name)),
        )

    def _final_settings(self, trained: Sequence[TrainedDecoder]) -> NetworkTrainSettings:
        """How long the kept network learns, of which no patient is spared to say when to stop.

        One-cycle ends at almost no learning rate, and must be run to its end. At a constant
        rate, as many epochs as served the parts best.
        """
        told = any(fold.stopping for fold in self.splits.folds)
        if not told or self.settings.schedule == "one-cycle":
            return self.settings
        return replace(self.settings, epochs=median_low(one.best_epoch for one in trained))

    # How it is judged

    def _predicted(self, decoder: TrainedDecoder, rows: Sequence[int]) -> dict[int, Codes]:
        """Maps of fields by a network that had not seen their patients."""
        network = SegmentationNetwork(decoder.tensors, "", {})
        predictor = NetworkPredictor(network, max(self.settings.threads, 1))
        return {
            row: most_probable(
                predictor.probabilities(self.fields[row].pixels, self.fields[row].um_per_px)
            )
            for row in rows
            if not self._start_has_seen(row)
        }

    def _start_has_seen(self, row: int) -> bool:
        if self.start is None:
            return False
        seen = {one.get("id") for one in self.start.card.get("images", ())}
        return self.corrected.images[row].id in seen

    def _scores(self, maps: dict[int, Codes]) -> list[ImageScores]:
        return [_scored(self.fields[row], codes) for row, codes in sorted(maps.items())]

    def _verdict(self, judged: _Judged) -> dict[str, Any]:
        """Figures of the new network, and how it compares with the one in use."""
        comparison = compare_networks(judged.scores, list(self._in_use_scores(judged.scores)))
        verdict = "unmeasured" if comparison is None else comparison.verdict
        return {
            "name": f"{self.study.networks.next_index():03d}",
            "preset": self.options.preset,
            "verdict": verdict,
            "adopted": verdict == "better",
            "in_use": {"name": self.in_use.name, "sha256": self.in_use.network.sha256},
            "comparison": comparison and asdict(comparison),
            "figures": figures_values(table3(judged.scores)),
            "class_dice": figures_values(class_means(judged.scores)),
            "held_out": figures_values(table3(judged.held_out)) if judged.held_out else None,
            "seeds": [figures_values(table3(scores)) for scores in judged.by_seed if scores],
            "scores": [
                asdict(one)
                for one in sorted(judged.scores, key=lambda one: (one.dice or 0.0, one.name))
            ],
            "notes": [
                *self.corrected.notes,
                *self.splits.notes,
                *self._seen_notes(),
                *_few(comparison),
            ],
        }

    def _in_use_scores(self, scores: Sequence[ImageScores]) -> Iterator[ImageScores]:
        """The network in use on the same images, where it had not seen them either."""
        rows = {field.name: row for row, field in enumerate(self.fields)}
        for one in scores:
            row = rows[one.name]
            codes = self.in_use.codes(self.corrected.images[row], self.fields[row])
            if codes is not None:
                yield _scored(self.fields[row], codes)

    def _seen_notes(self) -> list[str]:
        seen = sum(self._start_has_seen(row) for row in range(len(self.fields)))
        if not seen:
            return []
        return [f"{seen} image(s) not judged: the network that it started from learned from them"]

    def _kept(
        self, final: TrainedDecoder, card: dict[str, Any], maps: dict[int, Codes]
    ) -> NetworkEntry:
        store = self.study.networks
        index = store.next_index()
        for row, codes in maps.items():
            store.save_unseen(index, self.fields[row].name, encode_png(codes))
        store.add(index, final.tensors, card)
        # The network is whole: what was kept for the case of a kill can go.
        shutil.rmtree(self.folder, ignore_errors=True)
        return store.entry(index)


@dataclass(frozen=True, slots=True)
class _Judged:
    """Scores of a new network: of the first seed with the held-out patients, and of each seed."""

    scores: list[ImageScores]
    by_seed: list[list[ImageScores]]
    held_out: list[ImageScores]


def _start(options: NetworkTrainOptions) -> SegmentationNetwork | None:
    if options.start is not None:
        return read_network(options.start)
    return starter_network() if options.preset == "default" else None


def _scored(field: TruthField, codes: Codes) -> ImageScores:
    return image_scores(field.name, field.patient, field.codes, codes)


def _curve(trained: TrainedDecoder) -> list[dict[str, Any]]:
    return [asdict(one) for one in trained.curve]


def _few(comparison: NetworkComparison | None) -> list[str]:
    if comparison is None:
        return ["nothing could be compared with the network in use, which therefore stays in use"]
    if comparison.patients < 10:
        return [f"{comparison.patients} patients only: the intervals are rough"]
    return []
