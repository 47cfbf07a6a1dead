"""Print the weights of the seed prototypes anew, fitted on synthetic fields.

    python tests/bench/fit_prototypes.py [--fields 40]

The traits and their ramps are those of ``active_learning/seed/prototypes.py``; what is
fitted is how each class weighs them. Objects count by the square root of their
share of the image; classes and coarse fields (over 2.2 um per px) are damped so
that the many small gaps do not drown the few trabeculae. Blocks of whole tissue
are added as objects of the class cell, as SAM gives them and `superpixel` never
does. A person rounds the figures, looks at what they do to overlays, and writes
them down. Three were set by hand: "huge" (nothing larger than about 100 um is an
adipocyte), "anuclear" and the start of bone (tissue full of nuclei is no bone).
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.linear_model import LogisticRegression

from active_learning.seed.prototypes import TREPHINE
from annotator.core.classes import CELL, CLASS_NAMES
from annotator.core.objects import ImageObjects, objects_from_labels
from annotator.imaging.appearance import Appearance
from annotator.pipeline.steps import describe_image, propose
from annotator.segmentation.superpixel import SuperpixelProposer
from annotator.settings.study import Settings
from annotator.synthetic.field import Phantom, make_phantom
from annotator.synthetic.settings import phantom_set
from features.describe import describe

COARSE_UM, PURE = 2.2, 0.7


def majority(objects: ImageObjects, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class of most pixels under each object, and their share."""
    counts = np.array([np.bincount(truth[at][crop], minlength=4) for at, crop in objects])
    return counts.argmax(axis=1), counts.max(axis=1) / counts.sum(axis=1)


def tissue_blocks(phantom: Phantom) -> ImageObjects:
    """Cell tissue cut into blocks of a thirty-second of the field."""
    height, width = phantom.classes.shape
    rows_, columns = np.mgrid[0:height, 0:width]
    block = (rows_ * 4 // height) * 8 + columns * 8 // width + 1
    labels = np.where(phantom.classes == CELL, block, 0).astype(np.int32)
    blocks = objects_from_labels(phantom.image.id, labels)
    return blocks.select(blocks.areas() > 0.004 * height * width)


def rows(phantom: Phantom, settings: Settings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Held traits, class and weight of the pure objects of one field."""
    proposer = SuperpixelProposer(settings.superpixel)
    appearance = Appearance(phantom.image)
    seen = describe_image(appearance, propose(appearance, proposer), settings)
    blocks = tissue_blocks(phantom)
    parts = [(seen.objects, seen.table)]
    if len(blocks):
        parts.append((blocks, describe(appearance, blocks, settings.describe)))
    counted = [majority(objects, phantom.classes) for objects, _ in parts]
    code, purity = (np.concatenate(part) for part in zip(*counted, strict=True))
    areas = [objects.areas() for objects, _ in parts]
    weight = np.concatenate([np.sqrt(a / a.sum()) for a in areas])
    held = np.concatenate([TREPHINE.strengths(table) for _, table in parts])
    if phantom.settings.um_per_px > COARSE_UM:
        weight *= 0.3
    pure = purity > PURE
    return held[pure], code[pure], weight[pure]


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=40)
    count = parser.parse_args().fields
    settings = Settings()
    parts = [rows(make_phantom(s), settings) for s in phantom_set(count, shape=(600, 960))]
    held, code, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    total = np.bincount(code, weight, minlength=4)
    weight = weight / total[code] ** 0.6
    weight *= len(weight) / weight.sum()
    model = LogisticRegression(C=0.3, max_iter=5000).fit(held, code, sample_weight=weight)
    centred = model.coef_ - model.coef_.mean(axis=0)
    print("trait".ljust(12), *(name.rjust(6) for name in CLASS_NAMES))
    for trait, weights in zip(TREPHINE.traits, centred.T, strict=True):
        print(trait.name.ljust(12), *(f"{w:6.1f}" for w in weights))
    print("start".ljust(12), *(f"{w:6.1f}" for w in model.intercept_))


if __name__ == "__main__":
    main()
