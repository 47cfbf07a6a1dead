"""Synthetic H&E bone-marrow fields with exact truth.

A phantom is laid out first (:mod:`annotator.synthetic.layout`: every pixel's class
and instance), stained second (:mod:`annotator.synthetic.stain`: optical density
of haematoxylin and eosin), and photographed last (:mod:`annotator.synthetic.optics`).
The truth therefore does not depend on how well anything can be seen. All lengths
are microns and are divided by ``um_per_px``, so the same rules make a field at 0.25 um a pixel
(40x) and an overview at 4 um.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.core.objects import Image, freeze
from annotator.synthetic.layout import lay_out
from annotator.synthetic.optics import empty_lumens, photograph
from annotator.synthetic.settings import PhantomSettings, phantom_set
from annotator.synthetic.stain import stain_tissue

__all__ = ["Phantom", "PhantomSettings", "make_phantom", "phantom_set"]


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """A synthetic field and the truth about it.

    Parameters
    ----------
    image : Image
        The picture; its ``um_per_px`` is that of the settings.
    classes : (H, W) uint8
        0 bg, 1 fat, 2 cell, 3 bone; every pixel has a class.
    instances : (H, W) int32
        One id for each adipocyte and each connected piece of bone, 0 elsewhere.
    settings : PhantomSettings
        From which it was made.

    Raises
    ------
    ValueError
        When the truth has another height or width than the image.
    """

    image: Image
    classes: NDArray[np.uint8]
    instances: NDArray[np.int32]
    settings: PhantomSettings

    def __post_init__(self) -> None:
        shape = self.image.shape
        if self.classes.shape != shape or self.instances.shape != shape:
            raise ValueError(
                f"truth {self.classes.shape}, {self.instances.shape} does not fit image {shape}"
            )
        object.__setattr__(self, "classes", freeze(self.classes))
        object.__setattr__(self, "instances", freeze(self.instances))


def make_phantom(settings: PhantomSettings) -> Phantom:
    """Make the field that the settings describe; equal settings give equal pixels.

    Parameters
    ----------
    settings : PhantomSettings

    Returns
    -------
    Phantom

    Examples
    --------
    >>> phantom = make_phantom(PhantomSettings(shape=(96, 128), um_per_px=1.0))
    >>> phantom.image.shape, phantom.classes.dtype
    ((96, 128), dtype('uint8'))
    """
    # A random stream for each step: changing how tissue is stained leaves the layout, and so the
    # truth, as it was.
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(settings.seed).spawn(4)]
    layout = lay_out(streams[0], settings)
    stains = stain_tissue(streams[1], settings, layout)
    stains = empty_lumens(streams[2], settings, layout, stains)
    pixels = photograph(streams[3], settings, stains)
    image = Image.from_pixels(pixels, settings.um_per_px, ("synthetic",))
    return Phantom(image, layout.classes, layout.instances, settings)
