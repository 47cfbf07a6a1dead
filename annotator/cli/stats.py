"""The command ``trephine stats``: the data table, and setting flags.

:func:`register` adds it to the command line of :mod:`annotator.cli.main`. Heavy imports stand
inside the command.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.cli.options import INCOMPLETE, Author, Json, StudyFolder, examples, print_json
from annotator.core.errors import UsageError

if TYPE_CHECKING:
    from annotator.measurements.summary import Dataset

_MOST_WORKERS = 4


class LabelSource(StrEnum):
    """Labels that are measured."""

    truth = "truth"
    rough = "rough"


class By(StrEnum):
    """Whether a row of the printed table is an image or a patient."""

    image = "image"
    patient = "patient"


def register(app: typer.Typer) -> None:
    """Add the command."""
    foot = examples(
        "trephine stats marrow",
        "trephine stats marrow --from truth --by patient",
        "trephine stats marrow --json > marrow.json",
        "trephine stats marrow --set-flag field_7 haemorrhage=yes --author eva",
    )
    app.command("stats", epilog=foot)(stats)


def stats(
    study: StudyFolder,
    source: Annotated[
        LabelSource | None,
        typer.Option(
            "--from",
            help="Labels to measure: corrected masks or rough annotations. Unless given, truth "
            "where an image has it, else rough.",
        ),
    ] = None,
    by: Annotated[
        By, typer.Option(help="Print a row for each image, or for each patient.")
    ] = By.image,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes; unless given, the cores there are, at most 4."),
    ] = None,
    set_flag: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="IMAGE FLAG=WORD",
            help="Write a person's decision to flags.csv: haemorrhage, soft_tissue, artefact, "
            "black, one_colour or doubtful_white = yes, no or unset; several with commas between. "
            "Measures nothing.",
        ),
    ] = None,
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Measure every labelled image: areas, cellularity, adipocytes, flags; write the tables.

    Tables go to report/: dataset.csv, dataset.parquet, patients.csv, summary.csv.
    """
    if set_flag is not None:
        _set_flag(study, *set_flag, author)
        return
    found, files = _measure(study, None if source is None else source.value, workers)
    if as_json:
        print_json(found.to_dict() | {"files": [str(path) for path in files]})
    else:
        from annotator.cli.print_stats import print_stats

        print_stats(found, files, by.value)
    if found.faults:
        raise typer.Exit(INCOMPLETE)


def _measure(
    folder: Path, source: str | None, workers: int | None
) -> tuple[Dataset, tuple[Path, ...]]:
    from annotator.cli.progress import ProgressView
    from annotator.measurements.table import dataset, source_of
    from annotator.measurements.table_files import write_dataset
    from annotator.study.study import Study

    count = workers or min(os.cpu_count() or 1, _MOST_WORKERS)
    with Study.open(folder) as study, ProgressView() as view:
        found = dataset(
            study,
            source_of(source),
            count,
            view.step,
        )
        if not found.rows and not found.faults:
            labels = "labels" if source is None else f"{source} labels"
            raise UsageError(
                f"{folder}: no image has {labels}; make some (trephine annotate, trephine pull)"
            )
        return found, write_dataset(found, study.path / "report")


def _set_flag(folder: Path, image: str, words: str, author: str | None) -> None:
    from active_learning.rounds.label_csv import system_user
    from annotator.measurements.flag_table import flags_path, set_flags
    from annotator.study.study import Study

    who = author or system_user()
    with Study.open(folder) as study:
        known = set_flags(study, image, words.split(","), who)
        place = flags_path(study)
    print(f"{known.name}: {words}, set by {who} in {place}")
