"""The commands about whole slides: what a file holds, and fields cut from it.

:func:`register` adds them to the command line of :mod:`annotator.cli.main`. Heavy imports stand
inside the commands.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from annotator.cli.help import CommandGroup
from annotator.cli.options import INCOMPLETE, Json, StudyFolder, examples, print_json

slides = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    help="Whole slides: what a file holds, and fields cut from it.",
)


class FieldsBy(StrEnum):
    """How fields are chosen."""

    grid = "grid"
    random = "random"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(slides, name="slides")


@slides.command(
    epilog=examples("trephine slides info case.svs", "trephine slides info *.ndpi --json")
)
def info(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of slides.")],
    slide_um_per_px: Annotated[
        float | None,
        typer.Option(min=0.01, max=100, help="Microns per pixel, where a file does not say it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what slides hold: levels, pixel size, objective, how much of it is tissue.

    Nothing is written. A file that cannot be read is named, and the others go on.
    """
    from annotator.cli.print_slides import print_descriptions
    from annotator.cli.progress import ProgressView
    from annotator.pipeline.slide_description import describe_slides

    with ProgressView() as view:
        described, faults = describe_slides(files, slide_um_per_px, view.step)
    if as_json:
        document: dict[str, Any] = {
            "slides": [one.to_dict() for one in described],
            "faults": [{"file": str(file), "reason": why} for file, why in faults],
        }
        print_json(document)
    else:
        print_descriptions(described, faults)
    if faults:
        raise typer.Exit(INCOMPLETE)


@slides.command(
    epilog=examples(
        "trephine slides fields marrow case.svs --count 20",
        "trephine slides fields marrow case.svs --by random --seed 7 --um-per-px 0.25",
        "trephine slides fields marrow case.svs --dry-run",
    )
)
def fields(
    study: StudyFolder,
    slide: Annotated[Path, typer.Argument(metavar="SLIDE", help="File of the slide.")],
    count: Annotated[int, typer.Option(min=1, help="Fields to cut.")] = 20,
    by: Annotated[
        FieldsBy, typer.Option(help="grid: evenly over the tissue; random: by chance.")
    ] = FieldsBy.grid,
    size: Annotated[int, typer.Option(min=64, help="Side of a field, px.")] = 1200,
    um_per_px: Annotated[
        float | None,
        typer.Option(min=0.01, max=100, help="Of the fields; unless given the study's, or 0.5."),
    ] = None,
    slide_um_per_px: Annotated[
        float | None,
        typer.Option(min=0.01, max=100, help="Of the slide, where its file does not say it."),
    ] = None,
    tissue: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of a field that must be tissue.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(help="Of what is left to chance.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that annotate.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which fields; cut and annotate none.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Cut fields from the tissue of a slide and annotate them: images like any other.

    No field lies over another, nor over one that the study has. Push, pull, review, retrain and
    all else take them; the slide is their patient, unless [patients] names another. No picture is
    written: they are read from the slide, which must stay where it is.
    """
    from annotator.cli.print_annotate import print_result, result_json
    from annotator.cli.print_slides import print_fields
    from annotator.cli.progress import ProgressView
    from annotator.pipeline.annotate import annotate
    from annotator.pipeline.results import AnnotateOptions
    from annotator.pipeline.slide_fields import FieldRequest, choose_fields
    from annotator.study.study import Study

    with Study.open(study) as opened:
        scale = um_per_px or opened.settings.um_per_px or 0.5
        request = FieldRequest(count, by.value, size, scale, slide_um_per_px, tissue, seed)
        cut = choose_fields(opened, slide, request)
        result = None
        if cut.places and not dry_run:
            places = [str(place.path) for place in cut.places]
            with ProgressView() as view:
                result = annotate(opened, places, AnnotateOptions(workers=workers), view)
    if as_json:
        annotated = None if result is None else result_json(result, study=str(study))
        print_json(cut.to_dict() | {"dry_run": dry_run, "annotated": annotated})
    else:
        print_fields(cut, request, dry_run)
        if result is not None:
            print_result(result, study)
    if result is not None and result.failures:
        raise typer.Exit(INCOMPLETE)
