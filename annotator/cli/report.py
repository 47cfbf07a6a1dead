"""The command ``report``: the whole study as one page.

:func:`register` adds it to the command line of :mod:`annotator.cli.main`. Heavy imports stand
inside the command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from annotator.cli.options import INCOMPLETE, Json, StudyFolder, examples, print_json

if TYPE_CHECKING:
    from annotator.report.make import ReportResult


def register(app: typer.Typer) -> None:
    """Add the command."""
    foot = examples("trephine report marrow", "trephine report marrow --json")
    app.command("report", epilog=foot)(report)


def report(
    study: StudyFolder,
    workers: Annotated[int, typer.Option(min=1, help="Processes that measure.")] = 1,
    as_json: Json = False,
) -> None:
    """Write report/index.html: tables, figures, pictures and limits in one file.

    It needs no network and no scripts, and can be sent and printed. For what a study does
    not hold yet it says how to get it; a damaged part does not stop the others, and gives exit
    code 3.
    """
    from annotator.cli.progress import ProgressView
    from annotator.report.make import ReportOptions
    from annotator.report.make import report as write_report
    from annotator.study.study import Study

    with Study.open(study) as opened, ProgressView() as view:
        result = write_report(
            opened,
            ReportOptions(workers),
            view.step,
        )
    if as_json:
        print_json(result.to_dict())
    else:
        _print(result)
    if result.faults:
        raise typer.Exit(INCOMPLETE)


def _print(result: ReportResult) -> None:
    for text in result.faults:
        print(f"Damaged  {text}")
    for text in result.missing:
        print(f"Missing  {text}")
    print(f"Report   {result.path} ({result.bytes / 1e6:.1f} MB): open it in a browser")
