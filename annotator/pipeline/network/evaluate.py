"""The starter and a study's own network beside its corrected masks, on unseen patients.

::

    report/network/figures.json             both, in the form of the paper's Table 3
    report/network/NAME/evaluation.json     all figures of one of them
    report/network/NAME/evaluation/         pictures of its worst images
    report/network/NAME/maps/               the maps that were judged
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from annotator.core.errors import UsageError
from annotator.core.files import write_atomic
from annotator.core.progress import OnStep
from annotator.evaluation.counts import Maps, Pair
from annotator.evaluation.evaluate import EvaluateOptions, evaluate_pairs
from annotator.evaluation.files import save_evaluation
from annotator.evaluation.pairs import Pairs
from annotator.evaluation.results import MapEvaluation
from annotator.imaging.codecs import encode_png
from annotator.pipeline.network.corrected_fields import CorrectedFields, corrected_fields
from annotator.pipeline.network.figures import (
    PAPER,
    ImageScores,
    PatientMean,
    figures_values,
    image_scores,
    table3,
)
from annotator.pipeline.network.unseen_maps import UnseenMaps
from annotator.segmentation.network.network_file import STARTER, starter_network
from annotator.study.study import Study
from annotator.study.truth import TruthStore

FILE = "figures.json"


@dataclass(frozen=True, slots=True)
class JudgedNetwork:
    """One network on the patients that it had not seen.

    Parameters
    ----------
    name : str
        ``starter``, or the number of the study's own.
    sha256 : str
    figures : mapping of str to PatientMean
        Of Table 3.
    evaluation : MapEvaluation
        Each class, boundaries, cellularity, and the images, the worst first.
    """

    name: str
    sha256: str
    figures: dict[str, PatientMean]
    evaluation: MapEvaluation

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "figures": figures_values(self.figures),
            "evaluation": self.evaluation.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class NetworkEvaluation:
    """All networks of a study beside its corrected masks.

    Parameters
    ----------
    networks : tuple of JudgedNetwork
    notes : tuple of str
        What limits the figures.
    folder : Path
        What was written lies there.
    """

    networks: tuple[JudgedNetwork, ...]
    notes: tuple[str, ...]
    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values, with the paper's figures."""
        return {
            "networks": [one.to_dict() for one in self.networks],
            "paper": {name: {"mean": mean, "sd": sd} for name, (mean, sd) in PAPER.items()},
            "notes": list(self.notes),
            "folder": str(self.folder),
        }


def evaluate_networks(study: Study, worst: int, on_step: OnStep) -> NetworkEvaluation:
    """Judge the starter and the study's own network on its corrected masks.

    Parameters
    ----------
    study : Study
    worst : int
        Images of which pictures are drawn, at most.
    on_step : callable

    Raises
    ------
    ModelError
        When there is no corrected mask, or a network cannot be read.
    UsageError
        When every network has learned from every corrected image.
    StorageError
        When ``report/`` cannot be written.
    """
    networks = [UnseenMaps(STARTER, starter_network(), study.networks)]
    entry = study.networks.current_entry()
    if entry is not None:
        own = study.networks.read(entry.index)
        networks.append(UnseenMaps(entry.name, own, study.networks, entry.index))
    corrected = corrected_fields(study, on_step)
    folder = study.path / "report" / "network"
    judged, notes = [], [*corrected.notes]
    for maps in networks:
        found = _judged(study, maps, corrected, folder / maps.name, worst, on_step)
        if isinstance(found, str):
            notes.append(found)
        else:
            judged.append(found)
            notes += _seen(found, corrected)
    if not judged:
        raise UsageError(f"{study.path}: expected images that no network has seen; {notes[-1]}")
    if entry is None:
        notes.append("the study has no network of its own in use: trephine network train makes one")
    result = NetworkEvaluation(tuple(judged), tuple(notes), folder)
    text = json.dumps(_plain(result), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(folder / FILE, (text + "\n").encode("utf-8", "backslashreplace"))
    return result


def _judged(
    study: Study,
    maps: UnseenMaps,
    corrected: CorrectedFields,
    folder: Path,
    worst: int,
    on_step: OnStep,
) -> JudgedNetwork | str:
    """One network, or the reason why it cannot be judged."""
    pairs: list[Pair] = []
    scores: list[ImageScores] = []
    truth = TruthStore(study.path)
    for done, (image, field) in enumerate(
        zip(corrected.images, corrected.fields, strict=True), start=1
    ):
        codes = maps.codes(image, field)
        on_step(f"predicting: {maps.name}", done, len(corrected.fields))
        if codes is None:
            continue
        path = folder / "maps" / f"{image.name}.png"
        write_atomic(path, encode_png(codes))
        scores.append(image_scores(image.name, field.patient, field.codes, codes))
        pairs.append(
            Pair(
                image.name,
                field.patient,
                "network",
                Maps(path, path.parent / "instances" / path.name),
                Maps(truth.path(image.name), truth.instances_path(image.name)),
                image.um_per_px,
                Path(image.source),
                image.id,
                image.shape,
                study.excluded_regions.area(image.id, image.shape),
            )
        )
    if not pairs:
        return f"{maps.name}: it has learned from all of these images"
    found = Pairs(f"the maps of the network {maps.name}", "the masks in truth/", tuple(pairs))
    evaluation = evaluate_pairs(found, EvaluateOptions(), on_step)
    saved = save_evaluation(evaluation, pairs, folder, study.settings, worst)
    return JudgedNetwork(maps.name, maps.network.sha256, table3(scores), saved)


def _seen(found: JudgedNetwork, corrected: CorrectedFields) -> Sequence[str]:
    missing = len(corrected.fields) - found.evaluation.images - len(found.evaluation.faults)
    if not missing:
        return ()
    return (f"{found.name}: {missing} image(s) not judged: it has learned from them",)


def _plain(result: NetworkEvaluation) -> dict[str, Any]:
    """What the report shows, without the figures of each image."""
    return {
        "networks": [
            {
                "name": one.name,
                "figures": figures_values(one.figures),
                "classes": [asdict(each) for each in one.evaluation.classes],
                "images": one.evaluation.images,
                "patients": one.evaluation.patients,
                "worst": [
                    {"name": row.name, "patient": row.patient, "dice": row.mean_dice}
                    for row in one.evaluation.rows[:10]
                ],
            }
            for one in result.networks
        ],
        "notes": list(result.notes),
    }
