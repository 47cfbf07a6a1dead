"""Pictures of single objects in their surroundings, image by image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from annotator.core.errors import ImageError
from annotator.core.progress import OnStep
from annotator.imaging.read import read_image
from annotator.pictures.object_tiles import TILE, Example, in_context
from annotator.study.rough import KnownImage
from annotator.study.study import Study

Key = tuple[str, int]
Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class ShownObject:
    """An object to show: its outline's colour, and what stands below."""

    key: Key
    colour: Rgb
    caption: str


def examples(study: Study, shown: Iterable[ShownObject], on_step: OnStep) -> dict[Key, Example]:
    """Cut objects with their surroundings out of their pictures; each picture is read once.

    Where a picture is gone or has changed, the tile is grey.

    Parameters
    ----------
    study : Study
    shown : iterable of ShownObject
    on_step : callable
        Told what is being done, how much of it is done, and how much there is.
    """
    by_image: dict[str, list[ShownObject]] = {}
    for one in shown:
        by_image.setdefault(one.key[0], []).append(one)
    images = {image.id: image for image in study.images()}
    found: dict[Key, Example] = {}
    for done, (image_id, of_image) in enumerate(by_image.items(), start=1):
        found |= _of_image(study, images[image_id], of_image)
        on_step("pictures", done, len(by_image))
    return found


def _of_image(
    study: Study, image: KnownImage, shown: Iterable[ShownObject]
) -> Mapping[Key, Example]:
    described = study.described(image)
    try:
        picture = read_image(Path(image.source), study.settings.read)
    except ImageError:
        picture = None
    if described is None or picture is None or picture.id != image.id:
        grey = np.full((TILE, TILE, 3), 190, np.uint8)
        return {one.key: Example(grey, f"{one.caption} (no picture)") for one in shown}
    position = {number: at for at, number in enumerate(described.objects.ids.tolist())}
    return {
        one.key: Example(
            in_context(picture, described.objects, position[one.key[1]], one.colour), one.caption
        )
        for one in shown
    }
