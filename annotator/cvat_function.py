"""Our rough annotation as an auto-annotation function of CVAT, for any task with our labels.

::

    cvat-cli task auto-annotate 84 --function-module annotator.cvat_function
    cvat-cli task auto-annotate 84 --function-module annotator.cvat_function -p study=str:marrow

CVAT's own tool downloads the frames, calls :meth:`CvatDetection.detect` for each and sends
the masks back. ``cvat_sdk`` is only imported when the function is made.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from active_learning.classification import Classifier
from active_learning.rounds.current_classifier import (
    NothingToClassify,
    must_fit,
    standing_classifier,
    trained_model,
)
from active_learning.seed.seed_model import fit_seed
from annotator.core.errors import UsageError
from annotator.core.objects import Image
from annotator.core.workers import reproducible
from annotator.imaging.appearance import Appearance
from annotator.imaging.clear_view import clear_view
from annotator.imaging.read import read_image
from annotator.pipeline.network.choice import seen_by_network
from annotator.pipeline.proposers import proposer_source
from annotator.pipeline.results import AnnotateOptions
from annotator.pipeline.steps import classify_image, describe_image, propose
from annotator.pipeline.tasks import confidences
from annotator.segmentation.outside_black import leave_open
from annotator.segmentation.proposer import Proposer
from annotator.settings.study import Settings
from annotator.study.chosen_network import ChosenNetwork
from annotator.study.study import Study
from export.cvat.client.labels import CONFIDENCE, OBJECT, LabelIds, labels_of, with_ids
from export.cvat.client.server import CvatLabel, CvatShape
from export.cvat.client.shapes import draw
from features.table import FeatureTable


def create(
    study: str = "",
    proposals: str = "superpixel",
    checkpoint: str = "",
    device: str = "auto",
    attributes: bool = False,
) -> CvatDetection:
    """Make the function; these are the parameters that ``cvat-cli -p`` takes.

    Parameters
    ----------
    study : str
        A study folder: its settings, its network, and what names its objects now. Without one
        the defaults, no network, and groups fitted on each frame alone.
    proposals, checkpoint, device : str
        As for ``trephine annotate``.
    attributes : bool
        Send the object's number and the confidence along, as attributes ``object`` and
        ``confidence``: the task must have them, as those that ``trephine push`` makes do.

    Raises
    ------
    TrephineError
        When the study, its model or the weights cannot be used.
    """
    options = AnnotateOptions(proposals, checkpoint or None, device)
    settings, known, classifier, network = Settings(), {}, None, None
    if study:
        with Study.open(Path(study)) as opened:
            settings = opened.settings
            known = {image.id: image.um_per_px for image in opened.all_images()}
            classifier, network = _classifier(opened), opened.network
    proposer = proposer_source(settings, options).make()
    return CvatDetection(
        ShapeAnnotator(settings, proposer, classifier, known.get, network), attributes
    )


def _classifier(study: Study) -> Classifier | None:
    """The model of the current round, else the seed groups, else nothing yet."""
    round_ = study.rounds.current()
    if round_ is None:
        return standing_classifier(study)
    must_fit(round_, study.features)
    return trained_model(study, round_)


@dataclass(frozen=True, slots=True)
class ShapeAnnotator:
    """The line from image to shapes, with all that it needs loaded.

    Parameters
    ----------
    settings : Settings
    proposer : Proposer
    classifier : Classifier or None
        None: groups are fitted on each image alone.
    scale_of : callable
        Microns per pixel of an image by its id, where they are known; else None.
    network : ChosenNetwork or None
        That sees the images; None for colours alone.
    """

    settings: Settings
    proposer: Proposer
    classifier: Classifier | None
    scale_of: Callable[[str], float | None]
    network: ChosenNetwork | None = None

    def shapes(self, image: Image, labels: LabelIds) -> tuple[CvatShape, ...]:
        """Annotate an image roughly and cut the result into shapes of frame 0."""
        scale = self.scale_of(image.id) or image.um_per_px or self.settings.um_per_px
        view = clear_view(image.at_scale(scale))
        appearance = Appearance(view.image, black=view.unseen)
        with reproducible():
            if self.network is not None:
                appearance = seen_by_network(appearance, self.network)
            described = describe_image(
                appearance, propose(appearance, self.proposer), self.settings
            )
            classifier = self.classifier or self._groups(described.table)
            annotation = classify_image(described, classifier, self.settings)
        label_maps = leave_open(annotation.label_maps, view.unseen)
        sure = confidences(label_maps, described.objects.ids, annotation.confidence)
        numbers = sorted(set(label_maps.instances[label_maps.instances > 0].tolist()))
        budget = self.settings.cvat.shapes_per_frame
        by_number = dict(zip(numbers, sure, strict=True))
        return draw(label_maps, by_number, labels, budget=budget).shapes

    def _groups(self, table: FeatureTable) -> Classifier:
        if not len(table):
            return NothingToClassify()
        with warnings.catch_warnings():
            # A frame with less to tell apart than there are groups is no fault of its user.
            warnings.filterwarnings("ignore", "Number of distinct clusters")
            return fit_seed(table, self.settings.seed)


class CvatDetection:
    """A ``DetectionFunction`` of ``cvat_sdk.auto_annotation``.

    Parameters
    ----------
    line : ShapeAnnotator
    attributes : bool
        Whether object and confidence go along.
    """

    def __init__(self, line: ShapeAnnotator, attributes: bool) -> None:
        self._line = line
        self._labels = with_ids(labels_of(line.settings.classes))
        self._attributes = attributes
        self._spec = _spec(self._labels, attributes)

    @property
    def spec(self) -> Any:
        """The labels, and their attributes where they were asked for."""
        return self._spec

    def detect(self, context: Any, image: Any) -> Sequence[Any]:
        """Masks of one frame.

        Parameters
        ----------
        context : DetectionFunctionContext
            Objects whose class is less sure than its ``conf_threshold`` are left out; regions
            of cell and background have no confidence and stay.
        image : PIL.Image.Image

        Raises
        ------
        BadFunctionError
            When polygons are asked for: they would lose the holes.
        ImageError
            When the frame is none that Trephine reads, such as one that is too small.
        """
        if context.conv_mask_to_poly:
            from cvat_sdk.auto_annotation import BadFunctionError

            raise BadFunctionError(
                "Trephine gives masks: as polygons they would lose their holes; leave "
                "--conv-mask-to-poly out"
            )
        shapes = self._line.shapes(_read(image, self._line.settings), LabelIds(self._labels))
        least = 100 * (context.conf_threshold or 0.0)
        return [self._request(shape) for shape in shapes if self._sure(shape) >= least]

    def _sure(self, shape: CvatShape) -> float:
        """Confidence in percent; regions count as sure."""
        values = self._values(shape)
        return float(values[CONFIDENCE]) if values[OBJECT] else 100.0

    def _values(self, shape: CvatShape) -> dict[str, str]:
        (label,) = (one for one in self._labels if one.id == shape.label)
        return {one.name: shape.attributes[one.id or 0] for one in label.attributes}

    def _request(self, shape: CvatShape) -> Any:
        from cvat_sdk import models

        values = shape.attributes if self._attributes else {}
        return models.LabeledShapeRequest(
            type="mask",
            frame=0,
            label_id=shape.label,
            points=list(shape.points),
            z_order=shape.z_order,
            attributes=[
                models.AttributeValRequest(spec_id=number, value=value)
                for number, value in values.items()
            ],
        )


def _spec(labels: Sequence[CvatLabel], attributes: bool) -> Any:
    from cvat_sdk import auto_annotation as aa

    return aa.DetectionFunctionSpec(
        labels=[
            aa.label_spec(
                label.name,
                label.id or 0,
                type="mask",
                attributes=[
                    aa.attribute_spec(one.name, one.id or 0, one.kind, list(one.values))
                    for one in (label.attributes if attributes else ())
                ],
            )
            for label in labels
        ]
    )


def _read(image: Any, settings: Settings) -> Image:
    """A frame as our own reader reads it: colour profile, modes and limits alike."""
    if image.size[0] * image.size[1] > settings.read.max_pixels:
        raise UsageError(
            f"expected frames of at most {settings.read.max_pixels:,} pixels, got "
            f"{image.size[0]} x {image.size[1]}"
        )
    with tempfile.TemporaryDirectory(prefix="trephine-") as folder:
        path = Path(folder) / "frame.png"
        more = {"dpi": image.info["dpi"]} if "dpi" in image.info else {}
        image.save(path, "PNG", compress_level=1, **more)
        return read_image(path, settings.read)
