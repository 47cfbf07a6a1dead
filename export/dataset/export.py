"""Export a study: which images, under which names, with which labels and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from annotator.core.csv import write_table
from annotator.core.errors import ExportError
from annotator.core.hashing import fingerprint
from annotator.core.label_maps import LabelMaps
from annotator.imaging.slide_region import SlideRegion, file_name
from annotator.measurements.summary import Dataset, Row
from annotator.measurements.table import dataset
from annotator.measurements.table_files import rows_csv
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from export.dataset.data_card import SPLIT_COLUMNS, CardFacts, data_card, split_rows
from export.dataset.split import Split
from export.formats.labelmap import write_labelmap
from export.formats.write import write_export
from export.shapes import ExportImage, ExportOptions, ExportReport
from export.source_pictures import SourcePicture, is_turned


def export_study(
    study: Study, form: str, out: Path, options: ExportOptions, split: Split | None = None
) -> ExportReport:
    """Write the annotations of a study as they are now, edits included.

    ``labelmap`` is a data set to train on: corrected masks where there are any, else the
    rough annotation, with pictures, tables, a split by patients and a data card. The other
    formats go to programs in which rough annotations are corrected, and hold those.

    Parameters
    ----------
    study : Study
    form : str
        One of :data:`export.formats.write.FORMATS`.
    out : Path
    options : ExportOptions
    split : Split, optional
        For ``labelmap``.

    Returns
    -------
    ExportReport

    Raises
    ------
    ExportError
        When there is nothing to export, or a file that must not be replaced is in the way.
    StudyError
        When a file of an annotation is missing or damaged; from a ``labelmap`` such an image is
        left out, and the report says so.
    """
    if form == "labelmap":
        return _export_data_set(study, out, options, split or Split())
    report = write_export(form, out, export_images(study), study.settings.classes, options)
    # Pictures that go along were compared while they were written.
    return report if options.images else _name_replaced(study, report)


def _name_replaced(study: Study, report: ExportReport) -> ExportReport:
    """Name the masks that went out alone and whose picture is another one by now.

    They are whole and may be wanted; beside the picture of their name they would be wrong.
    """
    replaced = tuple(
        image.name
        for image in study.images()
        if study.rough.annotation(image) is not None
        and SourcePicture(image, study.settings.read).is_replaced()
    )
    notes = tuple(
        f"{name}: its file holds other pixels now, and this mask is of the earlier picture; "
        "annotate it again"
        for name in replaced
    )
    return replace(
        report, notes=(*report.notes, *notes), incomplete=(*report.incomplete, *replaced)
    )


def export_images(study: Study) -> Iterator[ExportImage]:
    """Yield the annotated images in order of their names, one in memory at a time."""
    for image in study.images():
        if study.rough.annotation(image) is None:
            continue
        picture = SourcePicture(image, study.settings.read)
        is_file = SlideRegion.from_path(PurePath(image.source)) is None
        yield ExportImage(
            image.name,
            file_name(image.source),
            study.rough.read(image),
            confidence=study.rough.confidence(image),
            um_per_px=image.um_per_px,
            source_path=Path(image.source) if is_file else None,
            picture=None if is_file else picture.png,
            check_source=picture.check,
            is_turned=is_turned(image),
        )


# The data set


def _export_data_set(study: Study, out: Path, options: ExportOptions, split: Split) -> ExportReport:
    found = dataset(study)

    def beside(missing: Sequence[str]) -> Mapping[str, bytes | str]:
        return {
            "dataset.csv": rows_csv(found.rows),
            "split.csv": write_table(SPLIT_COLUMNS, split_rows(found.rows, split, missing)),
            "README.md": data_card(found, _facts(study, found, split, missing)),
        }

    images = data_set_images(study, found.rows)
    report = write_labelmap(out, images, study.settings.classes, options, beside)
    left_out = [f"{one.name}: left out: {one.reason}" for one in found.faults]
    empty = split.empty_sides(row.patient for row in found.rows)
    sides = [f"no patient fell to {' and '.join(empty)}: another --seed, or more patients"]
    notes = (*report.notes, *left_out, *(sides if empty else ()))
    faults = tuple(one.name for one in found.faults)
    return replace(report, notes=notes, incomplete=(*report.incomplete, *faults))


def data_set_images(study: Study, rows: Sequence[Row]) -> Iterator[ExportImage]:
    """Yield the images of a data table with the labels that were measured, and their pictures."""
    known = {image.id: image for image in study.images()}
    for row in rows:
        image = known[row.image_id]
        yield ExportImage(
            image.name,
            file_name(image.source),
            _labels(study, image, row),
            um_per_px=image.um_per_px,
            picture=SourcePicture(image, study.settings.read).png,
        )


def _labels(study: Study, image: KnownImage, row: Row) -> LabelMaps:
    if row.source == "rough":
        return study.rough.read(image)
    truth = study.truth.read(image.name, image.shape)
    if truth is None:
        raise ExportError(f"{image.name}: its corrected mask went away meanwhile; export again")
    return truth


def _facts(study: Study, found: Dataset, split: Split, missing: Sequence[str]) -> CardFacts:
    known = {image.id: image for image in study.images()}
    rough = [known[row.image_id] for row in found.rows if row.source == "rough"]
    annotations = [study.rough.annotation(image) for image in rough]
    sources = Counter(one.source for one in annotations if one is not None)
    settings = fingerprint(study.settings)
    ordered = dict(sorted(sources.items()))
    return CardFacts(study.settings.classes, split, settings, ordered, missing)
