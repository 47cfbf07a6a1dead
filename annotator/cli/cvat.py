"""The commands that speak with CVAT: push, pull, status.

:func:`register` adds them to the command line of :mod:`annotator.cli.main`. Heavy imports stand
inside the commands.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.cli.options import INCOMPLETE, Json, StudyFolder, examples, print_json
from annotator.core.errors import (
    CvatError,
    CvatForbidden,
    CvatMissing,
    CvatUnreachable,
    TrephineError,
)

if TYPE_CHECKING:
    from annotator.settings.cvat import CvatSettings
    from annotator.study.study import Study
    from export.cvat.client.server import CvatServer
    from export.cvat.pull_report import PullReport
    from export.cvat.push_report import PushReport, PushRequest
    from export.cvat.status import CvatStatus

    Connecting = Callable[[CvatSettings], CvatServer]


class Only(StrEnum):
    """Jobs that are pulled."""

    completed = "completed"
    all = "all"


def register(
    app: typer.Typer,
    connect: Connecting | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Add the commands; tests bring their own server, and their own way to wait."""
    commands = Commands(connect or _connect, sleep)
    pull_foot = examples(
        "trephine pull marrow",
        "trephine pull marrow --watch 15",
        "trephine pull marrow --from task_84_cvat_for_images_1.1.zip",
        "trephine pull marrow --from labelme/ --map adipocyte=fat,vessel=ignore",
        "trephine pull marrow --from masks/ --map '0=bg,1=bone,#ff0000=fat,255=ignore'",
    )
    app.command("pull", epilog=pull_foot)(commands.pull)
    push_foot = examples(
        "trephine push marrow --dry-run",
        "trephine push marrow --count 40 --assignee eva",
        "trephine push marrow --images field_012 --images field_031",
    )
    app.command("push", epilog=push_foot)(push)
    status_foot = examples("trephine status marrow", "trephine status marrow --json")
    app.command("status", epilog=status_foot)(commands.status)


def _connect(settings: CvatSettings) -> CvatServer:
    from export.cvat.client.credentials import connect

    return connect(settings)


