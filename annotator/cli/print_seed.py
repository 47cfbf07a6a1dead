"""What ``trephine seed`` prints: the clusters, the labels, and what they would change. No logic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from annotator.cli.print_annotate import MOST_ROWS, console, say, some, table
from annotator.core.labels import LABEL_NAMES, MIXED
from annotator.report.text import percentage

if TYPE_CHECKING:
    from active_learning.rounds.seed import SeedReport
    from active_learning.rounds.seed_labels import AppliedReport, ImpureCluster
    from annotator.pipeline.draft_changes import DraftChanges

_MUCH = 0.05


def print_clusters(report: SeedReport, study: Path) -> None:
    """Print the clusters, and what to do next."""
    made = table("cluster", "looks like", "objects", "pure", align="ll")
    for name, code, size, purity in report.clusters:
        style = "bold" if name in report.impure else None
        made.add_row(name, code, str(size), f"{percentage(purity, 0)} %", style=style)
    console().print(made)
    folder = report.folder
    lines = [f"{report.objects} objects of {report.images} images."]
    if report.split:
        lines = [
            f"Split: {', '.join(report.split)}. Name the parts and apply again; no label was "
            "stored."
        ]
    if report.impure:
        lines.append(
            f"Mixed clusters, which get no label unless you name or split them: "
            f"{', '.join(report.impure)}."
        )
    if report.missing:
        lines.append(f"Warning: no cluster is clearly {_missing_in_words(report.missing)}")
    first = [f"cluster-{name}.png" for name in report.impure]
    look = f"{some(first)} first, then the other cluster-*.png" if first else "cluster-*.png"
    say(
        [
            "",
            *lines,
            f"Look at  {folder}: {look}",
            f"Correct  {folder / 'clusters.csv'}: the column class; a number under split cuts a "
            "cluster, draft cuts it by the classes of the draft",
            f"         {folder / 'corrections.csv'}: single objects, where you like: image and "
            "number stand below each picture",
            f"         or on the page of trephine review {study} --queue clusters",
            f"Next     trephine seed {study} --apply",
            *(f"Note: {note}." for note in report.notes),
        ]
    )


def print_applied(report: AppliedReport, changed: DraftChanges | None, study: Path) -> None:
    """Print how many labels there are now, and what they would change in the drafts."""
    added, single = report.added, report.corrections
    lines = [f"{added.added} labels of clusters stored, {added.already} were there."]
    if single is not None:
        lines.append(f"{single.added} labels of single objects stored, {single.already} there.")
    if report.unlabelled:
        lines += [
            "Without labels, as they are mixed and nobody named them (write a class, or a number "
            f"or draft under split, in {study / 'seed' / 'clusters.csv'}, and apply again):",
            *_cluster_lines(report.unlabelled),
        ]
    one_class = [one for one in report.impure_named if one.named != LABEL_NAMES[MIXED]]
    if one_class:
        lines += ["Warning: mixed, but labelled as you named them:", *_cluster_lines(one_class)]
    say([*lines, *(f"Note: {note}." for note in report.notes)])
    if changed is not None:
        _print_changes(changed)
    say([f"Next: trephine retrain {study}"])


def _cluster_lines(clusters: Sequence[ImpureCluster]) -> list[str]:
    return [
        f"  cluster {one.name}: {one.objects} objects, {percentage(one.purity, 0)} % "
        f"{one.looks_like} in the draft" + (f", named {one.named}" if one.named else "")
        for one in clusters[:MOST_ROWS]
    ]


def _print_changes(changed: DraftChanges) -> None:
    """Print the images whose drafts would change most, and all of them together."""
    from annotator.pipeline.draft_changes import most_changed

    if changed.why_none:
        say([f"What a round would change cannot be said yet: {changed.why_none}"])
        return
    say(["", "What a round that learns from these labels would change in the drafts:"])
    made = table("image", "cellularity %", "then %", "pixels %", "objects %")
    for one in most_changed(changed.images)[:MOST_ROWS]:
        made.add_row(
            escape(one.name),
            percentage(one.cellularity_before),
            percentage(one.cellularity_after),
            percentage(one.pixels_changed / one.pixels),
            percentage(one.objects_changed / one.objects if one.objects else 0.0),
        )
    console().print(made)
    say(["", *_changes_in_words(changed)])


def _missing_in_words(classes: Sequence[str]) -> str:
    """What follows where no label says these classes, and what to do."""
    it = "it" if len(classes) == 1 else "them"
    return (
        f"{' or '.join(classes)}, which the drafts hold: a round would not know {it}. Write draft "
        f"under split for the mixed clusters, or label some on the review page."
    )


def _changes_in_words(changed: DraftChanges) -> list[str]:
    pixels = sum(one.pixels for one in changed.images)
    most = ", ".join(
        f"{percentage(count / pixels)} % from {old} to {new}"
        for old, new, count in changed.moved[:3]
    )
    lines = [
        f"In {len(changed.images)} images {percentage(changed.pixels_share)} % of the pixels and "
        f"{percentage(changed.objects_share)} % of the objects would change their class"
        f"{f': {most}' if most else ''}."
    ]
    if changed.unknown_classes:
        lines.append(f"Warning: no label says {_missing_in_words(changed.unknown_classes)}")
    if changed.pixels_share > _MUCH:
        lines.append(
            "That is much. If the drafts looked right, correct clusters.csv, or single objects on "
            "the review page, before you retrain."
        )
    if changed.left_out:
        lines.append(
            f"Not compared (edited by a person, picture gone, or not annotated with the present "
            f"settings): {some(changed.left_out)}."
        )
    return lines
