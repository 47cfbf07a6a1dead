"""Make the starter network and its classifier: ``make starter DATA=FOLDER``.

    python tests/bench/starter.py DATA [--work FOLDER]
    python tests/bench/starter.py DATA --only SOURCE     # one network, to train side by side
    python tests/bench/starter.py DATA --measure FOLDER  # figures of the package's on others

DATA holds real fields: ``images/NAME.png``, ``gt/NAME.png`` (0 bg, 1 fat, 2 cell, 3 bone, 255
not counted) and ``instances/NAME.png`` (adipocytes one by one, 0 where there are none). Where
they come from, and on what terms, says :data:`SOURCES`. Drawn fields are added.

One network is trained on everything, and one for each source without it. What these make of the
source that they never saw, each with a classifier that never saw it either, says what to expect
of new tissue; the card of the starter has the figures. Patches are encoded once for all
trainings, and what was interrupted goes on where it stopped. On two cores it takes about two
hours.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from score_fields import AdipocyteScore, mean_figures, score_adipocytes, score_classes

from active_learning.classifier.model_file import load_model
from active_learning.classifier.training import TrainedModel
from active_learning.network.patches import TruthField
from active_learning.network.starter_classifier import (
    RECORD_FILE,
    STARTER_FEATURES,
    SVM_FILE,
    StarterClassifier,
    train_starter_classifier,
)
from active_learning.network.train_network import (
    EncodedFields,
    encode_fields,
    train_on,
    training_card,
    with_shares,
)
from active_learning.network.training import TrainingPlace
from annotator.core.classes import CLASS_NAMES, FAT
from annotator.core.files import write_atomic
from annotator.core.objects import Image
from annotator.core.progress import Progress
from annotator.imaging.appearance import Appearance
from annotator.pipeline.starter_examples import SeeField, starter_examples
from annotator.pipeline.steps import classify_image, describe_image, propose
from annotator.segmentation.network.found_scale import (
    COARSEST_UM,
    SCALE_FIT,
    fit_scale,
    found_scale,
    scale_readings,
)
from annotator.segmentation.network.network_file import (
    STARTER,
    SegmentationNetwork,
    read_network,
    starter_network,
    write_network,
)
from annotator.segmentation.network.prediction import NetworkPredictor
from annotator.segmentation.superpixel import SuperpixelProposer
from annotator.settings.network_training import NetworkTrainSettings
from annotator.settings.study import Settings
from annotator.study.objects_file import ImageFeatures
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import phantom_set
from annotator.synthetic.tissue_fields import make_tissue_field, tissue_set

ROOT = Path(__file__).resolve().parents[2]
PACKAGED = ROOT / "annotator/segmentation/network/weights/starter.safetensors"
CLASSIFIER = ROOT / "active_learning/network/weights"
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

UNKNOWN_SOURCE = Source(0.5, 1.0, "", "")
"""For fields that are only measured on, at a scale that the line finds by itself."""
FOLDS = (None, *SOURCES)
"""What each network never saw; None for the starter."""

# How many times coarser a field is made to fit scales, and the smallest one, px.
COARSER, LEAST_SIDE = (1, 1.41, 2, 4), 128
# Of the patches: real fields, drawn tissue, drawn marrow.
SHARES = (0.5, 0.3, 0.2)
TISSUE_FIELDS, PHANTOMS, SHAPE = 160, 64, (500, 800)
SETTINGS = NetworkTrainSettings(patches=48, epochs=8, patience=0, threads=1)


def real_fields(data: Path) -> list[TruthField]:
    """The fields of a folder, in order of their names."""
    fields = []
    for path in sorted((data / "images").glob("*.png")):
        source = SOURCES.get(path.name.split("_")[0], UNKNOWN_SOURCE)
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


def drawn_tissue(count: int = TISSUE_FIELDS, seed: int = 1) -> list[TruthField]:
    """Drawn fields that look like tissue of many kinds."""
    fields = []
    for settings in tissue_set(count, SHAPE, seed):
        field = make_tissue_field(settings)
        name = f"{DRAWN}-tissue-{settings.seed}"
        instances = np.asarray(field.instances, np.uint16)
        fields.append(
            TruthField(name, name, field.image.pixels, field.codes, instances, settings.um_per_px)
        )
    return fields


def drawn_marrow(count: int = PHANTOMS, seed: int = 0) -> list[TruthField]:
    """Drawn fields of marrow; in every other one folds, haze and open sinusoids abound."""
    fields = []
    for at, plain in enumerate(phantom_set(count, SHAPE, seed)):
        share = at / count
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


def unseen_drawn() -> list[TruthField]:
    """Drawn fields that no network learned from."""
    return [*drawn_tissue(20, seed=1001), *drawn_marrow(16, seed=1001)]


def tell(progress: Progress) -> None:
    """Print how far it is, now and then."""
    left = progress.eta_seconds
    if progress.done % 400 == 0 or progress.stage == "training":
        print(
            f"{progress.stage} {progress.done} of {progress.total}"
            + (f", about {left / 60:.0f} min left" if left else ""),
            flush=True,
        )


class StarterFold(NamedTuple):
    """A network, and the source that it never saw; none for the starter itself."""

    left_out: str | None
    network: SegmentationNetwork


def encoded(data: Path, work: Path) -> EncodedFields:
    """Draw fields, and encode patches of all of them once for all trainings."""
    print("drawing fields", flush=True)
    groups = real_fields(data), drawn_tissue(), drawn_marrow()
    fields = with_shares(list(zip(groups, SHARES, strict=True)))
    steps = len(FOLDS) * SETTINGS.epochs * SETTINGS.patches * len(fields) // SETTINGS.batch
    return encode_fields(fields, SETTINGS, TrainingPlace(work), steps, tell)


def trained(data: Path, work: Path) -> list[StarterFold]:
    """The networks of all folds; those that an earlier run trained are taken as they are."""
    missing = [left_out for left_out in FOLDS if not network_path(work, left_out).exists()]
    if missing:
        patches = encoded(data, work)
        for left_out in missing:
            train(patches, left_out, work)
    return [StarterFold(left_out, read_network(network_path(work, left_out))) for left_out in FOLDS]


def train(patches: EncodedFields, left_out: str | None, work: Path) -> None:
    """Train on all fields but those of one source."""
    name = left_out or STARTER
    print(f"training without {left_out}" if left_out else "training on all", flush=True)
    learned = [at for at, one in enumerate(patches.fields) if source_of(one) != left_out]
    decoder = train_on(patches, learned, [], SETTINGS, TrainingPlace(work / name), on_progress=tell)
    card = {"name": name, **training_card(patches, learned, [], SETTINGS, decoder, None)}
    network = write_network(network_path(work, left_out), decoder.tensors, card)
    others = [one for one in patches.fields if source_of(one) in SOURCES]
    learned_from = [one for one in others if source_of(one) != left_out]
    card[SCALE_FIT] = scale_fit([*learned_from, *unseen_drawn()], network)
    write_network(network_path(work, left_out), decoder.tensors, card)


def scale_fit(fields: Sequence[TruthField], network: SegmentationNetwork) -> list[float]:
    """The line through what a network says of the scale of fields, made coarser as well."""
    readings, scales = [], []
    for field in fields:
        height, width = field.codes.shape
        for coarser in COARSER:
            size = round(width / coarser), round(height / coarser)
            if min(size) < LEAST_SIDE or field.um_per_px * coarser > COARSEST_UM:
                continue
            small = cv2.resize(field.pixels, size, interpolation=cv2.INTER_AREA)
            readings.append(scale_readings(loaded(network), np.asarray(small, np.uint8)))
            scales.append(field.um_per_px * coarser)
    return fit_scale(np.stack(readings), np.array(scales))


def network_path(work: Path, left_out: str | None) -> Path:
    """Where the network of a fold lies until the package has it."""
    return work / f"{left_out or STARTER}.safetensors"


def source_of(field: TruthField) -> str:
    """Name of the source of a field."""
    return field.name.split("_")[0]


@cache
def loaded(network: SegmentationNetwork) -> NetworkPredictor:
    """The network, ready to look at pixels."""
    return NetworkPredictor(network)


def described(field: TruthField, network: SegmentationNetwork) -> ImageFeatures:
    """The objects of a field as the line makes them, at a scale that it finds by itself."""
    predictor = loaded(network)
    plain = Appearance(Image.from_pixels(field.pixels))
    um = found_scale(predictor, field.pixels, plain.white_reference).um_per_px
    plain = replace(plain, found_um_per_px=um)
    planes = predictor.probabilities(plain.image.pixels, um)
    seen = plain.seen_by(network.fingerprint, planes)
    settings = replace(Settings(), describe=STARTER_FEATURES)
    return describe_image(seen, propose(seen, SuperpixelProposer(settings.superpixel)), settings)


def learn_classifier(
    fields: Sequence[TruthField], network: SegmentationNetwork
) -> tuple[bytes, dict[str, Any]]:
    """Learn to name objects of fields by what one network makes of them.

    Real fields that the network learned from, and drawn ones that it did not. Networks that
    never saw a source teach less: from their mistakes on torn fat, which they take for whole,
    the classifier learned to overrule one that knows better.
    """

    def pairs() -> Iterator[tuple[TruthField, SeeField]]:
        for field in fields:
            print(f"objects of {field.name}", flush=True)
            yield field, loaded(network).probabilities

    return train_starter_classifier(starter_examples(pairs(), STARTER), jobs=1)


def evaluate(
    fields: Sequence[TruthField], network: SegmentationNetwork, classifier: TrainedModel
) -> list[dict[str, Any]]:
    """First drafts of fields against their truth: classes, and adipocytes one by one."""
    found = []
    for field in fields:
        objects = described(field, network)
        model = StarterClassifier(classifier, objects.table.fingerprint)
        maps = classify_image(objects, model, Settings()).label_maps
        row: dict[str, Any] = {"name": field.name, **score_classes(field.codes, maps.classes)}
        if field.instances is not None and field.instances.any():
            said = np.where(maps.classes == FAT, maps.instances, 0).astype(np.int64)
            counted = field.codes < len(CLASS_NAMES)
            score = score_adipocytes(field.instances.astype(np.int64), said, counted)
            row["adipocytes"] = asdict(score)
        found.append(row)
        print(as_text(row), flush=True)
    return found


def as_text(row: dict[str, Any]) -> str:
    """One line about an image."""
    adipocytes = row.get("adipocytes", {})
    counts = [f"{key} {value}" for key, value in adipocytes.items() if key != "ious"]
    figures = [f"{key} {value:.3f}" for key, value in row.items() if isinstance(value, float)]
    return " ".join([row["name"], *figures, *counts])


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures over images, rounded, with those of all adipocytes together."""
    scores = [AdipocyteScore(**row["adipocytes"]) for row in rows if "adipocytes" in row]
    figures = mean_figures(rows) | sum(scores, AdipocyteScore()).figures()
    return {name: round(value, 4) for name, value in figures.items()}


