"""What the commands of the learning loop print. No logic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from annotator.cli.print_annotate import MOST_ROWS, console, plain, say, some, table
from annotator.core.classes import CLASS_NAMES
from annotator.core.intervals import Estimate
from annotator.core.patient_counts import of_patients, over_patients, patients_note
from annotator.report.text import count, interval, number

if TYPE_CHECKING:
    from active_learning.rounds.current_labels import MoveReport
    from active_learning.rounds.label_errors import LabelErrorsReport
    from active_learning.rounds.ledger import Ledger
    from active_learning.rounds.next_images import NextImage
    from active_learning.rounds.simulate import SimulationReport
    from annotator.study.rounds import Round

Json = Mapping[str, Any]


def score(value: Json | None) -> str:
    """A figure of a round with its interval.

    Examples
    --------
    >>> score({"value": 0.95, "low": 0.9312, "high": 0.97}), score(None)
    ('0.950 (0.931-0.970)', '–')
    """
    return interval(None if value is None else Estimate(**value), between="-")


def print_moves(report: MoveReport) -> None:
    """Print how many labels moved to new objects, and which could not."""
    lines = [f"{report.labels} labels of {len(report.moves)} objects moved."]
    if report.losses:
        lines.append(f"{len(report.losses)} objects have no like now; their labels wait:")
        lines += [
            f"  {loss.image} object {loss.old_id} at {', '.join(map(str, loss.box))}"
            for loss in report.losses[:MOST_ROWS]
        ]
    if len(report.losses) > MOST_ROWS:
        lines.append(f"  and {len(report.losses) - MOST_ROWS} more, see --json")
    if report.waiting:
        lines.append(f"without objects at present: {some(report.waiting)}")
    say(lines)


def print_round(round_: Round, study: Path) -> None:
    """Print the figures of a round, how it compares, and what to do next."""
    metrics = round_.metrics
    out = console()
    classes = ", ".join(f"{name} {n}" for name, n in metrics["classes"].items())
    images = count(metrics["images"], "image")
    say(
        [
            f"Round {round_.index}: learned from {metrics['objects']} objects ({classes}) of "
            f"{of_patients(images, metrics['patients'], round_.unknown_patients)}.",
            "",
        ]
    )
    out.print(_figures(metrics, over_patients(metrics["patients"], round_.unknown_patients)))
    out.print()
    out.print(_classes(metrics["out_of_fold"]))
    say(["", *_round_lines(round_), *_next_lines(round_, study)])


def _figures(metrics: Json, groups: str) -> Table:
    kinds = {
        "out of fold": metrics["out_of_fold"],
        "held out": metrics["held_out"],
        "published": metrics["published"],
    }
    there = {name: content for name, content in kinds.items() if content}
    made = table("", *there)
    names = (("accuracy", "accuracy"), ("balanced", "balanced_accuracy"), ("macro-F1", "macro_f1"))
    for title, field in names:
        made.add_row(title, *(score(content[field]) for content in there.values()))
    made.add_row("calibration error", *(number(content["ece"], 3) for content in there.values()))
    counts = (f"{content['objects']} / {content['groups']}" for content in there.values())
    made.add_row(f"objects / {groups}", *counts)
    return made


def _classes(evaluation: Json) -> Table:
    """Out-of-fold figures of each class, and the classes that its objects were given."""
    taken = [f"as {name}" for name in CLASS_NAMES]
    made = table("out of fold", "precision", "recall", "F1", "objects", *taken)
    for one, row in zip(evaluation["classes"], evaluation["confusion"], strict=True):
        figures = (number(one[name], 3) for name in ("precision", "recall", "f1"))
        made.add_row(one["name"], *figures, str(one["support"]), *map(str, row))
    return made


def _round_lines(round_: Round) -> list[str]:
    metrics = round_.metrics
    lines = []
    if metrics["importance"]:
        first = ", ".join(one["name"] for one in metrics["importance"][:5])
        lines.append(f"Leans most on: {first}.")
    truth = metrics["truth"]
    if truth:
        flagged = sum(map(len, truth["flagged"].values()))
        lines.append(
            f"Corrected masks of {truth['images']} images: {truth['labelled']} objects labelled, "
            f"{truth['mixed']} mixed and left out, {truth['unlabelled']} open; {flagged} were "
            "predicted otherwise."
        )
    lines += [
        f"{one['authors'][0]} and {one['authors'][1]} agree on {one['agreed']} of "
        f"{one['objects']} objects (kappa {number(one['kappa'], 3)})."
        for one in metrics["agreement"]
    ]
    whose = patients_note(round_.unknown_patients, round_.patients_are_named)
    notes = [*metrics["notes"], *metrics["out_of_fold"]["notes"], whose]
    lines += [f"note: {note}" for note in dict.fromkeys(notes) if note]
    against = metrics["against"]
    if against:
        difference = plain(interval(Estimate(**against["difference"])))
        lines.append(
            f"Against round {round_.parent}, on {against['on']}: macro-F1 {against['new']:.3f} "
            f"after {against['old']:.3f}, difference {difference}: {round_.verdict}."
        )
    return lines


def _next_lines(round_: Round, study: Path) -> list[str]:
    if round_.verdict == "incomplete":
        names = " or ".join(round_.metrics["lacking"])
        return [
            "",
            f"No label says {names}, which the drafts show: with this model those objects would "
            "get another class. It is kept, but not used.",
            f"Name some  trephine review {study}   (or give groups the class: trephine seed "
            f"{study}), then retrain",
        ]
    if not round_.adopted:
        return [
            "",
            f"Worse than round {round_.parent}: kept, but not used; round {round_.parent} stays "
            "current.",
            f"Look at  trephine doubts {study}",
        ]
    return [
        "",
        "It is the study's classifier from now on.",
        f"Next     trephine annotate {study} IMAGES...   (classes anew, outlines are kept)",
        f"         trephine next {study}; trephine doubts {study}; trephine rounds {study}",
    ]


def print_next(chosen: Sequence[NextImage], study: Path) -> None:
    """Print the images, each with its reasons."""
    if not chosen:
        say(["Nothing is left to label: most objects of every image have labels."])
        return
    made = table("", "image", "why", align="rll")
    for one in chosen:
        made.add_row(str(one.rank), escape(one.name), escape("; ".join(one.reasons)))
    console().print(made)
    say(
        [
            "",
            "The first help the model most: much in them is in doubt, of a rare class, or unlike "
            "what is labelled. Those drawn at random come last.",
            f"Next     trephine push {study}, or trephine review {study} --queue image",
        ]
    )


def print_doubts(report: LabelErrorsReport, study: Path) -> None:
    """Print the doubtful labels, and where their pictures are."""
    made = table("", "image", "object", "label", "model", "doubt", align="ll")
    for row in report.rows[:MOST_ROWS]:
        cells = (str(row.object_id), row.given, row.suggested, f"{row.score:.2f}")
        made.add_row(str(row.rank), escape(row.image), *cells)
    if report.rows:
        console().print(made)
    lines = [f"{report.disputed} of {report.labels} labels are disputed."]
    if report.unjudged:
        lines.append(
            f"{report.unjudged} labels were not in the round (newer, or of another source): "
            "retrain to judge them."
        )
    if report.rows:
        first = next((row.cvat for row in report.rows if row.cvat), None)
        lines += [
            f"Look at  {', '.join(map(str, report.sheets))}",
            *([f"In CVAT  {first} and others: the column cvat"] if first else []),
            f"Correct  {report.table}: the column class",
            f"Next     trephine labels import {study} {report.table}",
        ]
    say(["", *lines])


def print_ledger(found: Ledger, curve: Path | None) -> None:
    """Print a row for each round, and whether more rounds are worth it."""
    if not found.rows:
        say(["No round yet. Next: trephine seed, trephine labels import, or masks in truth/;"])
        say(["then trephine retrain."])
        return
    titles = ("round", "from", "images", "objects", "accuracy", "macro-F1", "held-out macro-F1")
    made = table(*titles, "published", "cellularity", "verdict", align="ll")
    for row in found.rows:
        plain = row.to_dict()
        held_out = plain["held_out"]
        cells = (
            f"{row.index}{'*' if row.current else ''}",
            row.labels_from,
            str(row.images),
            str(row.objects),
            number(row.out_of_fold.accuracy.value, 3),
            score(plain["out_of_fold"]["macro_f1"]),
            score(held_out and held_out["macro_f1"]),
            number(None if row.published is None else row.published.value, 3),
            score(plain["cellularity"]),
            row.verdict if row.adopted else f"{row.verdict}, not used",
        )
        made.add_row(*cells, style=None if row.adopted else "dim")
    console().print(made)
    lines = ["", "* in use", f"On {found.measured_on}: {found.verdict.words}."]
    if curve is not None:
        lines.append(f"Curve: {curve}")
    say(lines)


def print_simulation(report: SimulationReport) -> None:
    """Print the learning curves as a table, and the conclusion."""
    say(
        [
            f"{report.objects} objects of "
            f"{of_patients(f'{report.images} images', report.patients, report.unknown)}; "
            f"{report.mixed} more are mixed or open. Means over all seeds, on held-out patients:",
            "",
            report.simulation.text(),
            "",
            f"Curves: {report.folder}",
        ]
    )
