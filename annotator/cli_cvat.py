"""The commands around CVAT: pull.

:func:`register` adds them to the command line of :mod:`annotator.cli`. Heavy imports stand
inside the commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annotator.cli_parts import Json, StudyFolder, examples, print_json


def register(app: typer.Typer) -> None:
    """Add the commands around CVAT."""
    foot = examples(
        "trephine pull marrow --from task_84_cvat_for_images_1.1.zip",
        "trephine pull marrow --from coco.zip --json",
    )
    app.command("pull", epilog=foot)(pull)


def pull(
    study: StudyFolder,
    file: Annotated[
        Path,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A zip exported from CVAT: CVAT for images 1.1 (best), COCO 1.0, "
            "Segmentation mask 1.1 or PASCAL VOC 1.1.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Take corrected masks from CVAT into truth/, and say what was corrected."""
    from annotator.cli_cvat_report import print_pull
    from annotator.pulling import pull_file
    from annotator.store import Study

    with Study.open(study) as opened:
        report = pull_file(opened, file)
    if as_json:
        print_json(report.to_dict() | {"report": str(report.path)})
    else:
        print_pull(report, study)
