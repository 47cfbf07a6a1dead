"""Pictures of single objects in their surroundings, image by image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from annotator.core.errors import ImageError
from annotator.core.progress import OnStep
from annotator.imaging.read import read_image
from annotator.pictures.object_sheets import Example
from annotator.pictures.object_tiles import draw_tile, no_tile
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
    for item in shown:
        by_image.setdefault(item.key[0], []).append(item)
    images = {image.id: image for image in study.images()}
    tiles: dict[Key, Example] = {}
    for done, (image_id, of_image) in enumerate(by_image.items(), start=1):
        tiles |= _of_image(study, images[image_id], of_image)
        on_step("pictures", done, len(by_image))
    return tiles


def _of_image(
    study: Study, image: KnownImage, shown: Iterable[ShownObject]
) -> Mapping[Key, Example]:
    described = study.described(image)
    try:
        picture = read_image(Path(image.source), study.settings.read)
    except ImageError:
        picture = None
    if described is None or picture is None or picture.id != image.id:
        return {item.key: Example(no_tile(), f"{item.caption} (no picture)") for item in shown}
    objects = described.objects
    position = {number: at for at, number in enumerate(objects.ids.tolist())}
    tiles = {}
    for item in shown:
        at = position[item.key[1]]
        tile = draw_tile(picture.pixels, objects.boxes[at], objects.crops[at], item.colour)
        tiles[item.key] = Example(tile, item.caption)
    return tiles
