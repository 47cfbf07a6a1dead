"""The straight line for one image, in two halves: describe, then classify. Pure functions.

The first half begins with the image's :class:`~annotator.imaging.appearance.Appearance`,
which every step of it is handed: its white, colours and scale are worked out once.

Describing is expensive and knows no classes: propose, prune, claim the white that is left
over, measure features. Where a segmentation network saw the image, objects are cut along
the borders of its classes, and what it knows becomes features. Classifying is cheap:
classify the objects, mask the cells, stitch.

Each step has a key, the hash of everything that shapes its result. Two results with one
key are the same, so that a batch can skip what it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from active_learning.classification import Classifier
from annotator.core.classes import BONE, CELL, UNLABELLED
from annotator.core.hashing import fingerprint
from annotator.core.label_maps import LabelMaps
from annotator.core.objects import BoolMask, ImageObjects
from annotator.core.progress import Stopwatch
from annotator.imaging.appearance import Appearance
from annotator.segmentation.cell_mask import cell_mask, claim_white, solid_white, stained_mask
from annotator.segmentation.class_borders import PartLimits, claim_classes, cut_by_class
from annotator.segmentation.outside_black import objects_outside
from annotator.segmentation.proposer import Proposer, PruneReport, prune
from annotator.segmentation.surer_classes import surer_classes
from annotator.settings.study import Settings
from annotator.study.objects_file import ImageFeatures, Proposals
from export.stitch import stitch
from features.describe import describe, described_before, feature_fingerprint
from features.earlier import EarlierTable
from features.network import network_codes
from features.table import FeatureTable

# Raised whenever the steps of this module are put together in another way.
VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class RoughAnnotation:
    """A rough annotation, and the class of each object that it came from.

    Parameters
    ----------
    codes : (N,) uint8
    confidence : (N,) float64
        Of each object's class, 0..1.
    label_maps : LabelMaps
    """

    codes: NDArray[np.uint8]
    confidence: NDArray[np.float64]
    label_maps: LabelMaps


def propose(
    appearance: Appearance, proposer: Proposer, watch: Stopwatch | None = None
) -> Proposals:
    """Cut the image into objects; the proposer tells the watch its stages."""
    image = appearance.image
    key = propose_key(image.id, image.um_per_px, proposer.fingerprint, appearance.network_key)
    return Proposals(key, proposer.propose(appearance, watch))


def describe_image(
    appearance: Appearance,
    proposed: Proposals,
    settings: Settings,
    watch: Stopwatch | None = None,
    earlier: ImageFeatures | None = None,
) -> ImageFeatures:
    """Prune the proposals, add the white that nobody claims, describe what there is.

    What was filled where the picture is black only serves what lies beside it: no object is
    left in it. What came of the same proposals under other settings (`earlier`) saves
    describing the objects that are the same.
    """
    watch = watch or Stopwatch()
    classes = appearance.network_classes
    found = _found_objects(appearance, proposed, settings, classes, watch)
    with watch("describe"):
        known = None if earlier is None else EarlierTable(earlier.objects, earlier.table)
        table = describe(appearance, found.objects, settings.describe, known)
    surer = surer_classes(appearance) if settings.cellmask.preset == "adaptive" else None
    key = objects_key(proposed.key, settings, appearance.network_key)
    return found.with_features(key, table, surer, classes)


def describe_again(
    appearance: Appearance,
    network_key: str,
    proposed: Proposals,
    settings: Settings,
    earlier: ImageFeatures,
    watch: Stopwatch | None = None,
) -> ImageFeatures | None:
    """As :func:`describe_image`, where the network need not look at the image again.

    Parameters
    ----------
    appearance : Appearance
        Of the image, at the scale that it was seen at; no network has looked at it.
    network_key : str
        Fingerprint of the network that had, when `earlier` was made.
    proposed : Proposals
    settings : Settings
    earlier : ImageFeatures
        What came of the same proposals under other settings, with the network's classes.
    watch : Stopwatch, optional

    Returns
    -------
    ImageFeatures or None
        The very same as with the network; None where only the network can tell.
    """
    classes, adaptive = earlier.network_classes, settings.cellmask.preset == "adaptive"
    if classes is None or (adaptive and earlier.surer is None):
        return None
    watch = watch or Stopwatch()
    found = _found_objects(appearance, proposed, settings, classes, watch)
    with watch("describe"):
        known = EarlierTable(earlier.objects, earlier.table)
        table = described_before(appearance, found.objects, settings.describe, network_key, known)
    if table is None:
        return None
    key = objects_key(proposed.key, settings, network_key)
    return found.with_features(key, table, earlier.surer if adaptive else None, classes)


@dataclass(frozen=True, slots=True, eq=False)
class _FoundObjects:
    """The objects of an image before they are described, and how they came about."""

    objects: ImageObjects
    stained: BoolMask
    report: PruneReport

    def with_features(
        self,
        key: str,
        table: FeatureTable,
        surer: NDArray[np.uint8] | None,
        classes: NDArray[np.uint8] | None,
    ) -> ImageFeatures:
        """The objects with their features."""
        report = self.report
        return ImageFeatures(
            key=key,
            objects=self.objects,
            table=table,
            coverage=(report.covered_0, report.covered_1, report.covered_more),
            dropped=report.specks + report.duplicates + report.nested,
            stained=self.stained,
            surer=surer,
            network_classes=classes,
        )


def _found_objects(
    appearance: Appearance,
    proposed: Proposals,
    settings: Settings,
    classes: NDArray[np.uint8] | None,
    watch: Stopwatch,
) -> _FoundObjects:
    """Prune, add the white that nobody claims, cut along the borders of a network's classes."""
    with watch("prune"):
        outside = objects_outside(proposed.objects, appearance.black)
        kept, report = prune(outside, settings.prune, appearance.working_um_per_px)
    with watch("white"):
        white = solid_white(appearance, settings.cellmask)
        objects = claim_white(appearance, kept, white, settings.cellmask)
    if classes is not None:
        with watch("cut"):
            objects = cut_by_network(appearance, objects, classes)
    objects = objects_outside(objects, appearance.black)
    stained = stained_mask(appearance, white, settings.cellmask)
    return _FoundObjects(objects, stained, report)


