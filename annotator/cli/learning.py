"""The commands of the learning loop: seed, labels, retrain, next, doubts, rounds, simulate.

:func:`register` adds them to the command line of :mod:`annotator.cli.main`. Heavy imports stand
inside the commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from annotator.cli.help import CommandGroup
from annotator.cli.options import Author, Json, StudyFolder, examples, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from annotator.core.progress import OnStep


class LabelsFrom(StrEnum):
    """Labels that a round learns from."""

    labels = "labels"
    truth = "truth"
    both = "both"


labels = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    help="Labels that people gave to single objects: import, export, move to other objects.",
)


def register(app: typer.Typer) -> None:
    """Add the commands of the loop, in the order in which they are used."""
    for name, (command, foot) in _COMMANDS.items():
        app.command(name, epilog=examples(*foot))(command)
        if name == "seed":
            app.add_typer(labels, name="labels")


@contextmanager
def _progress() -> Iterator[OnStep]:
    """A bar on a terminal; plain lines elsewhere."""
    from annotator.cli.progress import ProgressView

    with ProgressView() as view:
        yield view.step


def _person(author: str | None) -> str:
    from active_learning.rounds.label_csv import system_user

    return author or system_user()


def seed(
    study: StudyFolder,
    images: Annotated[
        int | None,
        typer.Option(min=1, help="Show the objects of the first N images; 51 unless given."),
    ] = None,
    clusters: Annotated[str, typer.Option(hidden=True)] = "auto",
    apply: Annotated[
        bool, typer.Option("--apply", help="Store the classes in seed/clusters.csv as labels.")
    ] = False,
    author: Author = None,
    changes: Annotated[
        bool,
        typer.Option(
            help="With --apply: say what a round that learns from the labels would change in the "
            "drafts; up to a minute."
        ),
    ] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Show them anew; seed/clusters.csv is written over.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the groups of the first classes for a person to name; then store the names as labels."""
    from active_learning.rounds.seed import IMAGES, SeedOptions, SeedReport
    from active_learning.rounds.seed import apply as apply_clusters
    from active_learning.rounds.seed import seed as seed_study
    from annotator.cli.print_seed import print_applied, print_clusters
    from annotator.pipeline.draft_changes import draft_changes
    from annotator.study.study import Study

    _refuse_number(clusters)
    changed = None
    options = SeedOptions(images or IMAGES, force)
    with Study.open(study) as opened, _progress() as tell:
        if apply:
            report = apply_clusters(opened, _person(author), tell)
            if changes and not isinstance(report, SeedReport):
                changed = draft_changes(opened, tell)
        else:
            report = seed_study(opened, options, tell)
    if as_json:
        more = {} if changed is None else {"changes": changed.to_dict()}
        print_json(asdict(report) | {"folder": str(study / "seed")} | more)
    elif isinstance(report, SeedReport):
        print_clusters(report, study)
    else:
        print_applied(report, changed, study)


def _refuse_number(clusters: str) -> None:
    """Say where the number is set now: earlier versions took it as an option."""
    if clusters != "auto":
        raise typer.BadParameter(
            "the clusters are the groups of the first classes: set groups_min and groups_max "
            f"under [seed] in study.toml to {clusters}, or write a number under split in "
            "seed/clusters.csv",
            param_hint="--clusters",
        )


@labels.command(
    "import",
    epilog=examples(
        "trephine labels import marrow corrections.csv --author eva",
        "trephine labels import marrow marrow/report/doubts/doubts.csv",
    ),
)
def labels_import(
    study: StudyFolder,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV with image, object, class, author.")
    ],
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Import labels from a CSV file; where any row has a fault, none is imported."""
    from active_learning.rounds.label_csv import ImportOptions, import_labels
    from annotator.study.study import Study

    with Study.open(study) as opened:
        round_ = opened.rounds.next_index()
        fallback = _account()
        report = import_labels(opened, file, ImportOptions(author, fallback, round_))
    if as_json:
        print_json(asdict(report))
        return
    print(
        f"{report.added} labels of {report.images} image(s) added ({report.changed} changed an "
        f"earlier one), {report.already} were there; read as {report.encoding}."
    )
    print(f"Next: trephine retrain {study}")


def _account() -> str | None:
    from active_learning.rounds.label_csv import system_user
    from annotator.core.errors import UsageError

    try:
        return system_user()
    except UsageError:
        return None


@labels.command("export", epilog=examples("trephine labels export marrow labels.csv"))
def labels_export(
    study: StudyFolder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write the latest label of every author for every object as CSV, to be imported again."""
    from active_learning.rounds.label_csv import export_labels
    from annotator.study.study import Study

    with Study.open(study) as opened:
        report = export_labels(opened, file, force)
    if as_json:
        print_json(asdict(report))
    else:
        print(f"{report.rows} labels of {report.images} image(s): {file}")


@labels.command("move", epilog=examples("trephine labels move marrow"))
def labels_move(study: StudyFolder, as_json: Json = False) -> None:
    """Move labels whose objects are gone to the objects that are most like them now."""
    from active_learning.rounds.current_labels import move_labels
    from annotator.cli.print_learning import print_moves
    from annotator.study.study import Study

    with Study.open(study) as opened:
        report = move_labels(opened, opened.settings.labels)
    if as_json:
        print_json(asdict(report))
    else:
        print_moves(report)


