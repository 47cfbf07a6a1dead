"""The commands about the images of a study: which are in it, which regions, and their files.

:func:`register` adds them to the command line of :mod:`annotator.cli.main`. Heavy imports stand
inside the commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.cli.help import CommandGroup
from annotator.cli.options import INCOMPLETE, Author, Json, StudyFolder, examples, print_json

if TYPE_CHECKING:
    from annotator.pipeline.excluded import RegionReport

Names = Annotated[
    list[str],
    typer.Argument(metavar="NAME...", help="Names in the study, or of the files."),
]
Why = Annotated[str, typer.Option("--why", help="The reason; it is kept with the decision.")]

images = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    help="The images of a study: list them, leave some or parts of them out, find their files.",
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


@images.command(
    "exclude-region",
    epilog=examples(
        "trephine images exclude-region marrow field_012 --from pen.geojson --why pen",
    ),
)
def exclude_region_command(
    study: StudyFolder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the image, or of its file.")],
    file: Annotated[
        Path,
        typer.Option(
            "--from",
            metavar="FILE",
            help="GeoJSON of QuPath: its polygons of the class exclude, or of no class.",
        ),
    ],
    why: Why,
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Leave parts of an image out: pen, folds, borders. They count nowhere.

    Their pixels have no class in drafts, corrected masks and exports, teach nothing, and are in
    no area and no cellularity. restore-region brings them back.
    """
    from active_learning.rounds.label_csv import system_user
    from annotator.pipeline.excluded import exclude_region
    from annotator.study.study import Study

    with Study.open(study) as opened:
        done = exclude_region(opened, name, file, why, author or system_user())
    _tell([done], "excluded", as_json)


@images.command(
    "restore-region",
    epilog=examples("trephine images restore-region marrow 3 4 --why 'no pen there'"),
)
def restore_region_command(
    study: StudyFolder,
    numbers: Annotated[
        list[int], typer.Argument(metavar="NUMBER...", help="Of regions: trephine images regions.")
    ],
    why: Why,
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Take excluded regions back; corrected masks have their classes there again."""
    from active_learning.rounds.label_csv import system_user
    from annotator.pipeline.excluded import restore_regions
    from annotator.study.study import Study

    with Study.open(study) as opened:
        done = restore_regions(opened, numbers, why, author or system_user())
    _tell(done, "restored", as_json)


@images.command(
    "regions",
    epilog=examples("trephine images regions marrow", "trephine images regions marrow field_012"),
)
def regions_command(
    study: StudyFolder,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Of these images alone.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the excluded regions with their numbers: how large, why, by whom."""
    from annotator.cli.print_images import print_regions
    from annotator.pipeline.excluded import list_regions
    from annotator.study.study import Study

    with Study.open(study) as opened:
        listed = list_regions(opened, names or ())
    if as_json:
        print_json([one.to_dict() for one in listed])
    else:
        print_regions(listed)


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


def _tell(done: Sequence[RegionReport], verb: str, as_json: bool) -> None:
    from annotator.cli.print_images import print_region_reports

    if as_json:
        print_json([one.to_dict() for one in done])
    else:
        print_region_reports(done, verb)


def _decide(study: Path, names: list[str], decision: str, why: str, author: str | None) -> None:
    from active_learning.rounds.label_csv import system_user
    from annotator.pipeline.study_images import decide
    from annotator.study.study import Study

    with Study.open(study) as opened:
        done = decide(opened, names, decision, why, author or system_user())
    print(f"{decision}: {', '.join(done)}")
