"""The section on the study's own segmentation network: Table 3, its curves, its worst images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from annotator.core.classes import CLASS_NAMES
from annotator.core.errors import StudyError
from annotator.core.intervals import Estimate
from annotator.core.patient_counts import of_patients, unknown_in_card
from annotator.pictures.line_plots import PlottedLine
from annotator.pipeline.network.evaluate import FILE
from annotator.pipeline.network.figures import FIGURES, PAPER
from annotator.report.figures import lines
from annotator.report.page import Block, Chart, Charts, Note, PageTable
from annotator.report.text import count, interval, number, sentence
from annotator.study.networks import NetworkEntry, NetworkStore

_WORST = 10
_TITLES = {
    "dice": "mean Dice",
    "mean_iou": "mean IoU",
    "cellularity_error": "cellularity, mean absolute error",
}
_VERDICTS = {
    "better": "It was better than the network in use before, and is used.",
    "level": "It was no better than the network in use, and is not used.",
    "worse": "It was worse than the network in use, and is not used.",
    "unmeasured": "It could not be compared with the network in use, and is not used.",
}


def network_blocks(store: NetworkStore, report: Path) -> tuple[Block, ...]:
    """The network in use, or else the last one; and what ``network evaluate`` found.

    Raises
    ------
    ModelError
        When the card of a network cannot be read.
    StudyError
        When the figures of an evaluation cannot be read.
    """
    entries = store.all()
    if not entries:
        return (
            Note(
                "No segmentation network of its own yet: correct some masks and run trephine "
                "network train STUDY.",
                "missing",
            ),
        )
    return tuple(_blocks(store.current_entry() or entries[-1], _evaluated(report)))


def _blocks(entry: NetworkEntry, evaluated: Mapping[str, Any] | None) -> Iterator[Block]:
    card = entry.card
    learned = sum(one["use"] == "learned from" for one in card["images"])
    unknown = unknown_in_card(card)
    learned_from = of_patients(count(learned, "corrected image"), len(card["patients"]), unknown)
    yield Note(
        f"Network {entry.name} learned from {learned_from}; every figure is of patients that the "
        f"judged network had not seen. {_VERDICTS.get(entry.verdict, '')}"
    )
    yield from (Note(sentence(str(note)), "warning") for note in card["notes"])
    yield _table3(entry, evaluated)
    yield _classes(card["class_dice"])
    charts = tuple(_curves(card))
    if charts:
        yield Charts(charts)
    if card["scores"]:
        yield _worst(card["scores"])


def _table3(entry: NetworkEntry, evaluated: Mapping[str, Any] | None) -> PageTable:
    """Mean ± standard deviation over patients, with intervals, and the paper's."""
    networks = [(f"network {entry.name}, when it was made", entry.card["figures"])]
    for one in (evaluated or {}).get("networks", ()):
        networks.append((f"{one['name']}, evaluated since", one["figures"]))
    rows = [
        (name, *(_cell(figures[key]) for key in FIGURES), str(figures["dice"]["patients"]))
        for name, figures in networks
    ]
    paper = (f"{mean:.3f} ± {sd:.3f}" for mean, sd in (PAPER[key] for key in FIGURES))
    return PageTable(
        "Unseen patients: mean ± standard deviation, in brackets the 95 % interval of the mean; "
        "in the form of the paper's Table 3",
        ("network", *(_TITLES[key] for key in FIGURES), "patients"),
        [*rows, ("the paper's U-Net", *paper, "")],
    )


def _cell(figure: Mapping[str, Any]) -> str:
    mean, sd = Estimate(**figure["mean"]), figure["sd"]
    if mean.value is None:
        return "–"
    if sd is None:
        return interval(mean)
    ends = "" if mean.low is None else f" ({mean.low:.3f} to {mean.high:.3f})"
    return f"{mean.value:.3f} ± {sd:.3f}{ends}"


def _classes(figures: Mapping[str, Any]) -> PageTable:
    rows = [(name, _cell(figures[name]), str(figures[name]["patients"])) for name in CLASS_NAMES]
    return PageTable("Dice of each class on unseen patients", ("class", "Dice", "patients"), rows)


def _curves(card: Mapping[str, Any]) -> Iterator[Chart]:
    folds = card["fold_curves"]
    own = [(one["epoch"], one["loss"]) for one in card["curve"]]
    loss = [PlottedLine("kept network, learned from", *zip(*own, strict=True))]
    judged = _mean_by_epoch(folds, "validation_loss")
    if judged:
        loss.append(PlottedLine("parts, other patients", *zip(*judged, strict=True)))
    yield Chart(lines("loss", "epoch", loss), "Loss of the training, epoch by epoch.")
    dice = _mean_by_epoch(folds, "validation_dice")
    if dice:
        drawn = [PlottedLine("parts, other patients", *zip(*dice, strict=True))]
        yield Chart(
            lines("Dice", "epoch", drawn),
            "Dice on patches of the patients that told when to stop, mean over the parts.",
        )


def _mean_by_epoch(
    folds: Sequence[Sequence[Mapping[str, Any]]], name: str
) -> list[tuple[int, float]]:
    """Mean over the parts that reached an epoch."""
    values: dict[int, list[float]] = {}
    for fold in folds:
        for one in fold:
            if one[name] is not None:
                values.setdefault(one["epoch"], []).append(one[name])
    return [(epoch, fmean(found)) for epoch, found in sorted(values.items())]


def _worst(scores: Sequence[Mapping[str, Any]]) -> PageTable:
    rows = [
        (
            str(one["name"]),
            str(one["patient"]),
            number(one["dice"], 3),
            *(number(one["classes"][name], 3) for name in CLASS_NAMES),
        )
        for one in scores[:_WORST]
    ]
    head = ("image", "patient", "mean Dice", *CLASS_NAMES)
    return PageTable("Worst images of the network, when it was made", head, rows)


def _evaluated(report: Path) -> Mapping[str, Any] | None:
    path = report / "network" / FILE
    try:
        content = json.loads(path.read_text("utf-8"))
        return content if isinstance(content["networks"], list) else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"{path.name}: expected the figures of networks, got something else; run trephine "
            "network evaluate again"
        ) from error
