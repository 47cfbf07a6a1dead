"""The command ``trephine``: parse, call, print, and turn errors into exit codes.

Exit codes, all decided in :func:`run`:

====  ==================================================================
0     all done
1     a fault of ours; the traceback is in a file that the message names
2     usage: the command, the settings or the study is not as it must be
3     some images failed, or something needed is missing or damaged
130   stopped with Ctrl-C, or by the loss of a cluster; the same command goes on there
====  ==================================================================

Imports that take time stand inside the functions, so that ``trephine --help`` is quick.
"""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from annotator.cli.cvat import register as register_cvat
from annotator.cli.cvat_login import register as register_cvat_login
from annotator.cli.evaluate import register as register_evaluate
from annotator.cli.help import AllCommands, CommandGroup
from annotator.cli.images import register as register_images
from annotator.cli.learning import register
from annotator.cli.network import register as register_network
from annotator.cli.options import (
    DONE,
    INCOMPLETE,
    OURS,
    STOPPED,
    USAGE,
    Json,
    StudyFolder,
    examples,
    print_json,
)
from annotator.cli.report import register as register_report
from annotator.cli.review import register as register_review
from annotator.cli.slides import register as register_slides
from annotator.cli.stats import register as register_stats
from annotator.core.errors import (
    ClusterError,
    ClusterLost,
    CvatUnreachable,
    StorageError,
    TrephineError,
    WeightsError,
)

if TYPE_CHECKING:
    from annotator.pipeline.results import AnnotateOptions, BatchResult

app = typer.Typer(
    name="trephine",
    no_args_is_help=True,
    add_completion=False,
    cls=AllCommands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Rough 4-class annotation of H&E bone-marrow fields, ready for an expert to correct.",
    epilog=examples("trephine init marrow", "trephine annotate marrow slides/"),
)
weights = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    help="Checkpoints of Segment Anything: list, fetch and verify them.",
)
app.add_typer(weights, name="weights")


class ProposalMaker(StrEnum):
    """Methods that cut an image into objects."""

    superpixel = "superpixel"
    sam = "sam"
    auto = "auto"


class PresetName(StrEnum):
    """Whole lines from image to classes."""

    trephine = "trephine"
    bambo = "bambo"


class EngineName(StrEnum):
    """Who does the work of a batch."""

    processes = "processes"
    dask = "dask"


class CheckpointName(StrEnum):
    """Checkpoints that ``trephine weights fetch`` downloads."""

    vit_b = "vit_b"
    vit_l = "vit_l"
    vit_h = "vit_h"


class ExportFormat(StrEnum):
    """Formats that ``trephine export`` writes."""

    voc = "voc"
    labelmap = "labelmap"
    coco = "coco"
    geojson = "geojson"


def main() -> None:
    """Run the command line of this process; the console script ``trephine``."""
    for stream in (sys.stdout, sys.stderr):
        # File names may hold what the terminal, or even UTF-8, cannot: never fail over printing.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Python looks for cycles each time that 700 objects were made. Importing makes a million that
    # stay, as do the answers of a server: looking seldom saves a tenth of a short command.
    gc.set_threshold(50_000, 20, 20)
    raise SystemExit(run(sys.argv[1:]))


def run(arguments: Sequence[str], commands: typer.Typer = app) -> int:
    """Run one command line and return its exit code; the only place that decides it.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name. ``--debug`` may stand anywhere.
    commands : typer.Typer
        Whose commands; tests bring their own.
    """
    debug = "--debug" in arguments
    try:
        commands([a for a in arguments if a != "--debug"], prog_name="trephine")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else OURS
        if code == STOPPED:
            _say("stopped; run the same command again to go on")
        return code
    except KeyboardInterrupt:
        _say("stopped; run the same command again to go on")
        return STOPPED
    except TrephineError as error:
        _show_traceback(debug)
        _say(f"trephine: {error}")
        if isinstance(error, ClusterLost):
            return STOPPED
        missing = isinstance(error, (ClusterError, CvatUnreachable, StorageError, WeightsError))
        return INCOMPLETE if missing else USAGE
    except Exception as error:  # noqa: BLE001  # the last place that can name it
        _show_traceback(debug)
        _say(f"trephine: unexpected {type(error).__name__}: {error}\n  traceback: {_log()}")
        return OURS
    return DONE


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _show_traceback(debug: bool) -> None:
    import traceback

    if debug:
        traceback.print_exc()


