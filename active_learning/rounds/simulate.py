"""The loop played against known masks, beside drawing images at random."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from active_learning.classifier.examples import Examples, area_weights, take_rows
from active_learning.classifier.training import fit
from active_learning.labels.from_masks import labels_from_mask
from active_learning.query.simulation import (
    BY_COMMITTEE,
    TREPHINE,
    Known,
    Learner,
    Rows,
    Simulation,
    simulate,
)
from active_learning.rounds.current_classifier import starter_of
from active_learning.rounds.dataset import StudyObjects, gather
from active_learning.seed.seed_model import fit_seed
from annotator.core.arrays import Floats
from annotator.core.csv import Cell, write_table
from annotator.core.errors import ModelError, UsageError
from annotator.core.files import write_atomic
from annotator.core.progress import OnStep
from annotator.imaging.label_map_files import read_corrected_codes
from annotator.imaging.slide_region import file_name
from annotator.pictures.line_plots import PlottedLine, draw
from annotator.settings.learning import SimulateSettings, TrainSettings
from annotator.study.excluded_area import codes_without_excluded, counted_objects
from annotator.study.patients import patients_of
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from features.table import FeatureTable

_COLUMNS = ("strategy", "seed", "round", "images", "objects", "macro_f1", "accuracy")


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """The result of a simulation, and the folder that it was written into.

    Parameters
    ----------
    simulation : Simulation
    images, patients, objects, mixed : int
        That it was played with.
    folder : Path
        Of ``curves.csv``, ``curves.png`` and ``table.txt``.
    unknown : int
        Images that count as a patient of their own, since nobody named theirs.
    """

    simulation: Simulation
    images: int
    patients: int
    objects: int
    mixed: int
    folder: Path
    unknown: int = 0

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "images": self.images,
            "patients": self.patients,
            "unknown_patients": self.unknown,
            "objects": self.objects,
            "mixed": self.mixed,
            "share_needed": self.simulation.share_needed(),
            "means": {name: asdict(self.simulation.mean(name)) for name in self._strategies},
            "curves": [asdict(curve) for curve in self.simulation.curves],
            **self._committee(),
        }

    @property
    def _strategies(self) -> tuple[str, ...]:
        return self.simulation.strategies

    def _committee(self) -> dict[str, Any]:
        """What the committee adds to the macro-F1, where it was played."""
        if BY_COMMITTEE not in self._strategies:
            return {}
        return {"committee_gain": asdict(self.simulation.gain(BY_COMMITTEE, TREPHINE))}


def simulate_study(
    study: Study, truth: Path, settings: SimulateSettings, on_step: OnStep
) -> SimulationReport:
    """Play the loop with the study's objects and masks that are known; labels nothing.

    Parameters
    ----------
    study : Study
    truth : Path
        Folder with a mask for each image: PNG of codes, named like the image.
    settings : SimulateSettings
    on_step : callable
        Told what is being done, how much of it is done, and how much there is.

    Raises
    ------
    UsageError
        When no image has a mask there.
    StudyError
        When a mask does not fit its image.
    ModelError
        When there are fewer than two patients.
    """
    if not truth.is_dir():
        raise UsageError(f"{truth}: expected a folder with masks, got none; check the name")
    with study.writing():
        masks = {image.id: found for image in study.images() if (found := _mask(truth, image))}
        if not masks:
            raise UsageError(
                f"{truth}: expected masks named like the images of the study (NAME.png), got "
                "none; name them so, as codes 0-3 and 255"
            )
        images = [image for image in study.images() if image.id in masks]
        objects = gather(study, images)
        known = _known(study, objects, masks)
        learn = _learner(known, study.settings.train)
        query = study.settings.query
        simulation = simulate(
            known, learn, settings, query, lambda n, of: on_step("playing", n, of)
        )
        folder = study.path / "report" / "simulation"
        _write(folder, simulation)
    return SimulationReport(
        simulation,
        len(objects.images),
        len(np.unique(known.groups)),
        int((known.codes < 4).sum()),
        int((known.codes >= 4).sum()),
        folder,
        len({image.name for image in objects.images} & set(known.groups.tolist())),
    )


def _mask(truth: Path, image: KnownImage) -> Path | None:
    names = (image.name, PurePath(file_name(image.source)).stem)
    return next((p for name in names if (p := truth / f"{name}.png").is_file()), None)


def _known(study: Study, objects: StudyObjects, masks: dict[str, Path]) -> Known:
    patients = patients_of(objects.images, study.settings.patients, study.path)
    ids = objects.table.image_ids
    return Known(
        objects.table,
        objects.areas,
        np.concatenate([_codes(study, image, masks[image.id]) for image in objects.images]),
        np.array([patients[image_id] for image_id in ids.tolist()], np.str_),
        _start(study, objects.table),
    )


def _codes(study: Study, image: KnownImage, path: Path) -> NDArray[np.uint8]:
    """True class of each object; more than 3 where it is mixed or unlabelled."""
    described = study.described(image)
    if described is None:
        return np.zeros(0, np.uint8)
    area = study.excluded_regions.area(image.id, image.shape)
    mask = codes_without_excluded(
        read_corrected_codes(path, path.parent / "instances" / path.name, image.shape), area
    )
    objects = described.objects.select(counted_objects(described.objects, area))
    return labels_from_mask(objects, mask, study.settings.labels).label_codes


def _start(study: Study, table: FeatureTable) -> Floats:
    """First classes, as in a study that nobody has labelled: by the starter or by groups."""
    classifier = starter_of(study) or fit_seed(table, study.settings.seed)
    return classifier.classify(table).probabilities


def _learner(known: Known, settings: TrainSettings) -> Learner:
    def learn(rows: Rows) -> Floats:
        examples = Examples(
            take_rows(known.table, rows),
            known.codes[rows],
            known.groups[rows],
            area_weights(known.areas[rows], settings.area),
        )
        try:
            return fit(examples, settings).probabilities(known.table)
        except ModelError:
            # Too few labels yet: the first classes go on.
            return known.start

    return learn


def _write(folder: Path, simulation: Simulation) -> None:
    write_atomic(folder / "table.txt", (simulation.text() + "\n").encode())
    write_atomic(folder / "curves.csv", _csv(simulation))
    lines = {name: simulation.mean(name) for name in simulation.strategies}
    panels = [
        (figure, [PlottedLine(name, c.images, getattr(c, field)) for name, c in lines.items()])
        for figure, field in (("macro-F1", "macro_f1"), ("accuracy", "accuracy"))
    ]
    title = "Choosing beside chance, on held-out patients"
    write_atomic(folder / "curves.png", draw(title, "images labelled", panels))


def _csv(simulation: Simulation) -> bytes:
    rows: list[tuple[Cell, ...]] = []
    for curve in simulation.curves:
        points = zip(curve.images, curve.objects, curve.macro_f1, curve.accuracy, strict=True)
        for number, (images, objects, f1, right) in enumerate(points, start=1):
            row = (curve.strategy, curve.seed, number, images, objects, f"{f1:.4f}", f"{right:.4f}")
            rows.append(row)
    # Without the mark: earlier versions of the report read this file as plain UTF-8.
    return write_table(_COLUMNS, rows, byte_order_mark=False)
