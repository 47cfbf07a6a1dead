"""Predicted maps beside true ones: of a study, or of two folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from annotator.evaluated import Evaluation as Evaluation
from annotator.store import Study


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How maps are compared.

    Parameters
    ----------
    predicted, truth : Path or None
        Folders instead of those of a study: NAME.png, and perhaps instances/NAME.png.
    patients : str
        Regular expression on names, whose first group is the patient; empty: as the study
        says, else each image its own.
    tolerance_px : float
        Of boundaries.
    tolerance_um : float or None
        Instead, where an image's scale is known.
    workers : int
        Processes. The result is the same for any number.
    """

    predicted: Path | None = None
    truth: Path | None = None
    patients: str = ""
    tolerance_px: float = 4.0
    tolerance_um: float | None = None
    workers: int = 1


def evaluate_study(study: Study, options: EvaluateOptions | None = None) -> Evaluation:
    """Compare the rough annotations of a study with its truth; writes nothing."""
    raise NotImplementedError


def evaluate_folders(
    predicted: Path, truth: Path, options: EvaluateOptions | None = None
) -> Evaluation:
    """Compare the maps in two folders; writes nothing."""
    raise NotImplementedError
