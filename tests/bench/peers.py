"""Our network beside its peers: the same fields, the same labels, one table with time.

``python tests/bench/peers.py DATA [--minutes 2] [--extra DATA] [--json OUT]``, on one
thread. Each source of DATA is left out in turn and predicted by what has learned from the
others; fields of ``--extra`` are predicted by what has learned from all of DATA, and never
learned from. Both networks learn for the same time; the others take the time they need.
Seconds are those of the processor, so that other work on the machine hardly shows. A run
that was stopped goes on from its ``--json``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from peer_classifiers import train_forest, train_published_svm
from peer_fields import FieldScores, Train, field_scores, read_fields
from peer_networks import train_ours, train_unet
from threadpoolctl import threadpool_limits

from active_learning.network.patches import TruthField
from annotator.core.files import write_atomic

PEERS: Mapping[str, tuple[str, Train]] = {
    "forest": ("random forest on ilastik's filters", train_forest),
    "svm": ("published SVM on the published features", train_published_svm),
    "unet": ("plain U-Net from scratch", train_unet),
    "ours": ("our network", train_ours),
}


@dataclass(frozen=True, slots=True)
class Fold:
    """Fields to learn from, and fields of other sources to be judged on."""

    name: str
    training: Sequence[TruthField]
    unseen: Sequence[TruthField]


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What a peer reached on one fold, and the processor's seconds it took.

    Parameters
    ----------
    peer, fold : str
    is_extra : bool
        Whether the unseen fields are those of ``--extra``.
    minutes : float
        That a network was to learn for.
    training_seconds, prediction_seconds : float
        All training fields, all unseen fields.
    fields : sequence of FieldScores
    """

    peer: str
    fold: str
    is_extra: bool
    minutes: float
    training_seconds: float
    prediction_seconds: float
    fields: Sequence[FieldScores]


def main() -> None:
    """Measure what was asked for, print the table, write the figures."""
    asked = arguments()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        results = measure_all(asked)
    print(f"\n{table(results)}")


def measure_all(asked: argparse.Namespace) -> list[FoldResult]:
    """Each fold and peer that was asked for; a line and the file after each."""
    results = read_results(asked.json) if asked.json and asked.json.exists() else []
    done = {(one.peer, one.fold) for one in results}
    for fold, is_extra in folds(asked.data, asked.extra):
        for peer in asked.peers:
            if (peer, fold.name) in done:
                continue
            results.append(measure(peer, fold, is_extra, asked.minutes))
            print(_line(results[-1]), flush=True)
            if asked.json:
                write_results(asked.json, results)
    return results


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="our network beside its peers")
    parser.add_argument("data", type=Path, help="folder of images/, gt/ and instances/")
    parser.add_argument("--extra", type=Path, help="another one, to be predicted only")
    parser.add_argument("--minutes", type=float, default=2.0, help="of training a network (2)")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--json", type=Path, help="file of all figures; what it has stays")
    return parser.parse_args()


def folds(data: Path, extra: Path | None = None) -> Iterator[tuple[Fold, bool]]:
    """Each source left out in turn; then all of them for the extra fields (True)."""
    fields = read_fields(data)
    for source in sorted({field.patient for field in fields}):
        training = [field for field in fields if field.patient != source]
        yield Fold(source, training, [field for field in fields if field.patient == source]), False
    if extra:
        others = read_fields(extra)
        yield Fold(others[0].patient, fields, others), True


def write_results(path: Path, results: Sequence[FoldResult]) -> None:
    """Keep what was measured, for :func:`read_results`."""
    write_atomic(path, (json.dumps([asdict(one) for one in results], indent=1) + "\n").encode())


def read_results(path: Path) -> list[FoldResult]:
    """What an earlier run measured."""
    return [
        FoldResult(**{**one, "fields": [FieldScores(**field) for field in one["fields"]]})
        for one in json.loads(path.read_text("utf-8"))
    ]


def measure(peer: str, fold: Fold, is_extra: bool, minutes: float) -> FoldResult:
    """Train one peer on a fold, and judge it on the unseen fields."""
    train = PEERS[peer][1]
    began = time.process_time()
    predict = train(fold.training, 60 * minutes)
    trained = time.process_time()
    predicted = [predict(field.pixels, field.um_per_px) for field in fold.unseen]
    done = time.process_time()
    scores = [field_scores(*each) for each in zip(fold.unseen, predicted, strict=True)]
    spent = trained - began, done - trained
    return FoldResult(peer, fold.name, is_extra, minutes, *spent, scores)


def _line(result: FoldResult) -> str:
    mean = np.mean([field.dice for field in result.fields])
    return (
        f"{result.peer:8s} {result.fold:6s} dice {mean:.3f}  training "
        f"{result.training_seconds:.0f} s, prediction {result.prediction_seconds:.0f} s  "
        + " ".join(f"{field.name} {field.dice:.3f}" for field in result.fields)
    )


def table(results: Sequence[FoldResult]) -> str:
    """All peers in one table, as Markdown."""
    names = list(dict.fromkeys((one.fold, one.is_extra) for one in results))
    head = ["", "dice", "worst", "right", "cellularity error"]
    head += [f"{name} (extra)" if is_extra else name for name, is_extra in names]
    head += ["training, s a fold", "prediction, s a field"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for peer, (title, _) in PEERS.items():
        own = [one for one in results if one.peer == peer]
        if own:
            rows.append([title, *_cells(own)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(own: Sequence[FoldResult]) -> list[str]:
    """One peer's figures: over the fields of DATA, then by source, then its time."""
    fields = [field for one in own if not one.is_extra for field in one.fields]
    errors = [one.cellularity_error for one in fields if one.cellularity_error is not None]
    dice = [field.dice for field in fields]
    predicted = sum(len(one.fields) for one in own)
    return [
        f"{np.mean(dice):.3f}",
        f"{min(dice):.3f}",
        f"{np.mean([field.right for field in fields]):.3f}",
        f"{np.mean(errors):.1f}" if errors else "",
        *(f"{np.mean([field.dice for field in one.fields]):.3f}" for one in own),
        f"{np.mean([one.training_seconds for one in own]):.0f}",
        f"{sum(one.prediction_seconds for one in own) / predicted:.1f}",
    ]


if __name__ == "__main__":
    main()
