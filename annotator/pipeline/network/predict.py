"""Label maps, probabilities and cellularity of images, by a segmentation network alone.

::

    OUT/NAME.png                  class codes; 255 where the picture is black
    OUT/probabilities/NAME.npz    probabilities (6, H, W) uint8, probability times 255: the four
                                  classes, the line between adipocytes that touch and the depth
                                  in them; planes names them
    OUT/cellularity.csv           areas and cellularity of each image

Nothing here is an annotation of a study: nobody's work is touched.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.core.class_areas import cellularity, class_areas
from annotator.core.classes import CLASS_NAMES, UNLABELLED
from annotator.core.csv import write_table
from annotator.core.errors import ImageError, UsageError
from annotator.core.files import write_atomic
from annotator.core.hashing import short_hash
from annotator.core.objects import Image
from annotator.core.progress import OnStep
from annotator.imaging.appearance import Appearance
from annotator.imaging.clear_view import clear_view
from annotator.imaging.codecs import encode_png
from annotator.imaging.find import find_images
from annotator.imaging.read import read_image
from annotator.pipeline.network.choice import working_scale
from annotator.pipeline.network.corrected_fields import image_of
from annotator.pipeline.network.unseen_maps import most_probable
from annotator.pipeline.view_notes import view_notes
from annotator.segmentation.network.network_file import SegmentationNetwork
from annotator.segmentation.network.prediction import NetworkPredictor
from annotator.settings.images import ReadSettings
from annotator.study.names import fold, unique_name
from annotator.study.study import Study, is_study

PLANES = (*CLASS_NAMES, "line", "depth")
COLUMNS = (
    *("image", "file", "um_per_px", "scale"),
    *(f"{name}_px" for name in CLASS_NAMES),
    *("cellularity", "unlabelled_px", "notes"),
)


@dataclass(frozen=True, slots=True)
class PredictedImage:
    """What a network says of an image.

    Parameters
    ----------
    name, file : str
    um_per_px : float
        That it was looked at.
    scale : {"known", "guessed"}
    areas_px : mapping of str to int
    cellularity : float or None
        0..1; None where there is neither cell nor fat.
    unlabelled_px : int
        Pixels that no class can be told of, such as black bars.
    notes : tuple of str
        What is odd with the picture, see :func:`annotator.pipeline.view_notes.view_notes`.
    """

    name: str
    file: str
    um_per_px: float
    scale: str
    areas_px: dict[str, int]
    cellularity: float | None
    unlabelled_px: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPredictions:
    """The images that a network was asked about.

    Parameters
    ----------
    folder : Path
    images : tuple of PredictedImage
    faults : tuple of (str, str)
        Files that could not be read, and why.
    """

    folder: Path
    images: tuple[PredictedImage, ...]
    faults: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "folder": str(self.folder),
            "images": [asdict(one) for one in self.images],
            "faults": [{"file": file, "reason": why} for file, why in self.faults],
        }


def predict_study(
    study: Study, network: SegmentationNetwork, out: Path | None, on_step: OnStep
) -> NetworkPredictions:
    """Predict all images of a study, into its ``report/network/predicted`` unless told.

    Raises
    ------
    UsageError
        When the study has no image, or the folder holds work of people.
    StorageError
        When the place refuses.
    """
    folder = out or study.path / "report" / "network" / "predicted"
    images = [
        (image.name, image.source, lambda image=image: image_of(study, image))
        for image in study.images()
    ]
    if not images:
        raise UsageError(f"{study.path}: expected images, got none; run trephine annotate first")
    return _predict(images, network, folder, on_step)


def predict_files(
    inputs: Sequence[str],
    network: SegmentationNetwork,
    out: Path,
    um_per_px: float | None,
    on_step: OnStep,
) -> NetworkPredictions:
    """Predict images in files, folders and patterns.

    Raises
    ------
    UsageError
        When there is none, or the folder holds work of people.
    StorageError
        When the place refuses.
    """
    paths = find_images(inputs).paths
    if not paths:
        raise UsageError(f"expected images, got none in {', '.join(inputs)}")

    def read(path: Path) -> Image:
        found = read_image(path, ReadSettings())
        return found if found.um_per_px is not None else found.at_scale(um_per_px)

    taken: set[str] = set()
    images = []
    for path in paths:
        name = unique_name(str(path), short_hash(str(path)), taken)
        taken.add(fold(name))
        images.append((name, str(path), lambda path=path: read(path)))
    return _predict(images, network, out, on_step)


def _predict(
    images: Sequence[tuple[str, str, Any]],
    network: SegmentationNetwork,
    folder: Path,
    on_step: OnStep,
) -> NetworkPredictions:
    _refuse_work_of_people(folder)
    predictor = NetworkPredictor(network)
    rows: list[PredictedImage] = []
    faults: list[tuple[str, str]] = []
    for done, (name, file, read) in enumerate(images, start=1):
        try:
            rows.append(_predicted(predictor, name, file, read(), folder))
        except ImageError as error:
            faults.append((file, str(error)))
        on_step("predicting", done, len(images))
    write_atomic(folder / "cellularity.csv", _table(rows))
    return NetworkPredictions(folder, tuple(rows), tuple(faults))


def _predicted(
    predictor: NetworkPredictor, name: str, file: str, image: Image, folder: Path
) -> PredictedImage:
    view = clear_view(image)
    scale = working_scale(Appearance(view.image, black=view.unseen))
    probabilities = predictor.probabilities(view.image.pixels, scale)
    codes = most_probable(probabilities)
    if view.unseen is not None:
        codes = np.where(view.unseen, np.uint8(UNLABELLED), codes)
    write_atomic(folder / "probabilities" / f"{name}.npz", _npz(probabilities))
    write_atomic(folder / f"{name}.png", encode_png(codes))
    areas = class_areas(codes)
    known = "guessed" if image.um_per_px is None else "known"
    whole = {each: areas[each] for each in CLASS_NAMES}
    return PredictedImage(
        name,
        file,
        scale,
        known,
        whole,
        cellularity(areas),
        areas["unlabelled"],
        (*image.notes, *view_notes(view)),
    )


def _npz(probabilities: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    scaled = np.round(probabilities * 255).astype(np.uint8)
    np.savez_compressed(
        buffer, allow_pickle=False, probabilities=scaled, planes=np.array(PLANES[: len(scaled)])
    )
    return buffer.getvalue()


def _table(rows: Sequence[PredictedImage]) -> bytes:
    cells = [
        (
            one.name,
            one.file,
            round(one.um_per_px, 4),
            one.scale,
            *one.areas_px.values(),
            None if one.cellularity is None else round(one.cellularity, 5),
            one.unlabelled_px,
            "; ".join(one.notes),
        )
        for one in rows
    ]
    return write_table(COLUMNS, cells)


def _refuse_work_of_people(folder: Path) -> None:
    """Masks that people correct are never written over."""
    place = folder.absolute()
    for path in (place, *place.parents):
        if path.name in ("rough", "truth") and is_study(path.parent):
            raise UsageError(
                f"{folder}: expected a folder of its own, got one in {path}, where people correct "
                "masks; choose another one with --out"
            )
