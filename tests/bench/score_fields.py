"""Score rough annotations of real fields: classes, and adipocytes one by one.

    python tests/bench/score_fields.py STUDY/rough DATA [DATA ...] [--json FILE]

DATA holds ``gt/NAME.png`` (0 bg, 1 fat, 2 cell, 3 bone, 255 not counted) and, where adipocytes
were told apart, ``instances/NAME.png``. Every image counts alike in the class figures;
adipocytes are counted over all images, those smaller than a quarter of their image's median
left out.

found, spare, missed   matched one to one at an intersection over union of 0.5 and more
splits                 adipocytes of the truth that hold two pieces or more, each with a fifth of
                       the adipocyte or more
merges                 adipocytes of the truth that share a piece with another, more than half
                       of each in it
IoU                    median of those found
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import CELL, CLASS_NAMES, FAT
from annotator.evaluation.pixels import confusion, dice

Codes = NDArray[np.uint8]
Numbers = NDArray[np.int64]

# An adipocyte below this share of the median of its image is neither asked for nor spare.
_LEAST = 0.25
# Share of an adipocyte that makes a piece one of its pieces; and that makes it part of a merge.
_PIECE, _MERGED = 0.2, 0.5


@dataclass(frozen=True, slots=True)
class AdipocyteScore:
    """Adipocytes of one image, or of several.

    Parameters
    ----------
    found, spare, missed, splits, merges : int
    ious : tuple of float
        Of those found.
    """

    found: int = 0
    spare: int = 0
    missed: int = 0
    splits: int = 0
    merges: int = 0
    ious: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "ious", tuple(self.ious))

    def __add__(self, other: AdipocyteScore) -> AdipocyteScore:
        return AdipocyteScore(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        )

    def figures(self) -> dict[str, float]:
        """F1, splits and merges an adipocyte, and the median IoU."""
        real = max(self.found + self.missed, 1)
        return {
            **{name: value for name, value in asdict(self).items() if name != "ious"},
            "F1": 2 * self.found / max(2 * self.found + self.spare + self.missed, 1),
            "splits_each": self.splits / real,
            "merges_each": self.merges / real,
            "median_iou": float(np.median(self.ious)) if self.ious else float("nan"),
        }


def score_adipocytes(truth: Numbers, said: Numbers, counted: NDArray[np.bool_]) -> AdipocyteScore:
    """Compare two maps of numbered adipocytes.

    Parameters
    ----------
    truth, said : (H, W) int64
        0 for none.
    counted : (H, W) bool
        Where the classes are known; what lies mostly elsewhere is not spare.
    """
    true_areas, said_areas = np.bincount(truth.ravel()), np.bincount(said.ravel())
    least = _LEAST * np.median(true_areas[1:][true_areas[1:] > 0])
    both = (truth > 0) & (said > 0)
    pairs, shared = np.unique(np.stack([truth[both], said[both]]), axis=1, return_counts=True)
    iou = shared / (true_areas[pairs[0]] + said_areas[pairs[1]] - shared)
    hit = iou >= 0.5
    found = dict(zip(pairs[0, hit].tolist(), iou[hit].tolist(), strict=True))
    large = [one for one in range(1, len(true_areas)) if true_areas[one] >= least]
    small = (truth > 0) & (true_areas[truth] < least)
    judged = np.bincount(said.ravel(), counted.ravel(), minlength=len(said_areas))
    in_small = np.bincount(said.ravel(), small.ravel(), minlength=len(said_areas))
    taken = set(pairs[1, hit].tolist())
    spare = sum(
        said_areas[one] >= least
        and judged[one] > said_areas[one] / 2
        and in_small[one] < said_areas[one] / 2
        and one not in taken
        for one in range(1, len(said_areas))
    )
    share = shared / true_areas[pairs[0]]
    pieces = np.bincount(pairs[0][share >= _PIECE], minlength=len(true_areas))
    within = share > _MERGED
    together = np.bincount(pairs[1][within], minlength=len(said_areas))
    merged = {one for one, piece in pairs[:, within].T.tolist() if together[piece] > 1}
    return AdipocyteScore(
        sum(one in found for one in large),
        int(spare),
        sum(one not in found for one in large),
        int(sum(pieces[one] > 1 for one in large)),
        len(merged.intersection(large)),
        tuple(found[one] for one in large if one in found),
    )


def score_classes(truth: Codes, said: Codes) -> dict[str, float]:
    """Dice (mean over classes of 1 % and more), share of right pixels, cellularity error."""
    counts = confusion(truth, said).astype(np.float64)
    true, given = counts.sum(1), counts.sum(0)[: len(CLASS_NAMES)]
    figures = {
        "dice": float(dice(counts)[true >= 0.01 * true.sum()].mean()),
        "right": float(np.trace(counts[:, : len(CLASS_NAMES)]) / true.sum()),
    }
    if true[FAT] + true[CELL] >= 0.1 * true.sum():
        of = [100 * each[CELL] / max(each[CELL] + each[FAT], 1) for each in (true, given)]
        figures["cellularity_error"] = abs(of[1] - of[0])
    return figures


def mean_figures(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Means over images, and the worst Dice."""
    rows = list(rows)
    errors = [row["cellularity_error"] for row in rows if "cellularity_error" in row]
    return {
        "images": len(rows),
        "dice": float(np.mean([row["dice"] for row in rows])),
        "worst": min(row["dice"] for row in rows),
        "right": float(np.mean([row["right"] for row in rows])),
        "cellularity_error": float(np.mean(errors)) if errors else float("nan"),
    }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("rough", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows, adipocytes = [], AdipocyteScore()
    for path in sorted(one for data in asked.data for one in data.glob("gt/*.png")):
        truth, said = (_read(folder / path.name) for folder in (path.parent, asked.rough))
        row: dict[str, Any] = {"image": path.stem, **score_classes(truth, said)}
        real = path.parent.parent / "instances" / path.name
        if real.exists() and (numbers := _read(real)).any():
            mine = np.where(said == FAT, _read(asked.rough / "instances" / path.name), 0)
            score = score_adipocytes(numbers.astype(int), mine.astype(int), truth < 4)
            adipocytes += score
            row |= score.figures()
        print(" ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{v}" for k, v in row.items()))
        rows.append(row)
    whole = mean_figures(rows) | adipocytes.figures()
    print("\n" + " ".join(f"{name} {value:.3f}" for name, value in whole.items()))
    if asked.json:
        asked.json.write_text(json.dumps({**whole, "rows": rows}, indent=1), "utf-8")


def _read(path: Path) -> NDArray[Any]:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise SystemExit(f"{path}: expected a PNG, got none")
    return np.asarray(pixels)


if __name__ == "__main__":
    main()
