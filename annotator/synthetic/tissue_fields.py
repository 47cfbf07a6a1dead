"""Drawn fields that look like real tissue, as training material for a network.

A phantom (:mod:`annotator.synthetic.field`) knows marrow only. These fields show what else lies on
a slide: adipose tissue, bone by itself, cartilage, connective tissue, whole cores, slide, debris.
Tissue is laid on a sheet piece by piece (:mod:`annotator.synthetic.tissue_kinds`), each with its
class, and then photographed as a phantom is. As in a truth drawn by hand, a band along every
boundary is not counted, and so thin membranes between adipocytes are not either.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from annotator.core.classes import FAT, UNLABELLED
from annotator.core.files import write_atomic
from annotator.core.objects import Image, freeze
from annotator.imaging.codecs import encode_png
from annotator.synthetic.field_files import image_png
from annotator.synthetic.optics import mounting_film, photograph
from annotator.synthetic.stain import Stains
from annotator.synthetic.tissue_debris import print_labels
from annotator.synthetic.tissue_kinds import lay_kind
from annotator.synthetic.tissue_settings import TissueSettings, tissue_set
from annotator.synthetic.tissue_sheet import TissueSheet

__all__ = ["TissueField", "TissueSettings", "make_tissue_field", "tissue_set", "write_tissue_field"]

# From this many microns per pixel on the uncounted band is one pixel wide on each side, not two:
# of an adipocyte in an overview nothing else would be left.
_NARROW_BAND_FROM = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class TissueField:
    """A drawn field and the truth about it.

    Parameters
    ----------
    image : Image
        The picture; its ``um_per_px`` is that of the settings.
    codes : (H, W) uint8
        0 bg, 1 fat, 2 cell, 3 bone, 255 not counted.
    instances : (H, W) uint16
        One id for each adipocyte, without gaps from 1; 0 elsewhere. An adipocyte reaches into
        the uncounted band.
    settings : TissueSettings
        From which it was made.
    """

    image: Image
    codes: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    settings: TissueSettings

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", freeze(self.codes))
        object.__setattr__(self, "instances", freeze(self.instances))


def make_tissue_field(settings: TissueSettings) -> TissueField:
    """Draw the field that the settings describe; equal settings give equal pixels.

    Parameters
    ----------
    settings : TissueSettings

    Returns
    -------
    TissueField

    Examples
    --------
    >>> field = make_tissue_field(TissueSettings(seed=1, kind="bone", shape=(96, 128)))
    >>> field.image.shape, bool((field.codes == 3).any())
    ((96, 128), True)
    """
    # A random stream for each step: another camera leaves the tissue, and so the truth, as it was.
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(settings.seed).spawn(4)]
    sheet = TissueSheet.empty(settings.shape, settings.um_per_px)
    lay_kind(streams[0], sheet, settings.kind)
    grey = sheet.grey + mounting_film(streams[1], sheet.shape, sheet.um) * np.float32(settings.film)
    stains = Stains(np.maximum(sheet.h, 0), np.maximum(sheet.e, 0), np.maximum(grey, 0))
    pixels = _sharpened(photograph(streams[2], settings.photography(), stains), settings.sharpening)
    ids = np.where(sheet.codes == FAT, sheet.ids, 0)
    codes = _without_boundaries(sheet.codes, ids, sheet.um)
    print_labels(streams[3], pixels, codes, settings.printed)
    image = Image.from_pixels(pixels, settings.um_per_px, ("synthetic",))
    return TissueField(image, codes, _numbered(ids), settings)


def write_tissue_field(settings: TissueSettings, name: str, folder: Path) -> None:
    """Draw one field and write it into ``images``, ``gt`` and ``instances`` of a folder.

    Parameters
    ----------
    settings : TissueSettings
    name : str
        Of all three files, such as ``field-1.png``.
    folder : Path
        Holds the three folders.

    Raises
    ------
    OSError
        When a file cannot be written.
    """
    drawn = make_tissue_field(settings)
    write_atomic(folder / "images" / name, image_png(drawn.image))
    write_atomic(folder / "gt" / name, encode_png(np.asarray(drawn.codes)))
    write_atomic(folder / "instances" / name, encode_png(np.asarray(drawn.instances)))


def _sharpened(pixels: NDArray[np.uint8], amount: float) -> NDArray[np.uint8]:
    """Sharpen edges as many scanners do: add what a blur of one pixel takes away."""
    if not amount:
        return pixels.copy()
    blurred = cv2.GaussianBlur(pixels, (0, 0), 1.0)
    return np.asarray(cv2.addWeighted(pixels, 1 + amount, blurred, -amount, 0), np.uint8)


def _without_boundaries(
    codes: NDArray[np.uint8], ids: NDArray[np.int32], um: float
) -> NDArray[np.uint8]:
    """The codes with 255 along every boundary of a class or an adipocyte."""
    kind = codes.astype(np.int64) + ids.astype(np.int64) * 256
    edge = np.zeros(codes.shape, np.uint8)
    for here, there in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        differs = kind[here] != kind[there]
        edge[here] |= differs
        edge[there] |= differs
    if um < _NARROW_BAND_FROM:
        edge = cv2.dilate(edge, np.ones((3, 3), np.uint8)).astype(np.uint8)
    return np.where(edge > 0, UNLABELLED, codes).astype(np.uint8)


def _numbered(ids: NDArray[np.int32]) -> NDArray[np.uint16]:
    """The ids numbered from 1 without gaps."""
    used = np.unique(ids[ids > 0])
    return np.where(ids > 0, np.searchsorted(used, ids) + 1, 0).astype(np.uint16)