class Commands:
    """The commands, with the function that connects them to a server."""

    def __init__(self, connect: Connecting, sleep: Callable[[float], None]) -> None:
        self._connect = connect
        self._sleep = sleep

    def pull(
        self,
        study: StudyFolder,
        file: Annotated[
            Path | None,
            typer.Option(
                "--from",
                metavar="PATH",
                help="Not from the server, but a zip exported from CVAT (CVAT for images 1.1 is "
                "best, COCO 1.0, Segmentation mask 1.1, PASCAL VOC 1.1) or from Label Studio "
                "(JSON is best, COCO), or a folder or zip of GeoJSON of QuPath, of LabelMe files "
                "or of PNG masks, named like the images.",
            ),
        ] = None,
        label_map: Annotated[
            list[str] | None,
            typer.Option(
                "--map",
                metavar="LABEL=CLASS,...",
                help="What labels, codes or colours in the file mean: bg, fat, cell, bone, "
                "ignore or exclude. For good: the line also in study.toml.",
            ),
        ] = None,
        only: Annotated[
            Only,
            typer.Option(help="Completed jobs; or all: also changes in unfinished ones."),
        ] = Only.completed,
        watch: Annotated[
            float | None,
            typer.Option(metavar="MINUTES", help="Pull again after so many minutes, until Ctrl-C."),
        ] = None,
        as_json: Json = False,
    ) -> None:
        """Take corrected masks from CVAT, or from files, into truth/, and say what was corrected.

        Only what was changed since the last pull is read. Earlier masks are kept.
        """
        from annotator.study.study import Study

        if file is not None and (watch is not None or only != Only.completed):
            raise typer.BadParameter("--from reads one file: give it without --only and --watch")
        if label_map and file is None:
            raise typer.BadParameter("--map is about the file of --from: give both")
        with Study.open(study) as opened:
            if watch is not None:
                self._watch(opened, only.value, watch, as_json)
                return
            if file is not None:
                report = _pull_file(opened, file, ",".join(label_map or ()))
            else:
                report = self._pull(opened, only.value)
        _show(report, study, as_json)
        if report.failed:
            raise typer.Exit(INCOMPLETE)

    def status(
        self,
        study: StudyFolder,
        shapes: Annotated[
            bool,
            typer.Option(
                "--shapes",
                help="Also read the shapes of jobs that nobody has begun, to find those that a "
                "program has changed (slower).",
            ),
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Say how far the study is, and list its tasks in CVAT: jobs, and what is to be pulled.

        Where the server cannot be reached, it lists what the study knows, with exit code 3. A
        login that may not see the project is an error.
        """
        from annotator.study.overview import overview
        from annotator.study.study import Study
        from export.cvat.status import UNSEEN

        with Study.open(study) as opened:
            held = overview(opened)
            found = self._status(opened, shapes)
        if as_json:
            print_json(found.to_dict() | {"study": held.to_dict()})
        else:
            from annotator.cli.print_cvat import print_overview, print_status

            print_overview(held, study)
            print_status(found, study)
        if found.offline or found.count(UNSEEN):
            raise typer.Exit(INCOMPLETE)

    def _status(self, study: Study, shapes: bool) -> CvatStatus:
        from annotator.cli.progress import ProgressView
        from export.cvat.status import known_status, server_status

        if study.cvat.binding() is None:
            return known_status(study)
        try:
            server = self._server(study)
            with ProgressView() as view:
                return server_status(study, server, shapes, view.step)
        except (CvatForbidden, CvatMissing):
            # The server was reached: what the study knows would pass for what is there.
            raise
        except CvatError as error:
            return known_status(study, str(error))

    def _server(self, study: Study) -> CvatServer:
        """Log in, before a bar is shown: a person may be asked for a password.

        Where neither the study's settings nor the environment name a server, it is the one to
        which the study was pushed.
        """
        from export.cvat.pull_server import must_be_pushed

        settings, binding = study.settings.cvat, must_be_pushed(study)
        if not settings.url and not os.environ.get("CVAT_URL"):
            settings = replace(settings, url=binding.url)
        return self._connect(settings)

    def _pull(self, study: Study, only: str, server: CvatServer | None = None) -> PullReport:
        from annotator.cli.progress import ProgressView
        from annotator.core.heap import keep_freed_memory
        from export.cvat.pull_server import pull_server

        keep_freed_memory()
        server = server or self._server(study)
        with ProgressView() as view:
            return pull_server(study, server, only, view.step)

    def _watch(self, study: Study, only: str, minutes: float, as_json: bool) -> None:
        """Pull again and again until Ctrl-C."""
        from export.cvat.watch import watch

        logged_in: list[CvatServer] = []

        def pull() -> PullReport:
            if not logged_in:
                logged_in.append(self._server(study))
            try:
                return self._pull(study, only, logged_in[0])
            except CvatError:
                # The next time it is logged in anew: a token may have run out.
                logged_in.clear()
                raise

        with suppress(KeyboardInterrupt):
            watch(pull, minutes, _Teller(study.path, as_json), self._sleep)
        print("stopped watching", file=sys.stderr)


class _Teller:
    """Prints the result of each pull of a watch."""

    def __init__(self, study: Path, as_json: bool) -> None:
        self._study = study
        self._as_json = as_json
        self._failures: list[str] = []

    def pulled(self, report: PullReport) -> None:
        """Print the whole report if anything changed, else one line."""
        failures = [f"{one.what}: {one.why}" for one in report.failed]
        again = failures == self._failures
        self._failures = failures
        if self._as_json:
            print(json.dumps(_document(report), ensure_ascii=False), flush=True)
        elif report.images or report.unknown or _new_deletions(report) or (failures and not again):
            _show(report, self._study, as_json=False)
        else:
            failing = f", {len(failures)} as before could not be used" if failures else ""
            self._say(f"nothing new in {len(report.jobs)} job(s){failing}")

    def failed(self, error: TrephineError) -> None:
        """Print why nothing could be pulled."""
        away = "the server is away: " if isinstance(error, CvatUnreachable) else ""
        self._say(f"{away}{error}; trying again at the next turn")

    def _say(self, text: str) -> None:
        now = datetime.now().astimezone().strftime("%H:%M")
        print(f"{now} {text}", file=sys.stderr, flush=True)


def _new_deletions(report: PullReport) -> bool:
    return any(one.is_new for one in report.deleted)


def _pull_file(study: Study, file: Path, label_map: str) -> PullReport:
    from annotator.core.label_names import label_names
    from export.cvat.pull_archive import pull_file

    return pull_file(study, file, label_names(label_map))


def _document(report: PullReport) -> dict[str, object]:
    return report.to_dict() | {"report": None if report.path is None else str(report.path)}


def _show(report: PullReport, study: Path, as_json: bool) -> None:
    if as_json:
        print_json(_document(report))
    else:
        from annotator.cli.print_cvat import print_pull

        print_pull(report, study)


class Via(StrEnum):
    """Ways to send annotations."""

    shapes = "shapes"
    voc = "voc"


def push(
    study: StudyFolder,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of images, 40 unless given: those of trephine next, then others.",
        ),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option("--images", metavar="NAME", help="An image; can be given several times."),
    ] = None,
    via: Annotated[
        Via,
        typer.Option(
            help="shapes; or voc: a PASCAL VOC archive for each task, at most 255 instances."
        ),
    ] = Via.shapes,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Images in a task; unless given, as in study.toml."),
    ] = None,
    assignee: Annotated[
        str | None, typer.Option(metavar="NAME", help="User of CVAT who is to do the jobs.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be sent, and send nothing.")
    ] = False,
    new_project: Annotated[
        bool,
        typer.Option(
            "--new-project",
            help="Leave the project that the study was sent to, with all work in it, and send "
            "everything to another.",
        ),
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
        count or COUNT, tuple(images or ()), via.value, batch_size, assignee, dry_run, new_project
    )
    with Study.open(study) as opened:
        report = _run(opened, request)
    _show_push(report, study, as_json)
    if not report.is_complete:
        raise typer.Exit(INCOMPLETE)


def _run(study: Study, request: PushRequest) -> PushReport:
    from annotator.cli.progress import ProgressView
    from annotator.core.heap import keep_freed_memory
    from export.cvat.push import plan_push, push_images

    keep_freed_memory()
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


def _show_push(report: PushReport, study: Path, as_json: bool) -> None:
    if as_json:
        print_json(report.to_dict())
    else:
        from annotator.cli.print_cvat import print_push

        print_push(report, study)
    if report.stopped:
        print(f"trephine: {report.stopped}", file=sys.stderr)
