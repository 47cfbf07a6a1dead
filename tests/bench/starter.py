"""Make the starter network, or one that never saw a source: ``make starter DATA=FOLDER``.

    python tests/bench/starter.py DATA [--leave-out SOURCE --out FOLDER] [--work FOLDER]

DATA holds real fields: ``images/NAME.png``, ``gt/NAME.png`` (0 bg, 1 fat, 2 cell, 3 bone, 255
not counted) and ``instances/NAME.png`` (adipocytes one by one, 0 where there are none). Where
they come from, and on what terms, says :data:`SOURCES`. Drawn fields are added. Patches are
encoded once for all trainings; what was interrupted goes on where it stopped.

Without ``--leave-out`` the files in the package are replaced. With it the network goes to
``--out``: what it makes of the source that it never saw says what to expect of new tissue.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from active_learning.network.patches import TruthField
from active_learning.network.train_network import (
    encode_fields,
    train_on,
    training_card,
    with_shares,
)
from active_learning.network.training import TrainingPlace
from annotator.core.progress import Progress
from annotator.segmentation.network.network_file import SegmentationNetwork, write_network
from annotator.settings.network_training import NetworkTrainSettings
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import phantom_set
from annotator.synthetic.tissue_fields import make_tissue_field, tissue_set

ROOT = Path(__file__).resolve().parents[2]
PACKAGED = ROOT / "annotator/segmentation/network/weights/starter.safetensors"
DRAWN = "drawn"


class Source(NamedTuple):
    """Fields whose names begin alike: microns per pixel, weight, licence and origin."""

    um_per_px: float
    weight: float
    licence: str
    origin: str


SOURCES = {
    "MEKA": Source(2.0, 2.0, "MIT", "LeGenAI/mekanet-release, commit b4a293a, figure bswon23"),
    "OSA": Source(
        0.5,
        1.0,
        "CC BY 3.0",
        "Leavey P. and others, Osteosarcoma data from UT Southwestern and UT Dallas for viable "
        "and necrotic tumor assessment, TCIA 2019; copy in atlan-antillia/EfficientNet-"
        "Osteosarcoma, commit 8a52df8",
    ),
    "GTEX": Source(0.5, 1.0, "MIT", "GlastonburyC/Adipocyte-U-net, commit b7b3241 (GTEx)"),
}
"""Real fields whose terms allow weights made from them, with attribution."""

# Of the patches: real fields, drawn tissue, drawn marrow.
SHARES = (0.5, 0.3, 0.2)
TISSUE_FIELDS, PHANTOMS, SHAPE = 160, 64, (500, 800)
SETTINGS = NetworkTrainSettings(patches=48, epochs=4, patience=0, threads=1)


def real_fields(data: Path) -> list[TruthField]:
    """The fields of a folder, in order of their names."""
    fields = []
    for path in sorted((data / "images").glob("*.png")):
        source = SOURCES[path.name.split("_")[0]]
        pixels = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        codes = cv2.imread(str(data / "gt" / path.name), cv2.IMREAD_UNCHANGED)
        instances = cv2.imread(str(data / "instances" / path.name), cv2.IMREAD_UNCHANGED)
        if codes is None or instances is None:
            raise SystemExit(f"{path.name}: expected gt/ and instances/ beside images/, got none")
        patient = "_".join(path.name.split("_")[:2])
        numbers = instances.astype(np.uint16)
        fields.append(
            TruthField(path.stem, patient, pixels, codes, numbers, source.um_per_px, source.weight)
        )
    if not fields:
        raise SystemExit(f"{data}: expected images/*.png, got none")
    return fields


def drawn_tissue() -> list[TruthField]:
    """Drawn fields that look like tissue of many kinds."""
    fields = []
    for settings in tissue_set(TISSUE_FIELDS, SHAPE, seed=1):
        field = make_tissue_field(settings)
        name = f"{DRAWN}-tissue-{settings.seed}"
        instances = np.asarray(field.instances, np.uint16)
        fields.append(
            TruthField(name, name, field.image.pixels, field.codes, instances, settings.um_per_px)
        )
    return fields


def drawn_marrow() -> list[TruthField]:
    """Drawn fields of marrow; in every other one folds, haze and open sinusoids abound."""
    fields = []
    for at, plain in enumerate(phantom_set(PHANTOMS, SHAPE)):
        share = at / PHANTOMS
        rich = replace(
            plain,
            folds=0.2 + 0.6 * share,
            stained_fat=0.6 - 0.5 * share,
            sinusoids=0.03 + 0.07 * share,
        )
        settings = rich if at % 2 else plain
        phantom = make_phantom(settings)
        name = f"{DRAWN}-marrow-{settings.seed}"
        instances = np.asarray(phantom.instances, np.uint16)
        fields.append(
            TruthField(
                name, name, phantom.image.pixels, phantom.classes, instances, settings.um_per_px
            )
        )
    return fields


def tell(progress: Progress) -> None:
    """Print how far it is, now and then."""
    left = progress.eta_seconds
    if progress.done % 400 == 0 or progress.stage == "training":
        print(
            f"{progress.stage} {progress.done} of {progress.total}"
            + (f", about {left / 60:.0f} min left" if left else ""),
            flush=True,
        )


def train(data: Path, left_out: Sequence[str], work: Path, out: Path) -> SegmentationNetwork:
    """Train on all fields but those of some sources, and write the network."""
    print("drawing fields", flush=True)
    groups = real_fields(data), drawn_tissue(), drawn_marrow()
    fields = with_shares(list(zip(groups, SHARES, strict=True)))
    learned = [at for at, field in enumerate(fields) if field.name.split("_")[0] not in left_out]
    steps = SETTINGS.epochs * SETTINGS.patches * len(learned) // SETTINGS.batch
    encoded = encode_fields(fields, SETTINGS, TrainingPlace(work), steps, tell)
    place = TrainingPlace(work / ("-".join(left_out) or "all"))
    decoder = train_on(encoded, learned, [], SETTINGS, place, on_progress=tell)
    card = {"name": out.stem, **training_card(encoded, learned, [], SETTINGS, decoder, None)}
    card["images"] = [each for each in card["images"] if not each["name"].startswith(DRAWN)]
    card["patients"] = [each for each in card["patients"] if not each.startswith(DRAWN)]
    card["drawn_fields"] = {"tissue": TISSUE_FIELDS, "marrow": PHANTOMS}
    card["sources"] = {
        name: {"licence": source.licence, "origin": source.origin}
        for name, source in SOURCES.items()
        if name not in left_out
    }
    return write_network(out, decoder.tensors, card)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--leave-out", action="append", choices=SOURCES, default=[])
    parser.add_argument("--work", type=Path, default=ROOT / "build/starter")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.leave_out and asked.out is None:
        parser.error("--leave-out needs --out: the starter of the package has seen every source")
    cv2.setNumThreads(1)
    out = (asked.out / "starter.safetensors") if asked.out else PACKAGED
    out.parent.mkdir(parents=True, exist_ok=True)
    network = train(asked.data, asked.leave_out, asked.work, out)
    print(f"{out}: {network.fingerprint}")


if __name__ == "__main__":
    main()
