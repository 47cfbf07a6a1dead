"""Find out the format of what people corrected, and read its images one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from annotator.core.errors import UsageError
from export.readers.coco import PREFIX, read_coco
from export.readers.corrected import Expected, Reading
from export.readers.cvat_xml import XML_NAME, read_cvat
from export.readers.files import open_on_disk
from export.readers.geojson import geojson_names, read_geojson
from export.readers.masks import LABEL_MAP, read_masks
from export.readers.zip import DEFAULT_LIMITS, Limits, Unzipped, open_archive

# Where CVAT puts the pictures of an export with images.
_PICTURES = ("images", "JPEGImages")


@contextmanager
def reading(path: Path, expected: Expected, limits: Limits = DEFAULT_LIMITS) -> Iterator[Reading]:
    """Open an archive, a folder or a file of any supported format.

    Parameters
    ----------
    path : Path
        A zip as CVAT exports it; or GeoJSON, as QuPath exports it: one file an image, a folder
        or a zip of them.
    expected : callable
        Height and width by the name of an image in the archive; None for images that the study
        does not have.
    limits : Limits

    Yields
    ------
    Reading

    Raises
    ------
    UsageError
        When it is another kind of file, or holds anything that cannot be used: here, or while
        the images are read.
    """
    if path.is_dir() or path.suffix.lower() in (".geojson", ".json"):
        with open_on_disk(path, limits) as files:
            if not geojson_names(files):
                some = ", ".join(files.names[:3]) or "nothing"
                raise UsageError(f"expected GeoJSON, one file an image, got {some}")
            yield read_geojson(files, expected)
        return
    with open_archive(path, limits) as archive:
        found = _of_format(archive, expected)
        found.picture = _Pictures(archive).png
        yield found


class _Pictures:
    """The PNG of images that came along in an archive."""

    def __init__(self, archive: Unzipped) -> None:
        self._archive = archive
        self._entries: dict[str, list[str]] = {}
        for entry in archive.names:
            place = PurePosixPath(entry)
            if place.parts[0] in _PICTURES and place.suffix.lower() == ".png":
                self._entries.setdefault(place.stem, []).append(entry)

    def png(self, name: str) -> bytes | None:
        """The one picture of an image; None where there is none, or several, or it is damaged."""
        entries = self._entries.get(PurePosixPath(name).stem, [])
        if len(entries) != 1:
            return None
        try:
            return self._archive.read(entries[0])
        except UsageError:
            # Only the masks are needed.
            return None


def _of_format(archive: Unzipped, expected: Expected) -> Reading:
    if XML_NAME in archive:
        return read_cvat(archive, expected)
    if any(name.startswith(PREFIX) for name in archive.names):
        return read_coco(archive, expected)
    if LABEL_MAP in archive:
        return read_masks(archive, expected)
    if geojson_names(archive):
        return read_geojson(archive, expected)
    some = ", ".join(archive.names[:3]) or "nothing"
    raise UsageError(
        "expected an export of CVAT for images 1.1, COCO 1.0, Segmentation mask 1.1 or PASCAL VOC "
        f"1.1, with its files at the top of the zip, or GeoJSON files, got {some}"
    )
