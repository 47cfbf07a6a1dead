"""Two peers that know no network: a forest on filters of the pixels, and the published SVM."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from peer_fields import Predict, at_scale, enlarged
from sklearn.ensemble import RandomForestClassifier

from active_learning.classifier.examples import Examples
from active_learning.classifier.training import fit
from active_learning.labels.from_masks import labels_from_mask
from active_learning.network.patches import TruthField
from annotator.core.classes import CLASS_NAMES, UNLABELLED
from annotator.core.objects import Image
from annotator.imaging.appearance import Appearance
from annotator.pipeline.steps import classify_image, describe_image, propose
from annotator.segmentation.superpixel import SuperpixelProposer
from annotator.settings.annotation import DescribeSettings
from annotator.settings.learning import TrainSettings
from annotator.settings.study import Settings
from annotator.study.objects_file import ImageFeatures
from features.table import concatenate

# The filters of ilastik's pixel classification, and its scales, px. The finest is too fine
# for any filter but the smoothing.
SIGMAS = (0.3, 0.7, 1.0, 1.6, 3.5, 5.0, 10.0)
FOREST_UM = 1.0
"""Microns per pixel that the filters see a field at."""
# Labelled pixels of each class that a field gives: more make the forest no better, only slower.
_PIXELS_OF_A_CLASS = 500
_TREES = 100
# Pixels classified at a time.
_STRIP = 200_000

_PUBLISHED = Settings(describe=DescribeSettings("bambo"))


def train_forest(fields: Sequence[TruthField], seconds: float) -> Predict:
    """Fit a random forest to filtered pixels, as ilastik does; it takes the time it takes.

    References
    ----------
    Berg and others, "ilastik: interactive machine learning for (bio)image analysis", Nature
    Methods 16 (2019) 1226-1232.
    """
    rng = np.random.default_rng(0)
    rows, codes = zip(*(_labelled_pixels(field, rng) for field in fields), strict=True)
    forest = RandomForestClassifier(_TREES, n_jobs=1, random_state=0)
    forest.fit(np.concatenate(rows), np.concatenate(codes))

    def predict(pixels: NDArray[np.uint8], um_per_px: float) -> NDArray[np.uint8]:
        filtered = filters(at_scale(pixels, um_per_px, FOREST_UM))
        flat = filtered.reshape(-1, filtered.shape[-1])
        shares = np.zeros((len(flat), len(CLASS_NAMES)), np.float32)
        for start in range(0, len(flat), _STRIP):
            strip = np.s_[start : start + _STRIP]
            shares[strip, forest.classes_] = forest.predict_proba(flat[strip])
        planes = np.moveaxis(shares.reshape(*filtered.shape[:2], -1), -1, 0)
        return enlarged(planes, pixels.shape).argmax(0).astype(np.uint8)

    return predict


def _labelled_pixels(
    field: TruthField, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Filtered pixels (M, F) and their classes (M,), as many of each class."""
    codes = at_scale(field.codes, field.um_per_px, FOREST_UM).ravel()
    chosen = np.concatenate(
        [
            rng.permutation(np.flatnonzero(codes == code))[:_PIXELS_OF_A_CLASS]
            for code in range(len(CLASS_NAMES))
        ]
    )
    filtered = filters(at_scale(field.pixels, field.um_per_px, FOREST_UM))
    return filtered.reshape(len(codes), -1)[chosen], codes[chosen]


def filters(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each pixel's filters at all scales, of each channel.

    Smoothing, Laplacian of Gaussian, gradient magnitude, difference of Gaussians (the other
    one 0.66 times as wide), eigenvalues of the structure tensor (averaged over half the
    scale) and of the Hessian.

    Parameters
    ----------
    pixels : (H, W, 3) uint8

    Returns
    -------
    (H, W, 147) float32
    """
    values = pixels.astype(np.float32)
    planes = [_smooth(values, SIGMAS[0])]
    for sigma in SIGMAS[1:]:
        planes += _filters_at(values, sigma)
    return np.concatenate(planes, axis=-1)


def _filters_at(values: NDArray[np.float32], sigma: float) -> list[NDArray[np.float32]]:
    smooth = _smooth(values, sigma)
    along_y, along_x = np.gradient(smooth, axis=(0, 1))
    yy, yx = np.gradient(along_y, axis=(0, 1))
    xx = np.gradient(along_x, axis=1)
    tensor = (_smooth(one, sigma / 2) for one in (along_y**2, along_y * along_x, along_x**2))
    return [
        smooth,
        yy + xx,
        np.hypot(along_y, along_x),
        smooth - _smooth(values, 0.66 * sigma),
        *_eigenvalues(*tensor),
        *_eigenvalues(yy, yx, xx),
    ]


def _smooth(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))


def _eigenvalues(
    yy: NDArray[np.float32], yx: NDArray[np.float32], xx: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Larger and smaller eigenvalue of symmetric 2 x 2 matrices."""
    middle, reach = (yy + xx) / 2, np.hypot((yy - xx) / 2, yx)
    return middle + reach, middle - reach


def train_published_svm(fields: Sequence[TruthField], seconds: float) -> Predict:
    """Fit the published classifier to the published features; it takes the time it takes.

    Objects come from the line's proposer without weights, and each has the class of most of
    its labelled pixels.
    """
    described = [_described(field.pixels, field.um_per_px) for field in fields]
    codes = [
        labels_from_mask(one.objects, field.codes).codes
        for one, field in zip(described, fields, strict=True)
    ]
    groups = [np.repeat(field.name, len(own)) for field, own in zip(fields, codes, strict=True)]
    table = concatenate([one.table for one in described])
    is_known = np.concatenate(codes) != UNLABELLED
    # The labels of unknown objects are never looked at.
    named = np.where(is_known, np.concatenate(codes), 0).astype(np.uint8)
    examples = Examples(table, named, np.concatenate(groups)).take(is_known)
    model = fit(examples, TrainSettings(classifier="bambo"), jobs=1)

    def predict(pixels: NDArray[np.uint8], um_per_px: float) -> NDArray[np.uint8]:
        found = classify_image(_described(pixels, um_per_px), model, _PUBLISHED)
        return found.label_maps.classes

    return predict


def _described(pixels: NDArray[np.uint8], um_per_px: float) -> ImageFeatures:
    appearance = Appearance(Image.from_pixels(pixels, um_per_px))
    proposed = propose(appearance, SuperpixelProposer(_PUBLISHED.superpixel))
    return describe_image(appearance, proposed, _PUBLISHED)