def _log() -> str:
    """Write the traceback in hand to a file and return where it is."""
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="trephine-", suffix=".log", delete=False, encoding="utf-8"
        ) as file:
            file.write(traceback.format_exc())
    except OSError:
        return "could not be written; run again with --debug to see it"
    return file.name


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"trephine {version('trephine')}")
        raise typer.Exit()


@app.callback()
def _all(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")
    ] = False,
) -> None:
    pass


@app.command(epilog=examples("trephine init marrow", "trephine init marrow --um-per-px 0.5"))
def init(
    study: StudyFolder,
    um_per_px: Annotated[
        float | None,
        typer.Option(min=0.01, max=100, help="Microns per pixel, for files that do not state it."),
    ] = None,
) -> None:
    """Make a study: study.toml with every setting explained, and study.db."""
    from annotator.settings.study import new_study_settings
    from annotator.study.study import Study

    Study.create(study, new_study_settings(um_per_px)).close()
    print(f"Made {study}. Every setting stands explained in {study / 'study.toml'}.")
    print(
        "Several images of one patient? Name the patients under [patients] there, so that models "
        "are judged on patients that they have not seen."
    )
    print(f"Next: trephine annotate {study} IMAGES...")


@app.command(
    epilog=examples(
        "trephine annotate marrow slides/ --workers 4",
        "trephine annotate marrow 'slides/*.tif' --limit 10 --json",
        "trephine annotate marrow slides/ --um-per-px 0.5",
        "trephine annotate marrow slides/ --proposals auto",
        "trephine annotate marrow slides/ --proposals sam --checkpoint vit_b",
        "trephine annotate marrow slides/ --engine dask --scheduler tcp://HOST:8786",
    )
)
def annotate(
    study: StudyFolder,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="Files, folders (recursive), globs.")
    ],
    proposals: Annotated[
        ProposalMaker | None,
        typer.Option(
            help="Method that cuts images into objects; superpixel unless given. auto: both, "
            "where a SAM checkpoint is installed."
        ),
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="SAM weights: vit_b, vit_l, vit_h or a file.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="For SAM: auto (unless given), cpu, cuda, mps.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="Segmentation network for this study from now on: starter, study, none, or a "
            "file NAME.safetensors; as in study.toml unless given."
        ),
    ] = None,
    preset: Annotated[
        PresetName | None,
        typer.Option(
            help="All settings of one line, from now on: trephine, or bambo as it was published, "
            "without a network."
        ),
    ] = None,
    um_per_px: Annotated[
        float | None,
        typer.Option(
            help="Microns per pixel of these images, where their file does not state it; the "
            "study keeps it with each.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; 1 unless given. Same result for any.")
    ] = None,
    engine: Annotated[
        EngineName | None,
        typer.Option(
            help="Where the work is done: processes of this machine (unless given), or the "
            "workers of a Dask cluster. Same result."
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Dask scheduler: tcp://HOST:8786, tls://HOST:8786, or its scheduler file "
            "NAME.json; without it, dask starts --workers processes on this machine."
        ),
    ] = None,
    send_pixels: Annotated[
        bool,
        typer.Option(
            "--send-pixels", help="Send images to Dask workers that do not see them on a disk."
        ),
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N images.")] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Annotate done images again; edited files are set aside."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Annotate images roughly. What is done already is skipped, so a run can be repeated."""
    from annotator.pipeline.results import AnnotateOptions

    given: dict[str, Any] = {
        "proposals": proposals and proposals.value,
        "checkpoint": checkpoint,
        "device": device,
        "network": network,
        "preset": preset and preset.value,
        "um_per_px": um_per_px,
        "workers": workers,
        "engine": engine and engine.value,
        "scheduler": scheduler,
        "send_pixels": send_pixels,
        "limit": limit,
        "force": force,
    }
    options = AnnotateOptions(**{k: v for k, v in given.items() if v is not None})
    result = _annotate(study, images, options, as_json)
    if result.failures:
        raise typer.Exit(INCOMPLETE)


def _annotate(
    folder: Path, images: Sequence[str], options: AnnotateOptions, as_json: bool
) -> BatchResult:
    # First of all: the workers' imports then go on beside our own.
    from annotator.pipeline.engines.start import start_imports

    start_imports(options)
    from annotator.cli.print_annotate import print_result, result_json
    from annotator.cli.progress import ProgressView
    from annotator.core.hashing import fingerprint
    from annotator.pipeline.annotate import annotate as annotate_batch
    from annotator.study.study import Study

    with Study.open(folder) as study:
        with ProgressView() as view:
            result = annotate_batch(study, images, options, view)
        settings, network = fingerprint(study.settings), study.settings.network.use
    if as_json:
        extra = {
            "study": str(folder),
            "settings": settings,
            "proposals": options.proposals,
            "network": network,
        }
        print_json(result_json(result, **extra))
    else:
        print_result(result, folder)
    return result


@app.command(
    epilog=examples(
        "trephine export marrow --format voc marrow-voc.zip",
        "trephine export marrow --format geojson qupath/",
    )
)
def export(
    study: StudyFolder,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File or folder to write.")],
    form: Annotated[ExportFormat, typer.Option("--format", help="Format to write.")],
    images: Annotated[
        bool, typer.Option("--images", help="Include the original pictures (voc).")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    seed: Annotated[
        int, typer.Option(help="Random seed of the split into train, val and test (labelmap).")
    ] = 0,
    split: Annotated[
        str, typer.Option(help="Percent of the patients: train/val/test (labelmap).")
    ] = "70/15/15",
) -> None:
    """Write the annotations for other programs: CVAT, QuPath, training code."""
    from annotator.cli.print_annotate import print_export
    from annotator.study.study import Study
    from export.dataset.export import export_study
    from export.dataset.split import Split, parse_shares
    from export.shapes import ExportOptions

    with Study.open(study) as opened:
        options = ExportOptions(images, force)
        shares = Split(seed, parse_shares(split))
        report = export_study(opened, form.value, out, options, shares)
    print_export(report)
    if report.incomplete:
        raise typer.Exit(INCOMPLETE)


@weights.command("list", epilog=examples("trephine weights list", "trephine weights list --json"))
def weights_list(as_json: Json = False) -> None:
    """List the checkpoints, and which of them are on this machine."""
    from annotator.cli.print_annotate import print_weights, weights_json
    from annotator.segmentation.sam.weights import list_weights

    rows = list_weights()
    if as_json:
        print_json(weights_json(rows))
    else:
        print_weights(rows)


@weights.command("fetch", epilog=examples("trephine weights fetch vit_b"))
def weights_fetch(
    name: Annotated[CheckpointName, typer.Argument(metavar="NAME", help="vit_b, vit_l or vit_h.")],
) -> None:
    """Download a checkpoint, verify it and move it into place; goes on where it stopped."""
    from annotator.cli.progress import DownloadView
    from annotator.segmentation.sam.weights import fetch

    with DownloadView(name.value) as view:
        found = fetch(name.value, view)
    print(f"{found.name}, verified: {found.path}")


@weights.command("verify", epilog=examples("trephine weights verify vit_b"))
def weights_verify(
    checkpoint: Annotated[
        str, typer.Argument(metavar="NAME", help="vit_b, vit_l, vit_h or a file.")
    ],
) -> None:
    """Hash a checkpoint and compare it with the published sha256."""
    from annotator.segmentation.sam.weights import verify

    found = verify(checkpoint)
    what = "verified" if found.kind == "official" else "not one of the published checkpoints"
    print(f"{found.name}, {what}: {found.path}\nsha256 {found.sha256}")


@app.command(epilog=examples("trephine doctor", "trephine doctor marrow --json"))
def doctor(
    study: Annotated[
        Path | None, typer.Argument(metavar="[STUDY]", help="Also check this study.")
    ] = None,
    load_torch: Annotated[
        bool,
        typer.Option("--load-torch", help="Also load torch: finds a broken one, takes seconds."),
    ] = False,
    as_json: Json = False,
) -> None:
    """List what is installed, the device, the weights, and what to do."""
    from annotator.cli.print_annotate import print_checks
    from annotator.doctor import as_plain, examine

    checks = examine(study, load_torch)
    if as_json:
        print_json(as_plain(checks))
    else:
        print_checks(checks)
    if any(check.status == "missing" for check in checks):
        raise typer.Exit(INCOMPLETE)


@app.command(epilog=examples("trephine demo demo"))
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put everything.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    as_json: Json = False,
) -> None:
    """Annotate six drawn marrow fields and three real ones, and compare with their truth."""
    from annotator.cli.print_demo import demo_json, print_demo
    from annotator.cli.progress import ProgressView
    from annotator.demo import FIELDS, run_demo

    with ProgressView() as view:
        made = run_demo(folder, FIELDS, workers, view)
    if as_json:
        print_json(demo_json(made))
    else:
        print_demo(made)
    if made.result.failures:
        raise typer.Exit(INCOMPLETE)


register(app)
register_images(app)
register_network(app)
register_cvat(app)
register_cvat_login(app)
register_review(app)
register_slides(app)
register_stats(app)
register_evaluate(app)
register_report(app)
