"""The commands of a study's own segmentation network: train, evaluate, predict, list, export.

:func:`register` adds them to the command line of :mod:`annotator.cli.main`. Heavy imports stand
inside the commands, and torch is loaded by training alone.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from annotator.cli.help import CommandGroup
from annotator.cli.options import INCOMPLETE, Json, StudyFolder, examples, print_json

if TYPE_CHECKING:
    from annotator.segmentation.network.network_file import SegmentationNetwork
    from annotator.study.study import Study

network = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    help="The segmentation network: train a study's own on its corrected masks, judge it, use it.",
)

NetworkFile = Annotated[
    Path | None,
    typer.Option(
        "--network",
        metavar="FILE",
        help="NAME.safetensors with NAME.json beside it; unless given, the study's own, else the "
        "starter.",
    ),
]


class TrainingPreset(StrEnum):
    """Recipes of training."""

    default = "default"
    bambo = "bambo"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(network, name="network")


@network.command(
    "train",
    epilog=examples(
        "trephine network train marrow",
        "trephine network train marrow --seeds 5",
        "trephine network train marrow --preset bambo --epochs 140",
        "trephine network train marrow --from marrow/networks/001.safetensors --device cuda",
    ),
)
def train(
    study: StudyFolder,
    preset: Annotated[
        TrainingPreset,
        typer.Option(help="default: as study.toml says; bambo: the recipe of the paper."),
    ] = TrainingPreset.default,
    seeds: Annotated[
        int,
        typer.Option(min=1, help="How often every patient is judged, with other random numbers."),
    ] = 1,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Epochs at most; unless given, as in study.toml or the preset."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Network to go on from; unless given, the starter (bambo: random weights).",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    as_json: Json = False,
) -> None:
    """Train the study's own network on its corrected masks, and judge it on unseen patients.

    It is kept in networks/ in any case, and used from now on only if it is better than the one
    in use on patients that neither had seen. Stopped with Ctrl-C, the same command goes on.
    """
    from annotator.cli.print_network import print_training
    from annotator.cli.progress import ProgressView
    from annotator.pipeline.network.train import NetworkTrainOptions, train_study_network
    from annotator.study.study import Study

    options = NetworkTrainOptions(preset.value, seeds, epochs, start, device)
    with Study.open(study) as opened, ProgressView() as view:
        entry = train_study_network(opened, options, view)
    if as_json:
        print_json(
            {"index": entry.index, "path": str(opened.networks.path(entry.index))} | {**entry.card}
        )
    else:
        print_training(entry, opened.networks.path(entry.index))


@network.command(
    "evaluate",
    epilog=examples("trephine network evaluate marrow", "trephine network evaluate marrow --json"),
)
def evaluate(
    study: StudyFolder,
    worst: Annotated[
        int, typer.Option(min=0, help="Draw this many images, those with the lowest Dice.")
    ] = 6,
    as_json: Json = False,
) -> None:
    """Say how good the starter and the study's own network are on patients that they never saw.

    Dice, IoU, boundary F1 and cellularity beside the corrected masks, in the form of the
    paper's Table 3, with its figures beside.
    """
    from annotator.cli.print_network import print_networks
    from annotator.cli.progress import ProgressView
    from annotator.pipeline.network.evaluate import evaluate_networks
    from annotator.study.study import Study

    with Study.open(study) as opened, ProgressView() as view:
        found = evaluate_networks(opened, worst, view.step)
    if as_json:
        print_json(found.to_dict())
    else:
        print_networks(found)
    if any(one.evaluation.faults for one in found.networks):
        raise typer.Exit(INCOMPLETE)


@network.command(
    "predict",
    epilog=examples(
        "trephine network predict marrow",
        "trephine network predict slides/ --out predicted/ --um-per-px 0.5",
        "trephine network predict slides/ --network marrow/networks/001.safetensors",
    ),
)
def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="STUDY|IMAGES...", help="A study, or files, folders, globs."),
    ],
    file: NetworkFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder to write to; report/network/predicted in a study, else predicted/.",
        ),
    ] = None,
    um_per_px: Annotated[
        float | None,
        typer.Option(min=0.01, max=100, help="Microns per pixel, for files that do not state it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write label maps, probabilities and cellularity as the network alone sees them.

    DIR/NAME.png: class codes 0 bg, 1 fat, 2 cell, 3 bone. DIR/probabilities/NAME.npz: planes
    bg, fat, cell, bone, line and depth, probability times 255. DIR/cellularity.csv: areas and
    cellularity. Annotations and corrected masks of a study are never touched.
    """
    from annotator.cli.print_network import print_predictions
    from annotator.cli.progress import ProgressView
    from annotator.pipeline.network.predict import predict_files, predict_study
    from annotator.study.study import Study, is_study

    with ProgressView() as view:
        if len(inputs) == 1 and is_study(Path(inputs[0])):
            with Study.open(Path(inputs[0])) as opened:
                found = predict_study(opened, _network(file, opened), out, view.step)
        else:
            used = _network(file, None)
            folder = out or Path("predicted")
            found = predict_files(inputs, used, folder, um_per_px, view.step)
    if as_json:
        print_json(found.to_dict())
    else:
        print_predictions(found)
    if found.faults:
        raise typer.Exit(INCOMPLETE)


