"""What the commands of the segmentation network print. No logic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from annotator.cli.print_annotate import MOST_ROWS, console, say, table
from annotator.cli.print_evaluate import class_table, worst_table
from annotator.core.errors import ModelError
from annotator.core.intervals import Estimate
from annotator.core.patient_counts import of_patients, unknown_in_card, unknown_patients
from annotator.core.progress import duration
from annotator.pipeline.network.evaluate import NetworkEvaluation
from annotator.pipeline.network.figures import FIGURES, PAPER, PatientMean
from annotator.pipeline.network.predict import NetworkPredictions
from annotator.report.text import interval, number
from annotator.study.networks import NetworkEntry
from annotator.study.study import Study

_TITLES = {"dice": "mean Dice", "mean_iou": "mIoU", "cellularity_error": "cellularity\nMAE"}
_VERDICTS = {
    "better": "better than the network in use on unseen patients: used from now on",
    "level": "no better than the network in use on unseen patients: kept, not used",
    "worse": "worse than the network in use on unseen patients: kept, not used",
    "unmeasured": "not comparable with the network in use, which stays in use",
}
_WORST = 5


def print_training(entry: NetworkEntry, path: Path) -> None:
    """Print what was trained, how good it is, and whether it is used."""
    card = entry.card
    seconds, epochs = float(card["seconds"]) + float(card["encoding_seconds"]), len(card["curve"])
    say(
        [
            f"Network {entry.name}: {_learned_from(card)}, {epochs} epochs; the last of its "
            f"trainings took {duration(seconds)}.",
            "",
        ]
    )
    console().print(_table3([("this network", _figures(card["figures"]))]))
    say(["", *_seeds(card), *_comparison(card), *_worst(card["scores"])])
    say([f"note: {note}" for note in card["notes"]])
    say([f"Verdict  {_VERDICTS.get(entry.verdict, entry.verdict)}", f"Network  {path}"])


def _learned_from(card: Mapping[str, Any]) -> str:
    images, patients = len(card["images"]), len(card["patients"])
    unknown = unknown_in_card(card)
    if unknown:
        return of_patients(f"{images} image(s)", patients, unknown)
    return f"{images} image(s) of {patients} patient(s)"


def print_networks(found: NetworkEvaluation) -> None:
    """Print each network in the form of Table 3, its classes and its worst images."""
    out = console()
    out.print(_table3([(one.name, one.figures) for one in found.networks]))
    for one in found.networks:
        images, patients = one.evaluation.images, one.evaluation.patients
        unknown = unknown_patients((row.name, row.patient) for row in one.evaluation.rows)
        whose = f"{images} image(s), {patients} patient(s)"
        if unknown:
            whose = of_patients(f"{images} image(s)", patients, unknown)
        say(["", f"{one.name}: {whose}"])
        out.print(class_table(one.evaluation))
        if one.evaluation.rows:
            say(["Worst images:"])
            out.print(worst_table(one.evaluation.rows[:_WORST]))
        say([f"failed: {name}: {why}" for name, why in one.evaluation.faults[:MOST_ROWS]])
        say([f"note: {one.name}: {note}" for note in one.evaluation.notes])
    say(["", *(f"note: {note}" for note in found.notes), f"Figures  {found.folder}"])


def print_predictions(found: NetworkPredictions) -> None:
    """Print cellularities, faults and where everything lies."""
    made = table("image", "um/px", "cellularity, %", gap=2)
    for one in found.images[:MOST_ROWS]:
        share = None if one.cellularity is None else 100 * one.cellularity
        guessed = " (guessed)" if one.scale == "guessed" else ""
        made.add_row(escape(one.name), f"{one.um_per_px:.2f}{guessed}", number(share, 1))
    console().print(made)
    more = len(found.images) - MOST_ROWS
    say([f"and {more} more, see cellularity.csv"] if more > 0 else [])
    noted = [f"{one.name}: {note}" for one in found.images for note in one.notes]
    say([f"note: {note}" for note in noted[:MOST_ROWS]])
    say([f"and {len(noted) - MOST_ROWS} more notes"] if len(noted) > MOST_ROWS else [])
    say([f"failed: {file}: {why}" for file, why in found.faults[:MOST_ROWS]])
    say([f"Maps         {found.folder}", f"Cellularity  {found.folder / 'cellularity.csv'}"])


def listed_networks(study: Study) -> list[dict[str, Any]]:
    """One row a network, as JSON values; of a damaged one, what is wrong."""
    rows: list[dict[str, Any]] = []
    store = study.networks
    for index in store.indices():
        path = str(store.path(index))
        try:
            entry = store.entry(index)
            store.read(index)
        except ModelError as error:
            rows.append({"index": index, "path": path, "fault": str(error)})
            continue
        card = entry.card
        rows.append(
            {
                "index": index,
                "path": path,
                "time": entry.time,
                "verdict": entry.verdict,
                "adopted": entry.adopted,
                "preset": card.get("preset"),
                "images": len(card.get("images", ())),
                "patients": len(card.get("patients", ())),
                "figures": card.get("figures"),
                "sha256": entry.sha256,
            }
        )
    used = [row["index"] for row in rows if row.get("adopted")]
    return [{**row, "in_use": bool(used) and row["index"] == used[-1]} for row in rows]


def print_list(rows: Sequence[Mapping[str, Any]], study: Path) -> None:
    """Print the networks, or how to get one."""
    if not rows:
        say([f"No network of its own yet; next: trephine network train {study}"])
        return
    made = table("network", "made", "images", "patients", "mean Dice", "verdict", gap=2)
    for row in rows:
        name = f"{row['index']:03d}{' (in use)' if row['in_use'] else ''}"
        if "fault" in row:
            made.add_row(name, "", "", "", "", "damaged")
            continue
        dice = _figures(row["figures"])["dice"] if row["figures"] else None
        made.add_row(
            name,
            str(row["time"])[:16].replace("T", " "),
            str(row["images"]),
            str(row["patients"]),
            "" if dice is None else _mean_sd(dice),
            f"{row['verdict']}{'' if row['adopted'] else ', not used'}",
        )
    console().print(made)
    say([f"damaged: {row['fault']}" for row in rows if "fault" in row])
    if not any(row["in_use"] for row in rows):
        say(["The starter is in use: none of these was better on unseen patients."])


def _table3(networks: Sequence[tuple[str, Mapping[str, PatientMean]]]) -> Table:
    """Mean, standard deviation and interval over patients, the paper's Table 3 below."""
    made = table("network", *(_TITLES[name] for name in FIGURES), "patients", gap=2)
    for name, figures in networks:
        cells = (f"{_mean_sd(figures[key])}\n{_ends(figures[key].mean)}" for key in FIGURES)
        made.add_row(name, *cells, str(figures["dice"].patients))
    made.add_section()
    paper = (f"{mean:.3f} ± {sd:.3f}" for mean, sd in (PAPER[key] for key in FIGURES))
    made.add_row("the paper's U-Net", *paper, "", style="dim")
    return made


