"""The command ``trephine push``.

:func:`register` adds it to the command line of :mod:`annotator.cli.main`. Heavy imports stand
inside the command.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.cli.options import INCOMPLETE, Json, StudyFolder, examples, print_json

if TYPE_CHECKING:
    from annotator.study.study import Study
    from export.cvat.client.server import CvatServer
    from export.cvat.push_report import PushReport, PushRequest


class Via(StrEnum):
    """How annotations travel."""

    shapes = "shapes"
    voc = "voc"


def register(app: typer.Typer) -> None:
    """Add the command."""
    foot = examples(
        "trephine push marrow --dry-run",
        "trephine push marrow --count 40 --assignee eva",
        "trephine push marrow --images field_012 --images field_031",
    )
    app.command("push", epilog=foot)(push)


def push(
    study: StudyFolder,
    count: Annotated[
        int | None,
        typer.Option(
            min=1, help="Images at most, 40 unless given: what next asked for, then what is next."
        ),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option("--images", metavar="NAME", help="This image; can be given several times."),
    ] = None,
    via: Annotated[
        Via, typer.Option(help="shapes; or voc: one PASCAL VOC archive a task, 255 instances.")
    ] = Via.shapes,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Images a task; else what study.toml says."),
    ] = None,
    assignee: Annotated[
        str | None, typer.Option(metavar="NAME", help="User of CVAT who is to do the jobs.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent; nothing is.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send rough annotations to a CVAT server, for an expert to correct.

    Can be run again at any time: it finishes what was begun, brings up to date what nobody
    has touched, and leaves the rest.
    """
    from annotator.study.study import Study
    from export.cvat.push_report import COUNT, PushRequest

    if count is not None and images:
        raise typer.BadParameter("give --count or --images, not both")
    request = PushRequest(
        count or COUNT, tuple(images or ()), via.value, batch_size, assignee, dry_run
    )
    with Study.open(study) as opened:
        report = _run(opened, request)
    _show(report, study, as_json)
    if not report.is_complete:
        raise typer.Exit(INCOMPLETE)


def _run(study: Study, request: PushRequest) -> PushReport:
    from annotator.cli.progress import ProgressView
    from export.cvat.push import plan_push, push_images

    if request.dry_run:
        with ProgressView() as view:
            return plan_push(study, request, view)
    server = _server(study)
    with ProgressView() as view:
        return push_images(study, request, server, view)


def _server(study: Study) -> CvatServer:
    """Log in before the bar is there: a person may be asked for a password."""
    from export.cvat.client.credentials import connect

    return connect(study.settings.cvat)


def _show(report: PushReport, study: Path, as_json: bool) -> None:
    if as_json:
        print_json(report.to_dict())
    else:
        from annotator.cli_push_report import print_push

        print_push(report, study)
    if report.stopped:
        print(f"trephine: {report.stopped}", file=sys.stderr)