@network.command(
    "list", epilog=examples("trephine network list marrow", "trephine network list marrow --json")
)
def list_(study: StudyFolder, as_json: Json = False) -> None:
    """List the study's own networks with their figures, and say which one is used."""
    from annotator.cli.print_network import listed_networks, print_list
    from annotator.study.study import Study

    with Study.open(study) as opened:
        rows = listed_networks(opened)
    if as_json:
        print_json(rows)
    else:
        print_list(rows, study)


@network.command(
    "export",
    epilog=examples(
        "trephine network export marrow marrow.onnx",
        "trephine network export marrow marrow.onnx --network marrow/networks/001.safetensors",
    ),
)
def export(
    study: StudyFolder,
    out: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="File to write.")],
    file: NetworkFile = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write the network as one ONNX file, for any program that runs such files.

    Input pixels: (N, H, W, 3) uint8 RGB, H and W multiples of 32. Output probabilities:
    (N, 6, H/2, W/2) float32: bg, fat, cell and bone, which add up to 1, the line between
    adipocytes that touch, and the depth in them. Output scale: (N, 2, H/2, W/2) float32: binary
    logarithm of the microns per pixel, and that of how far it may be off. A network of an
    earlier version has five probabilities and no scale.
    """
    from annotator.core.errors import UsageError
    from annotator.core.files import write_atomic
    from annotator.segmentation.network.graph import network_graph
    from annotator.segmentation.network.network_file import encoder_tensors
    from annotator.segmentation.network.prediction import SCALES_UM
    from annotator.study.study import Study

    if out.exists() and not force:
        raise UsageError(f"{out}: there already; choose another name, or replace it with --force")
    with Study.open(study) as opened:
        used = _network(file, opened)
    data = network_graph(encoder_tensors(), used.decoder)
    write_atomic(out, data)
    document: dict[str, Any] = {
        "path": str(out),
        "bytes": len(data),
        "network_sha256": used.sha256,
        "um_per_px": list(SCALES_UM),
    }
    if as_json:
        print_json(document)
        return
    scales = " and ".join(f"{scale:g}" for scale in SCALES_UM)
    print(f"Network  {out} ({len(data) / 1e6:.1f} MB)")
    print(f"It expects images at {scales} um/px; Trephine takes the mean of both answers.")


def _network(file: Path | None, study: Study | None) -> SegmentationNetwork:
    """The network of a file, else the study's own, else the starter."""
    from annotator.segmentation.network.network_file import read_network, starter_network

    if file is not None:
        return read_network(file)
    own = None if study is None else study.networks.current()
    return own or starter_network()