def _mean_sd(figure: PatientMean) -> str:
    if figure.mean.value is None:
        return "not measured"
    spread = "" if figure.sd is None else f" ± {figure.sd:.3f}"
    return f"{figure.mean.value:.3f}{spread}"


def _ends(mean: Estimate) -> str:
    return "" if mean.low is None or mean.high is None else f"({mean.low:.3f}–{mean.high:.3f})"


def _figures(values: Mapping[str, Any]) -> dict[str, PatientMean]:
    return {
        name: PatientMean(Estimate(**one["mean"]), one["sd"], one["patients"])
        for name, one in values.items()
    }


def _seeds(card: Mapping[str, Any]) -> list[str]:
    found = [_figures(one)["dice"].mean.value for one in card["seeds"]]
    dice = [value for value in found if value is not None]
    if len(dice) < 2:
        return []
    return [f"Seeds    mean Dice {', '.join(f'{value:.3f}' for value in dice)}"]


def _comparison(card: Mapping[str, Any]) -> list[str]:
    found = card["comparison"]
    if found is None:
        return []
    difference = interval(Estimate(**found["difference"]), plus=True)
    return [
        f"Beside   {card['in_use']['name']}, in use: mean Dice {found['new']:.3f} and "
        f"{found['old']:.3f}, difference {difference}; {found['patients']} unseen patient(s)"
    ]


def _worst(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = [f"{one['name']} {number(one['dice'], 3)}" for one in scores[:_WORST]]
    return [f"Worst    {', '.join(shown)}"] if shown else []
