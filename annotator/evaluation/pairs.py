"""Pairs of predicted and true maps: of a study, or of two folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from annotator.core.errors import UsageError
from annotator.evaluation.counts import Maps, Pair
from annotator.imaging.slide_region import file_name
from annotator.settings.images import PatientSettings
from annotator.study.patients import patients_of
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from annotator.study.truth import TruthStore

ROUGH, SENT, FOLDER = "rough", "sent", "folder"


@dataclass(frozen=True, slots=True)
class Pairs:
    """The maps to compare.

    Parameters
    ----------
    predicted, truth : str
        In words.
    found : tuple of Pair
        By name.
    faults : tuple of (str, str)
        What should have had a partner, and why it has none.
    unpaired : tuple of str
        Names that are in one place only, without that being a fault.
    notes : tuple of str
    patients_are_named : bool
        Whether a pattern or a table says whose an image is.
    """

    predicted: str
    truth: str
    found: tuple[Pair, ...]
    faults: tuple[tuple[str, str], ...] = ()
    unpaired: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    patients_are_named: bool = False


@dataclass(frozen=True, slots=True)
class Folders:
    """Folders in place of those of a study, and the pattern that tells the patient of an image.

    Parameters
    ----------
    predicted, truth : Path or None
    patients : str
        Regular expression on names of files; empty for none.
    """

    predicted: Path | None = None
    truth: Path | None = None
    patients: str = ""
    of_patient: PatientSettings = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "of_patient", PatientSettings(self.patients))


def pairs_of_folders(folders: Folders) -> Pairs:
    """Maps of the same name in two folders.

    Raises
    ------
    UsageError
        When a folder is missing, or they have no name in common.
    """
    if folders.predicted is None or folders.truth is None:
        raise UsageError("expected two folders, --pred DIR and --truth DIR, or a study")
    first, second = _names(folders.predicted), _names(folders.truth)
    both = sorted(first & second)
    if not both:
        raise UsageError(_nothing_in_common(folders.predicted, first, folders.truth, second))
    missing = f"no map of this name in {folders.predicted}"
    return Pairs(
        f"the maps in {folders.predicted}",
        f"the maps in {folders.truth}",
        tuple(
            Pair(
                name,
                folders.of_patient.named(f"{name}.png") or name,
                FOLDER,
                _in_folder(folders.predicted, name),
                _in_folder(folders.truth, name),
            )
            for name in both
        ),
        faults=tuple((name, missing) for name in sorted(second - first)),
        unpaired=tuple(sorted(first - second)),
        patients_are_named=folders.of_patient.are_named,
    )


def pairs_of_study(study: Study, folders: Folders) -> Pairs:
    """Maps of the images of a study that have a truth.

    What is evaluated is what was sent to CVAT, where that is known, since the truth was made
    from it; else the rough annotation as it lies there.

    Raises
    ------
    UsageError
        When no image has a truth, or a folder is missing.
    """
    images = study.images()
    true = _TruthOf(study, folders.truth, images)
    predicted_of = _PredictedOf(study, folders.predicted)
    settings = folders.of_patient if folders.patients else study.settings.patients
    patients = patients_of(images, settings, study.path)
    found, faults = [], []
    excluded = study.excluded_regions.areas()
    for image in images:
        truth = true.maps(image)
        if truth is None:
            continue
        predicted = predicted_of.maps(image)
        if isinstance(predicted, str):
            faults.append((image.name, predicted))
            continue
        source, maps = predicted
        pair = Pair(
            image.name,
            patients[image.id],
            source,
            maps,
            truth,
            image.um_per_px,
            Path(image.source),
            image.id,
            image.shape,
            excluded.get(image.id),
        )
        found.append(pair)
    if not found:
        raise UsageError(_no_truth(true.folder, images, faults))
    return Pairs(
        predicted_of.words,
        true.words,
        tuple(found),
        tuple(faults),
        true.strangers(),
        (*predicted_of.notes, *true.notes()),
        settings.are_named,
    )


class _TruthOf:
    """Finds the true map of an image."""

    def __init__(self, study: Study, folder: Path | None, images: Sequence[KnownImage]) -> None:
        self._store = TruthStore(study.path)
        self._given = folder
        self.folder = folder or study.path / "truth"
        self.words = f"the maps in {self.folder}"
        self._names = _names(self.folder)
        self._own = {name for image in images for name in _called(image)}
        all_names = {name for image in study.all_images() for name in _called(image)}
        self._left_out = all_names - self._own

    def maps(self, image: KnownImage) -> Maps | None:
        if self._given is None:
            name = image.name
            paths = Maps(self._store.path(name), self._store.instances_path(name))
            return paths if name in self._names else None
        return next((_in_folder(self._given, n) for n in _called(image) if n in self._names), None)

    def strangers(self) -> tuple[str, ...]:
        """Names of maps that are of no image."""
        return tuple(sorted(self._names - self._own - self._left_out))

    def notes(self) -> list[str]:
        """What of the maps belongs to images that were excluded or removed."""
        names = sorted(self._names & self._left_out)
        if not names:
            return []
        return [f"left out of the study (trephine images list says why): {', '.join(names)}"]


class _PredictedOf:
    """Finds the predicted map of an image."""

    def __init__(self, study: Study, folder: Path | None) -> None:
        self._study = study
        self._given = folder
        self._names = _names(folder) if folder else frozenset()
        self._sent = {one.image_id for one in study.cvat.sent()} if folder is None else set()
        self.notes: list[str] = []
        self.words = f"the maps in {folder}" if folder else "the rough annotations of the study"
        if self._sent:
            self.words += ", as they were sent to CVAT where they were"

    def maps(self, image: KnownImage) -> tuple[str, Maps] | str:
        """The source of the map and its files, or the reason why there is none."""
        if self._given is not None:
            called = (name for name in _called(image) if name in self._names)
            name = next(called, None)
            if name is None:
                return f"no map of this name in {self._given}"
            return FOLDER, _in_folder(self._given, name)
        sent = _in_folder(self._study.cvat.folder, image.name)
        if image.id in self._sent and sent.classes.exists():
            return SENT, sent
        if image.id in self._sent:
            self.notes.append(
                f"{image.name}: what was sent to CVAT is gone; the rough annotation is evaluated"
            )
        classes, instances, _ = self._study.rough.paths(image)
        if not classes.exists():
            return "no rough annotation; run trephine annotate"
        return ROUGH, Maps(classes, instances)


def _called(image: KnownImage) -> tuple[str, str]:
    """Names that a map of an image may have: as in the study, or as the image file."""
    return image.name, PurePath(file_name(image.source)).stem


def _names(folder: Path) -> frozenset[str]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder with maps, got none; check the name")
    return frozenset(path.stem for path in folder.glob("*.png") if path.is_file())


def _in_folder(folder: Path, name: str) -> Maps:
    return Maps(folder / f"{name}.png", folder / "instances" / f"{name}.png")


def _nothing_in_common(
    first: Path, here: frozenset[str], second: Path, there: frozenset[str]
) -> str:
    def some(names: frozenset[str]) -> str:
        return ", ".join(f"{name}.png" for name in sorted(names)[:3]) or "no PNG at all"

    return (
        f"expected maps of the same names (NAME.png) in both folders, got {some(here)} in {first} "
        f"and {some(there)} in {second}; name them alike"
    )


def _no_truth(folder: Path, images: Sequence[KnownImage], faults: Sequence[tuple[str, str]]) -> str:
    if faults:
        name, why = faults[0]
        return f"nothing to evaluate: {name}: {why}"
    example = f"{images[0].name}.png" if images else "NAME.png"
    return (
        f"{folder}: expected corrected masks named like the images ({example}), got none; bring "
        "them with trephine pull, or give a folder with --truth"
    )