def cut_by_network(
    appearance: Appearance, objects: ImageObjects, classes: NDArray[np.uint8]
) -> ImageObjects:
    """Objects of one class each, and those that only the network sees."""
    limits = PartLimits.at_scale(appearance.working_um_per_px)
    return claim_classes(appearance, cut_by_class(objects, classes, limits), classes)


def classify_image(
    described: ImageFeatures, model: Classifier, settings: Settings
) -> RoughAnnotation:
    """Name the objects' classes, find the cells, and give every pixel one class.

    A white object that is classed as cell is a gap in the tissue and counts as tissue;
    so do the slivers of white that are too small to be an object of their own. Single pixels
    are corrected where the classifier and a network agree on their object.
    """
    objects = described.objects
    named = model.classify(described.table)
    codes = named.codes
    bone = union(objects, codes == BONE)
    cells = cell_mask(described.stained, bone)
    if settings.cellmask.preset == "adaptive":
        cells = cells | union(objects, codes == CELL) | (objects.coverage() == 0)
    surer = surer_where_agreed(described, codes)
    label_maps = stitch(objects, codes, cells, settings.stitch, surer)
    return RoughAnnotation(codes, named.confidence, label_maps)


def surer_where_agreed(
    described: ImageFeatures, codes: NDArray[np.uint8]
) -> NDArray[np.uint8] | None:
    """Corrections of single pixels, without those of objects that are of another class.

    Where the classifier overrules the network, as it does when it has learned from people,
    the network must not take the object back pixel by pixel.

    Parameters
    ----------
    described : ImageFeatures
    codes : (N,) uint8
        Class of each object.

    Returns
    -------
    (H, W) uint8 or None
        See :func:`annotator.segmentation.surer_classes.corrected`.
    """
    seen = network_codes(described.table)
    if described.surer is None or seen is None:
        return None
    overruled = union(described.objects, seen != codes)
    return np.where(overruled, np.uint8(UNLABELLED), described.surer)


def union(objects: ImageObjects, chosen: BoolMask) -> BoolMask:
    """Pixels under any of the chosen objects.

    Parameters
    ----------
    objects : ImageObjects
        N of them.
    chosen : (N,) bool

    Returns
    -------
    (H, W) bool

    Examples
    --------
    >>> from annotator.core.objects import objects_from_labels
    >>> objects = objects_from_labels("a1", np.array([[1, 2, 3]], np.int32))
    >>> union(objects, np.array([True, False, True])).tolist()
    [[True, False, True]]
    """
    mask: BoolMask = objects.select(chosen).coverage() > 0
    return mask


def propose_key(
    image_id: str, um_per_px: float | None, proposer: str, network_key: str = ""
) -> str:
    """Key of the proposals of an image.

    `proposer` is the maker's own fingerprint, `network_key` that of the network that saw the
    image; empty for none.
    """
    network = (network_key,) if network_key else ()
    return fingerprint("propose", image_id, um_per_px, proposer, *network)


def objects_key(proposed: str, settings: Settings, network_key: str = "") -> str:
    """Key of the described objects that come of proposals with this key.

    `network_key` is the fingerprint of the network that saw the image; empty for none.
    """
    columns = feature_fingerprint(settings.describe, network_key)
    return fingerprint("look", VERSION, proposed, settings.prune, settings.cellmask, columns)


def annotation_key(
    objects_key: str, classifier: str, settings: Settings, excluded: str = ""
) -> str:
    """Key of the rough annotation that comes of objects with this key.

    `excluded` is the key of what is excluded of the image; empty for nothing.
    """
    shaping = settings.cellmask, settings.stitch, settings.classes
    left_out = (excluded,) if excluded else ()
    return fingerprint("judge", VERSION, objects_key, classifier, *shaping, *left_out)
