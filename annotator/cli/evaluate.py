"""The command that compares label maps with their truth: evaluate.

:func:`register` adds it to the command line of :mod:`annotator.cli.main`. Heavy imports stand
inside the command.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.cli.options import INCOMPLETE, Json, examples, print_json

if TYPE_CHECKING:
    from annotator.evaluation.evaluate import EvaluateOptions
    from annotator.evaluation.results import MapEvaluation
    from annotator.settings.study import Settings
    from annotator.study.study import Study


class TruthKind(StrEnum):
    """Masks that the rough annotations of a study are compared with."""

    truth = "truth"


def register(app: typer.Typer) -> None:
    """Add the command."""
    foot = examples(
        "trephine evaluate marrow",
        "trephine evaluate marrow --tolerance-um 2 --workers 2",
        "trephine evaluate --pred predicted/ --truth masks/ --patients '^([^_]+)_' --out result/",
    )
    app.command("evaluate", epilog=foot)(evaluate)


def evaluate(
    study: Annotated[
        Path | None, typer.Argument(metavar="[STUDY]", help="The study folder.")
    ] = None,
    against: Annotated[
        TruthKind, typer.Option(help="The corrected masks in the study's truth/.")
    ] = TruthKind.truth,
    pred: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Evaluate the maps in this folder (NAME.png)."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Take the truth from this folder.")
    ] = None,
    patients: Annotated[
        str,
        typer.Option(
            metavar="PATTERN",
            help="Regular expression on file names; its first group is the patient. Unless given: "
            "as study.toml says, else each image its own.",
        ),
    ] = "",
    tolerance_px: Annotated[
        float, typer.Option(help="Distance within which boundaries agree, px.")
    ] = 4.0,
    tolerance_um: Annotated[
        float | None, typer.Option(help="The same in um, for images whose scale is known.")
    ] = None,
    worst: Annotated[
        int, typer.Option(min=0, help="Draw this many images, those with the lowest Dice.")
    ] = 6,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder to write to; the study's report/ unless given."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes. Same result for any.")] = 1,
    as_json: Json = False,
) -> None:
    """Say how well label maps agree with their truth: areas, boundaries, adipocytes, cellularity.

    In a study, the rough annotations (what was sent to CVAT, where that is known) are compared
    with the corrected masks in truth/. With --pred and --truth, the maps in two folders are:
    grey PNG of codes 0 bg, 1 fat, 2 cell, 3 bone, 255 open, and adipocytes one by one in
    DIR/instances/NAME.png (16 bits), where that is there.
    """
    from annotator.evaluation.counts import Tolerance
    from annotator.evaluation.evaluate import EvaluateOptions

    tolerance = Tolerance(tolerance_px, tolerance_um)
    options = EvaluateOptions(pred, truth, patients, tolerance, workers)
    if workers > 1:
        from annotator.core.workers import warm_up

        warm_up(["annotator.evaluation.counts"])
    found, folder = _evaluate(study, options, out, worst)
    _show(found, folder, worst, as_json)
    if found.faults:
        raise typer.Exit(INCOMPLETE)


def _evaluate(
    folder: Path | None, options: EvaluateOptions, out: Path | None, worst: int
) -> tuple[MapEvaluation, Path | None]:
    """The evaluation, and the folder that it was written to, if any."""
    from annotator.settings.study import Settings
    from annotator.study.study import Study

    if folder is None:
        return _compare(None, options, out, worst, Settings())
    with Study.open(folder) as study:
        return _compare(study, options, out or _report(folder, options), worst, study.settings)


def _report(study: Path, options: EvaluateOptions) -> Path | None:
    """The study's report/, where its own maps are compared and it can be written to."""
    from annotator.core.files import can_write

    own = options.predicted is None and options.truth is None
    return study / "report" if own and can_write(study) else None


def _compare(
    study: Study | None, options: EvaluateOptions, out: Path | None, worst: int, settings: Settings
) -> tuple[MapEvaluation, Path | None]:
    from annotator.cli.progress import ProgressView
    from annotator.evaluation.evaluate import evaluate_pairs, find_pairs
    from annotator.evaluation.files import save_evaluation

    pairs = find_pairs(study, options)
    with ProgressView() as view:
        found = evaluate_pairs(pairs, options, view.step)
    if out is not None:
        found = save_evaluation(found, pairs.found, out, settings, worst)
    return found, out


def _show(found: MapEvaluation, folder: Path | None, worst: int, as_json: bool) -> None:
    if as_json:
        print_json(found.to_dict() | {"folder": None if folder is None else str(folder)})
        return
    from annotator.cli.print_evaluate import print_evaluation

    print_evaluation(found, folder, worst)