def without_ious(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows for the card: rounded, and without the overlap of each single adipocyte."""
    return [
        {
            key: round(value, 4) if isinstance(value, float) else value
            for key, value in (row | row.get("adipocytes", {})).items()
            if key not in ("adipocytes", "ious")
        }
        for row in rows
    ]


def make(data: Path, work: Path) -> None:
    """Train the folds and the starter, learn the classifier, measure, replace the package's."""
    folds = trained(data, work)
    real = real_fields(data)
    fields = [*real, *unseen_drawn()]
    figures = []
    for fold in folds:
        if fold.left_out is not None:
            others = [one for one in fields if source_of(one) != fold.left_out]
            model = load_model(*learn_classifier(others, fold.network))
            left = [one for one in real if source_of(one) == fold.left_out]
            figures += evaluate(left, fold.network, model)
    starter = next(fold.network for fold in folds if fold.left_out is None)
    card = packaged_card(starter, figures)
    write_network(PACKAGED, starter.decoder, card)
    archive, record = learn_classifier(fields, starter)
    write_atomic(CLASSIFIER / SVM_FILE, archive)
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    write_atomic(CLASSIFIER / RECORD_FILE, text.encode())
    print(json.dumps(card["source_left_out"]["mean"]))


def packaged_card(
    starter: SegmentationNetwork, figures: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The card of the starter, with what networks made of the sources that they never saw."""
    card = dict(starter.card)
    card["images"] = [each for each in card["images"] if not each["name"].startswith(DRAWN)]
    card["patients"] = [each for each in card["patients"] if not each.startswith(DRAWN)]
    card["drawn_fields"] = {"tissue": TISSUE_FIELDS, "marrow": PHANTOMS}
    card["sources"] = {
        name: {"licence": source.licence, "origin": source.origin}
        for name, source in SOURCES.items()
    }
    card["source_left_out"] = {"mean": summary(figures), "fields": without_ious(figures)}
    return card


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=ROOT / "build/starter")
    parser.add_argument("--only", choices=[*SOURCES, STARTER], help="train one network, no more")
    parser.add_argument("--measure", type=Path, help="other fields; nothing is trained")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    if asked.measure:
        archive, record = (CLASSIFIER / name for name in (SVM_FILE, RECORD_FILE))
        model = load_model(archive.read_bytes(), json.loads(record.read_text("utf-8")))
        print(summary(evaluate(real_fields(asked.measure), starter_network(), model)))
    elif asked.only:
        left_out = None if asked.only == STARTER else asked.only
        train(encoded(asked.data, asked.work), left_out, asked.work)
    else:
        make(asked.data, asked.work)


if __name__ == "__main__":
    main()
