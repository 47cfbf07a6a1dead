"""From a study to an archive: which images, under which names, with which pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from annotator.store import Study
from export.formats import write_export
from export.record import ExportImage, ExportOptions, ExportReport


def export_study(study: Study, form: str, out: Path, options: ExportOptions) -> ExportReport:
    """Write all rough annotations of a study, as they lie there now, edits included.

    Parameters
    ----------
    study : Study
    form : str
        One of :data:`export.formats.FORMATS`.
    out : Path
    options : ExportOptions

    Raises
    ------
    ExportError
        When there is nothing to export, or something of others is in the way.
    StudyError
        When a file of an annotation is missing or holds something else.
    """
    return write_export(form, out, export_images(study), study.settings.classes, options)


def export_images(study: Study) -> Iterator[ExportImage]:
    """Yield the annotated images in order of their names, one in memory at a time."""
    for image in study.images():
        if study.rough.annotation(image) is None:
            continue
        source = Path(image.source)
        yield ExportImage(
            image.name,
            source.name,
            study.rough.read(image),
            confidence=study.rough.confidence(image),
            um_per_px=image.um_per_px,
            source_path=source,
        )
