"""The commands about the images of a study: images list, exclude, remove, restore, relink.

:func:`register` adds them to the command line of :mod:`annotator.cli.main`. Heavy imports stand
inside the commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annotator.cli.help import CommandGroup
from annotator.cli.options import INCOMPLETE, Author, Json, StudyFolder, examples, print_json

Names = Annotated[
    list[str],
    typer.Argument(metavar="NAME...", help="Names in the study, or of the files."),
]
Why = Annotated[str, typer.Option("--why", help="The reason; it is kept with the decision.")]

images = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    help="The images of a study: list them, leave some out, find their files again.",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(images, name="images")


@images.command(
    "list", epilog=examples("trephine images list marrow", "trephine images list marrow --check")
)
def list_command(
    study: StudyFolder,
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare the pixels of every file with those annotated."),
    ] = False,
    as_json: Json = False,
) -> None:
    """List all images: which are left out and why, and whether their files are there."""
    from annotator.cli.print_images import print_images
    from annotator.cli.progress import ProgressView
    from annotator.pipeline.study_images import list_images
    from annotator.study.study import Study

    with Study.open(study) as opened, ProgressView() as view:
        listed = list_images(opened, check, view.step)
    if as_json:
        print_json([one.to_dict() for one in listed])
    else:
        print_images(listed, study)


@images.command(epilog=examples("trephine images exclude marrow field_012 --why 'out of focus'"))
def exclude(study: StudyFolder, names: Names, why: Why, author: Author = None) -> None:
    """Leave images out of training, tables, exports and choices; annotate goes on with them.

    Nothing is deleted; restore brings them back.
    """
    _decide(study, names, "excluded", why, author)


@images.command(epilog=examples("trephine images remove marrow field_012 --why 'of another study'"))
def remove(study: StudyFolder, names: Names, why: Why, author: Author = None) -> None:
    """Leave images out of everything; annotate passes them by, too.

    Nothing is deleted, neither the pictures nor what is in the study; restore brings them back.
    """
    _decide(study, names, "removed", why, author)


@images.command(epilog=examples("trephine images restore marrow field_012 --why 'scanned again'"))
def restore(study: StudyFolder, names: Names, why: Why, author: Author = None) -> None:
    """Take images back that were excluded or removed."""
    _decide(study, names, "restored", why, author)


@images.command(epilog=examples("trephine images relink marrow /mnt/new-disk/slides"))
def relink(
    study: StudyFolder,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the pictures lie now.")],
    as_json: Json = False,
) -> None:
    """Find the pictures of a study in another folder, by their pixels; names may differ."""
    from dataclasses import asdict

    from annotator.cli.print_images import print_relinked
    from annotator.cli.progress import ProgressView
    from annotator.core.errors import UsageError
    from annotator.pipeline.study_images import relink as relink_study
    from annotator.study.study import Study

    if not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder with pictures, got none; check the name")
    with Study.open(study) as opened, ProgressView() as view:
        found = relink_study(opened, folder, view.step)
    if as_json:
        print_json(asdict(found))
    else:
        print_relinked(found)
    if found.missing:
        raise typer.Exit(INCOMPLETE)


def _decide(study: Path, names: list[str], decision: str, why: str, author: str | None) -> None:
    from active_learning.rounds.label_csv import system_user
    from annotator.pipeline.study_images import decide
    from annotator.study.study import Study

    with Study.open(study) as opened:
        done = decide(opened, names, decision, why, author or system_user())
    print(f"{decision}: {', '.join(done)}")