def retrain(
    study: StudyFolder,
    labels_from: Annotated[
        LabelsFrom,
        typer.Option(
            "--from",
            help="labels of single objects and seed groups, truth (masks in truth/), or both.",
        ),
    ] = LabelsFrom.both,
    author: Author = None,
    published: Annotated[
        bool,
        typer.Option(help="Evaluate the paper's classifier on the same folds, for comparison."),
    ] = True,
    as_json: Json = False,
) -> None:
    """Train a classifier on the labels, evaluate it on unseen patients, and save the round."""
    from active_learning.rounds.retrain import RetrainOptions
    from active_learning.rounds.retrain import retrain as retrain_study
    from annotator.cli.print_learning import print_round
    from annotator.study.study import Study

    who = _person(author) if labels_from != LabelsFrom.labels else "nobody"
    options = RetrainOptions(labels_from.value, who, published)
    with Study.open(study) as opened, _progress() as tell:
        round_ = retrain_study(opened, options, tell)
    if as_json:
        print_json(asdict(round_))
    else:
        print_round(round_, study)


def next_(
    study: StudyFolder,
    count: Annotated[int, typer.Option(min=1, help="How many images.")] = 40,
    images: Annotated[
        list[str] | None,
        typer.Option(
            "--images",
            metavar="NAME",
            help="Ask for this image, too, though its frame was deleted in CVAT; can be given "
            "several times.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the images to label next, and why; some are always drawn at random.

    Images whose frames people deleted in CVAT are not asked for.
    """
    from active_learning.rounds.next_images import next_images
    from annotator.cli.print_learning import print_next
    from annotator.study.study import Study

    with Study.open(study) as opened:
        chosen = next_images(opened, count, images or ())
    if as_json:
        print_json([one.to_dict() for one in chosen])
    else:
        print_next(chosen, study)


def doubts(
    study: StudyFolder,
    count: Annotated[int, typer.Option(min=1, help="How many labels at most.")] = 100,
    as_json: Json = False,
) -> None:
    """List the labels that the model disputes, most suspicious first, with pictures."""
    from active_learning.rounds.label_errors import find_label_errors as find
    from annotator.cli.print_learning import print_doubts
    from annotator.study.study import Study

    with Study.open(study) as opened, _progress() as tell:
        report = find(opened, count, tell)
    if as_json:
        print_json(
            {
                "disputed": report.disputed,
                "labels": report.labels,
                "unjudged": report.unjudged,
                "table": str(report.table),
                "sheets": [str(path) for path in report.sheets],
                "rows": [row.to_dict() for row in report.rows],
            }
        )
    else:
        print_doubts(report, study)


def rounds(study: StudyFolder, as_json: Json = False) -> None:
    """List the rounds with their figures, and say whether more rounds are worth it."""
    from active_learning.rounds.ledger import ledger, save_curve
    from annotator.cli.print_learning import print_ledger
    from annotator.core.files import can_write
    from annotator.study.study import Study

    with Study.open(study) as opened:
        found = ledger(opened)
        curve = save_curve(opened, found) if can_write(study) else None
    if as_json:
        print_json(found.to_dict() | {"curve": None if curve is None else str(curve)})
    else:
        print_ledger(found, curve)


def simulate(
    study: StudyFolder,
    truth: Annotated[
        Path, typer.Option(metavar="DIR", help="Masks of codes 0-3 (255: open), NAME.png.")
    ],
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds of labelling; unless given, as in study.toml.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Images in a round; unless given, as in study.toml.")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Repetitions, averaged; unless given, as in study.toml."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate the rounds with known masks, beside images drawn at random; stores no label."""
    from dataclasses import replace

    from active_learning.rounds.simulate import simulate_study
    from annotator.cli.print_learning import print_simulation
    from annotator.study.study import Study

    given: dict[str, Any] = {"rounds": rounds, "batch": batch, "seeds": seeds}
    with Study.open(study) as opened, _progress() as tell:
        settings = replace(
            opened.settings.simulate, **{k: v for k, v in given.items() if v is not None}
        )
        report = simulate_study(opened, truth, settings, tell)
    if as_json:
        print_json(report.to_dict() | {"folder": str(report.folder)})
    else:
        print_simulation(report)


_COMMANDS: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "seed": (
        seed,
        (
            "trephine seed marrow",
            "trephine seed marrow --images 20",
            "trephine seed marrow --apply --author eva",
        ),
    ),
    "retrain": (retrain, ("trephine retrain marrow", "trephine retrain marrow --from truth")),
    "next": (
        next_,
        (
            "trephine next marrow",
            "trephine next marrow --count 10 --json",
            "trephine next marrow --images field_012",
        ),
    ),
    "doubts": (doubts, ("trephine doubts marrow --count 50",)),
    "rounds": (rounds, ("trephine rounds marrow", "trephine rounds marrow --json")),
    "simulate": (simulate, ("trephine simulate marrow --truth masks/ --rounds 6",)),
}
