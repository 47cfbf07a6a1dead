"""The result of an evaluation: estimates with intervals, figures of each image, faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from annotator.core.classes import CLASS_NAMES, UNLABELLED
from annotator.core.intervals import Estimate

FORMAT = 1
COLUMNS = (*CLASS_NAMES, "unlabelled")
"""Predicted classes: the columns of the confusion matrix."""

DEFINITIONS: Mapping[str, str] = {
    "ignored": f"Pixels that the truth leaves open ({UNLABELLED}) are left out of everything. "
    f"Pixels that only the prediction leaves open ({UNLABELLED}) count as wrong: they miss the "
    "true class, and no class gains a false pixel.",
    "dice": "2 TP / (2 TP + FP + FN) over pixels (Dice 1945). Pooled: over the pixels of all "
    "images together. Per image: the mean over images that have the class in either map.",
    "iou": "TP / (TP + FP + FN) over pixels (Jaccard 1912), pooled and per image as Dice.",
    "mean": "Means over classes are over those that the truth has.",
    "boundary_f1": "Harmonic mean of two shares: of the predicted boundary pixels of a class "
    "within the tolerance of a true one, and of the true ones within the tolerance of a "
    "predicted one (Csurka et al. 2013, BMVC, after Martin et al. 2004). A boundary pixel "
    "belongs to the class and has a neighbour (of four) that does not; the image border is no "
    "boundary. Open seams of the truth no wider than the tolerance are closed by the nearest "
    "class; boundary within the tolerance of wider open parts is left out.",
    "adipocytes": "A true and a predicted adipocyte are one where they share more than half of "
    "their union; none can then have two partners (Kirillov et al. 2019, CVPR, section 4). F1 = "
    "2 matched / (2 matched + missed + extra). Pixels that the truth leaves open do not count; a "
    "predicted adipocyte that lies there by more than half is not extra. Panoptic quality = F1 x "
    "mean IoU of the matches.",
    "cellularity": "cell / (cell + fat) in percent, over the pixels that the truth labels. Bias "
    "is the mean of prediction minus truth, MAE the mean of its absolute value, both in "
    "percentage points. Limits of agreement: bias +- 1.96 SD of the differences (Bland and "
    "Altman 1986). ICC: two-way random effects, absolute agreement, single measurement, "
    "ICC(2,1) (Shrout and Fleiss 1979), ICC(A,1) of McGraw and Wong 1996.",
    "intervals": "95 %, percentiles of a bootstrap over patients with a fixed seed (Efron and "
    "Tibshirani 1993).",
    "worst": "Images in the order of their mean Dice over the classes that their truth has.",
}


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How well one class was found, 0..1.

    Parameters
    ----------
    name : str
    dice, iou, boundary_f1 : Estimate
        Pooled: of all images together.
    dice_per_image, iou_per_image, boundary_f1_per_image : Estimate
        Means over the images that have the class in either map.
    images : int
        That have the class in either map.
    truth_px, predicted_px : int
        Pixels of the class among those that the truth labels.
    """

    name: str
    dice: Estimate
    iou: Estimate
    boundary_f1: Estimate
    dice_per_image: Estimate
    iou_per_image: Estimate
    boundary_f1_per_image: Estimate
    images: int
    truth_px: int
    predicted_px: int


@dataclass(frozen=True, slots=True)
class AdipocyteFigures:
    """How well adipocytes were found one by one.

    Parameters
    ----------
    f1, precision, recall : Estimate
        0..1, at an IoU of 0.5.
    mean_iou : Estimate
        Of the matches.
    panoptic_quality : Estimate
    matched, missed, extra : int
    left_out : int
        Predicted ones that lie where the truth is open.
    """

    f1: Estimate
    precision: Estimate
    recall: Estimate
    mean_iou: Estimate
    panoptic_quality: Estimate
    matched: int
    missed: int
    extra: int
    left_out: int


@dataclass(frozen=True, slots=True)
class CellularityFigures:
    """How well cellularity agrees, over images; all in percentage points but the ICC.

    Parameters
    ----------
    images : int
        With a cellularity in both maps.
    undefined : tuple of str
        Names of the others.
    mae, bias, sd : Estimate
        Mean absolute difference; mean and standard deviation of prediction minus truth.
    lower, upper : Estimate
        Limits of agreement.
    icc : Estimate
        ICC(2,1), at most 1.
    """

    images: int
    undefined: tuple[str, ...]
    mae: Estimate
    bias: Estimate
    sd: Estimate
    lower: Estimate
    upper: Estimate
    icc: Estimate


@dataclass(frozen=True, slots=True)
class ImageFigures:
    """One image, without intervals; None where there is nothing to measure.

    Parameters
    ----------
    name, patient : str
    source : str
        What was evaluated: ``rough`` (the present annotation), ``sent`` (as sent to CVAT),
        ``folder`` (a map in the given folder).
    mean_dice : float or None
        Over the classes that its truth has.
    dice, iou, boundary_f1 : mapping of str to float or None
        By class, 0..1.
    adipocyte_f1, adipocyte_iou : float or None
    matched, missed, extra : int
        Adipocytes.
    cellularity_truth, cellularity : float or None
        In percent; of the truth and of the predicted map.
    labelled : float
        Share of the image that the truth labels, 0..1.
    tolerance_px : float
        Of its boundaries.
    picture : str or None
        File name of its picture beside the evaluation, if one was made.
    """

    name: str
    patient: str
    source: str
    mean_dice: float | None
    dice: Mapping[str, float | None]
    iou: Mapping[str, float | None]
    boundary_f1: Mapping[str, float | None]
    adipocyte_f1: float | None
    adipocyte_iou: float | None
    matched: int
    missed: int
    extra: int
    cellularity_truth: float | None
    cellularity: float | None
    labelled: float
    tolerance_px: float
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class MapEvaluation:
    """The comparison of predicted maps with true ones.

    Parameters
    ----------
    predicted, truth : str
        What was compared, in words.
    images, patients : int
        That the figures rest on.
    classes : tuple of four ClassFigures
        In the order of their codes.
    mean_dice, mean_iou : Estimate
        Over the classes that the truth has, pooled.
    accuracy : Estimate
        Share of the pixels that are right.
    adipocytes : AdipocyteFigures
    cellularity : CellularityFigures
    confusion : 4 x 5 int
        Pixels by true class (rows) and predicted class, see :data:`COLUMNS`.
    tolerance : str
        Of boundaries, in words.
    rows : tuple of ImageFigures
        That with the lowest mean Dice first.
    faults : tuple of (str, str)
        Images that could not be evaluated, and why.
    unpaired : tuple of str
        Names that have no truth, where that was to be expected, or a truth of no image.
    notes : tuple of str
        What limits these figures, in words.
    """

    predicted: str
    truth: str
    images: int
    patients: int
    classes: tuple[ClassFigures, ...]
    mean_dice: Estimate
    mean_iou: Estimate
    accuracy: Estimate
    adipocytes: AdipocyteFigures
    cellularity: CellularityFigures
    confusion: tuple[tuple[int, ...], ...]
    tolerance: str
    rows: tuple[ImageFigures, ...]
    faults: tuple[tuple[str, str], ...] = ()
    unpaired: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values, with the definitions."""
        content = asdict(self)
        content["faults"] = [{"name": name, "reason": why} for name, why in self.faults]
        return {
            "format": FORMAT,
            **content,
            "confusion": {
                "rows_truth": list(CLASS_NAMES),
                "columns_predicted": list(COLUMNS),
                "pixels": [list(row) for row in self.confusion],
            },
            "definitions": dict(DEFINITIONS),
        }
