"""Write an export in any of the formats."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from annotator.core.classes import ClassSchema
from annotator.core.errors import ExportError
from export.formats.coco import write_coco
from export.formats.geojson import write_geojson
from export.formats.labelmap import write_labelmap
from export.formats.voc import write_voc
from export.shapes import ExportImage, ExportOptions, ExportReport

_WRITERS = {
    "voc": write_voc,
    "labelmap": write_labelmap,
    "coco": write_coco,
    "geojson": write_geojson,
}
FORMATS = tuple(_WRITERS)


def write_export(
    name: str,
    out: Path,
    images: Iterable[ExportImage],
    schema: ClassSchema,
    options: ExportOptions | None = None,
) -> ExportReport:
    """Write images in one of :data:`FORMATS`.

    Parameters
    ----------
    name : str
        ``voc`` and ``coco`` make a zip, ``labelmap`` and ``geojson`` a folder.
    out : Path
        The zip or the folder. It is written beside its place and moved in when
        it is whole. A zip that exists is refused, unless `options.overwrite`; a
        folder that exists may be an earlier export that nobody changed since.
    images : iterable of ExportImage
        Taken one by one, so that memory does not grow with their number.
    schema : ClassSchema
    options : ExportOptions, optional

    Returns
    -------
    ExportReport

    Raises
    ------
    ExportError
        When the format is unknown, there is nothing to export, two images have
        the same name, or a file that must not be replaced is in the way.
    StorageError
        When the place cannot be written or is full.
    """
    if name not in _WRITERS:
        raise ExportError(f"format {name!r}: expected one of {', '.join(FORMATS)}")
    return _WRITERS[name](out, images, schema, options or ExportOptions())
