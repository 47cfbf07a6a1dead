"""Find out the format of annotations that people bring, and read their images one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path, PurePosixPath

from annotator.core.classes import DEFAULT_SCHEMA, ClassSchema
from annotator.core.errors import UsageError
from annotator.core.label_names import OUR_NAMES, LabelNames
from export.archive import MANIFEST
from export.readers.coco import PREFIX, read_coco
from export.readers.corrected import Corrected, Expected, Reading, last_part
from export.readers.cvat_xml import XML_NAME, read_cvat
from export.readers.folder import is_hidden, open_entries
from export.readers.geojson import FORMAT as GEOJSON
from export.readers.geojson import SUFFIX as GEOJSON_SUFFIX
from export.readers.geojson import is_geojson, read_geojson
from export.readers.json_files import load_json
from export.readers.label_studio import LABEL_STUDIO, is_label_studio, read_label_studio
from export.readers.labelme import LABELME, read_labelme
from export.readers.labels import LabelReader
from export.readers.mask_pictures import read_mask_pictures
from export.readers.masks import LABEL_MAP, read_masks
from export.readers.zip import DEFAULT_LIMITS, Entries, Limits

COCO = "COCO"
EXPECTED = (
    "an export of CVAT (CVAT for images 1.1, COCO 1.0, Segmentation mask 1.1 or PASCAL VOC 1.1, "
    "with its files at the top of the zip), of Label Studio (JSON or COCO), GeoJSON of QuPath, "
    "files of LabelMe, or masks as PNG"
)
_JsonReader = Callable[[Entries, Sequence[str], Expected, LabelReader], Reading]
_JSON_READERS: dict[str, _JsonReader] = {
    COCO: read_coco,
    LABELME: read_labelme,
    LABEL_STUDIO: read_label_studio,
    GEOJSON: read_geojson,
}

# Where CVAT puts the pictures of an export with images.
_PICTURES = ("images", "JPEGImages")
_DOCUMENTS = (".json", GEOJSON_SUFFIX)


@contextmanager
def reading(
    path: Path,
    expected: Expected,
    names: LabelNames = OUR_NAMES,
    schema: ClassSchema = DEFAULT_SCHEMA,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Reading]:
    """Open an archive, a folder or a file of any supported format.

    Parameters
    ----------
    path : Path
        A zip, a folder, or one file of JSON, GeoJSON, XML or PNG.
    expected : callable
        Height and width by the name of an image in the archive; None for images that the study
        does not have.
    names : LabelNames
        What labels mean that are not the names of our classes.
    schema : ClassSchema
        The colours of the study, for masks that are painted in them.
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
    labels = LabelReader(names, schema)
    with open_entries(path, limits) as archive:
        found = _of_format(archive, expected, labels)
        if found.format != LABELME:  # it keeps the picture inside its own file
            found.picture = _Pictures(archive).png
        found.images = _with_label_notes(found.images, labels, found.notes)
        yield found


class _Pictures:
    """The PNG of images that came along in an archive."""

    def __init__(self, archive: Entries) -> None:
        self._archive = archive
        self._entries: dict[str, list[str]] = {}
        for entry in archive.names:
            place = PurePosixPath(entry)
            if place.parts[0] in _PICTURES and place.suffix.lower() == ".png":
                self._entries.setdefault(place.stem, []).append(entry)

    def png(self, name: str) -> bytes | None:
        """The one picture of an image; None where there is none, or several, or it is damaged."""
        entries = self._entries.get(PurePosixPath(last_part(name)).stem, [])
        if len(entries) != 1:
            return None
        try:
            return self._archive.read(entries[0])
        except UsageError:
            # Only the masks are needed.
            return None


def _of_format(archive: Entries, expected: Expected, labels: LabelReader) -> Reading:
    names = [n for n in archive.names if not is_hidden(n) and last_part(n) != MANIFEST]
    if XML_NAME in archive:
        return read_cvat(archive, expected, labels)
    subsets = [name for name in names if name.startswith(PREFIX) and name.endswith(".json")]
    if subsets:
        return read_coco(archive, subsets, expected, labels)
    if LABEL_MAP in archive:
        return read_masks(archive, expected, labels)
    pictures = [name for name in names if name.lower().endswith(".png")]
    documents = [name for name in names if name.lower().endswith(_DOCUMENTS)]
    if documents:
        found = _of_json(archive, documents, expected, labels, bool(pictures))
        if found is not None:
            return found
    if pictures:
        return read_mask_pictures(archive, pictures, expected, labels)
    some = ", ".join(names[:3]) or "nothing"
    if any(name.lower().endswith((".jpg", ".jpeg")) for name in names):
        some += "; a mask as JPEG has other codes than it was painted with: save it as PNG"
    raise UsageError(f"expected {EXPECTED}, got {some}")


def _of_json(
    archive: Entries,
    documents: Sequence[str],
    expected: Expected,
    labels: LabelReader,
    beside_pictures: bool,
) -> Reading | None:
    """The format of files of JSON, which is told by what stands in them.

    None where they are of no kind that is read, and lie beside pictures, which may be masks.
    """
    names: dict[str, list[str]] = {}
    others: list[Corrected] = []
    for name in documents:
        try:
            kind = _kind(archive, name)
        except UsageError as error:
            others.append(Corrected(name, None, refused=str(error)))
            continue
        if kind:
            names.setdefault(kind, []).append(name)
        else:
            others.append(Corrected(name, None, refused=f"expected {EXPECTED}"))
    if not names and beside_pictures:
        return None
    if len(names) != 1:
        kinds = ", ".join(f"{places[0]} ({kind})" for kind, places in sorted(names.items()))
        what = kinds or "; ".join(f"{one.name}: {one.refused}" for one in others[:3])
        raise UsageError(f"expected annotations of one kind ({EXPECTED}), got {what}")
    ((kind, places),) = names.items()
    found = _JSON_READERS[kind](archive, places, expected, labels)
    found.images = chain(found.images, others)
    return found


def _kind(archive: Entries, name: str) -> str:
    # What is called so is GeoJSON, also where it is damaged: its reader says what is wrong.
    if name.lower().endswith(GEOJSON_SUFFIX):
        return GEOJSON
    return json_kind(load_json(archive.read(name), name))


def json_kind(document: object) -> str:
    """The format of a document; empty for none that is read.

    Examples
    --------
    >>> json_kind({"shapes": [], "imagePath": "a.png"}), json_kind([{"annotations": []}])
    ('LabelMe', 'Label Studio')
    """
    if is_geojson(document):
        return GEOJSON
    if isinstance(document, list):
        tasks = all(isinstance(task, dict) for task in document) and document
        return LABEL_STUDIO if tasks and is_label_studio(document[0]) else ""
    if isinstance(document, dict):
        if {"images", "annotations", "categories"} <= document.keys():
            return COCO
        if {"shapes", "imagePath"} <= document.keys():
            return LABELME
        if is_label_studio(document):
            return LABEL_STUDIO
    return ""


def _with_label_notes(
    images: Iterator[Corrected], labels: LabelReader, notes: list[str]
) -> Iterator[Corrected]:
    """The images, and after the last one what is to be said about labels."""
    yield from images
    notes.extend(labels.notes())
