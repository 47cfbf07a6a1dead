"""The data table of a study: every labelled image measured, and their summary.

What was measured is kept in ``report/measured.json``, under a key of the pixels, the labels,
the picture's file and the settings: a second run reads no picture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from annotator.core.class_areas import cellularity
from annotator.core.errors import UsageError
from annotator.core.files import can_write, sha256, write_atomic
from annotator.core.hashing import fingerprint
from annotator.core.progress import OnStep, silent
from annotator.core.workers import Fault, Workers
from annotator.measurements.flag_table import FlagDecision, flags_path, read_flags
from annotator.measurements.flags import FLAGS, Flag
from annotator.measurements.measure import FORMAT, MeasuredImage, MeasureJob, MeasureTask
from annotator.measurements.morphometry import percentages, second_cellularity
from annotator.measurements.summary import Dataset, MissingRow, Row, Source, summarise
from annotator.measurements.white_sensitivity import bands
from annotator.study.patients import patients_of
from annotator.study.rough import KnownImage
from annotator.study.study import Study

_SAVE_EVERY = 200
_FEW = 8
"""Starting a process costs more than measuring so many images."""


@dataclass(frozen=True, slots=True)
class _LabelledImage:
    """An image with labels: their source, what to measure, and the key of the measurement."""

    image: KnownImage
    source: Source
    job: MeasureJob
    key: str


def dataset(
    study: Study,
    source: Source | None = None,
    workers: int = 1,
    on_step: OnStep = silent,
) -> Dataset:
    """Measure every labelled image of a study; what was measured before is not read again.

    Parameters
    ----------
    study : Study
    source : {"truth", "rough"}, optional
        Without it truth where an image has it, else rough.
    workers : int
        Processes.
    on_step : callable
        Told what is being done, how much of it is done, and how much there is.

    Raises
    ------
    SettingsError
        When the table of patients cannot be used.
    UsageError
        When ``flags.csv`` cannot be used.
    """
    images = study.images()
    patients = patients_of(images, study.settings.patients, study.path)
    decisions = read_flags(flags_path(study), study.all_images())
    wanted = [one for image in images if (one := _wanted(study, image, source)) is not None]
    measured = _measured(study, wanted, workers, on_step)
    rows, faults = [], []
    for one in wanted:
        outcome = measured[one.image.id]
        if isinstance(outcome, Fault):
            faults.append(MissingRow(one.image.name, outcome.reason))
        elif not any(outcome.labels.areas_px.values()):
            faults.append(MissingRow(one.image.name, "all of it is excluded"))
        else:
            of_image = decisions.by_image.get(one.image.id, {})
            rows.append(_row(one, outcome, patients[one.image.id], of_image))
    labelled = {one.image.id for one in wanted}
    without = [image.name for image in images if image.id not in labelled]
    found = summarise(rows, faults, without, decisions.notes)
    return replace(found, patients_are_named=study.settings.patients.are_named)


def source_of(word: str | None) -> Source | None:
    """A source by its name; None is None.

    Raises
    ------
    UsageError
        When it is another word.
    """
    words: Mapping[str | None, Source | None] = {None: None, "truth": "truth", "rough": "rough"}
    if word in words:
        return words[word]
    raise UsageError(f"expected labels from truth or rough, got {word!r}")


def _wanted(study: Study, image: KnownImage, source: Source | None) -> _LabelledImage | None:
    """The labels of an image that are measured; None where it has none."""
    truth = study.path / "truth"
    codes, instances, _ = study.rough.paths(image)
    places: dict[Source, tuple[Path, Path]] = {
        "truth": (truth / codes.name, truth / "instances" / codes.name),
        "rough": (codes, instances),
    }
    for name, (first, second) in places.items():
        if source in (None, name) and first.exists():
            job = MeasureJob(
                image.name,
                image.id,
                Path(image.source),
                image.shape,
                image.um_per_px,
                first,
                second,
                study.excluded_regions.area(image.id, image.shape),
            )
            return _LabelledImage(image, name, job, _key(study, job))
    return None


def _key(study: Study, job: MeasureJob) -> str:
    """Fingerprint of all that a measurement depends on; of the picture, size and time."""
    try:
        found = job.picture.stat()
        seen = [found.st_size, found.st_mtime_ns]
    except OSError:
        seen = []
    labels = [sha256(job.codes), sha256(job.instances)]
    excluded = () if job.excluded is None else (job.excluded.key,)
    return fingerprint(
        FORMAT,
        job.image_id,
        job.um_per_px,
        labels,
        str(job.picture),
        seen,
        study.settings.read,
        *excluded,
    )


# What was measured before


def _measured(
    study: Study, wanted: Sequence[_LabelledImage], workers: int, on_step: OnStep
) -> dict[str, MeasuredImage | Fault]:
    """Measurements by the id of the image: from the cache, else measured now and saved there."""
    cache = _MeasurementCache(study.path / "report" / "measured.json")
    found: dict[str, MeasuredImage | Fault] = {}
    missing: dict[str, _LabelledImage] = {}
    for one in wanted:
        known = cache.get(one)
        if known is None:
            missing[one.image.id] = one
        else:
            found[one.image.id] = known
    task, jobs = MeasureTask(study.settings.read), [one.job for one in missing.values()]
    try:
        with Workers(
            workers if len(jobs) > _FEW else 1, ["annotator.measurements.measure"]
        ) as pool:
            for job, outcome in pool.run(task, jobs):
                if isinstance(outcome, Fault):
                    _note_fault(study, job, outcome)
                    found[job.image_id] = outcome
                else:
                    found[job.image_id] = outcome.result
                    cache.put(missing[job.image_id], outcome.result)
                on_step("measuring", len(found), len(wanted))
    finally:
        # Also after Ctrl-C: the next run goes on from here.
        cache.save()
    return found


def _note_fault(study: Study, job: MeasureJob, fault: Fault) -> None:
    if fault.trace and can_write(study.path):
        study.log_error(job.name, fault.trace)


class _MeasurementCache:
    """``report/measured.json``: by name and source of the labels, each with its key."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._body = _read_json(path)
        self._new = 0

    def get(self, one: _LabelledImage) -> MeasuredImage | None:
        """The measurement of this key; None where there is none, or it is damaged."""
        entry = self._body.get(_place(one))
        try:
            if entry is None or entry["key"] != one.key:
                return None
            return MeasuredImage.from_dict(entry["measured"])
        except (KeyError, TypeError, AttributeError):
            return None

    def put(self, one: _LabelledImage, measured: MeasuredImage) -> None:
        """Add a measurement; every 200 are written, so that a stopped run goes on."""
        self._body[_place(one)] = {"key": one.key, "measured": measured.to_dict()}
        self._new += 1
        if self._new >= _SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write new measurements, where the study can be written to."""
        place = self._path.parent if self._path.parent.exists() else self._path.parent.parent
        if self._new and can_write(place):
            text = json.dumps(self._body, sort_keys=True, ensure_ascii=False)
            write_atomic(self._path, text.encode())
        self._new = 0


def _place(one: _LabelledImage) -> str:
    return f"{one.image.id} {one.source}"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


# Rows


def _row(
    one: _LabelledImage,
    measured: MeasuredImage,
    patient: str,
    decisions: Mapping[str, FlagDecision],
) -> Row:
    image, areas = one.image, measured.labels.areas_without_black
    first, second = (None, None) if measured.flips is None else bands(areas, measured.flips)
    return Row(
        name=image.name,
        image_id=image.id,
        patient=patient,
        source=one.source,
        areas_pct=percentages(measured.labels.areas_px),
        cellularity=cellularity(areas),
        cellularity_band=first,
        second=second_cellularity(areas),
        second_band=second,
        adipocytes=measured.labels.adipocytes,
        flags={name: _flag(measured.scores.get(name), decisions.get(name)) for name in FLAGS},
        um_per_px=image.um_per_px,
        width=image.shape[1],
        height=image.shape[0],
        notes=(measured.note,) if measured.note else (),
        scale_source=image.scale_source,
        found_scale=image.found_scale,
        excluded_px=0 if one.job.excluded is None else one.job.excluded.pixels,
        black_pct=100 * measured.labels.black_px / max(1, sum(areas.values())),
    )


def _flag(score: float | None, decision: FlagDecision | None) -> Flag:
    flag = Flag(score)
    if decision is None or decision.value is None:
        return flag
    return replace(flag, value=decision.value, set_by=decision.author)
