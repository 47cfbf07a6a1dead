"""Regions leave drafts, tables, comparisons and training, and come back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.labelled_studies import set_objects
from support.measured_studies import SHAPE, add, field

from active_learning.rounds.add_labels import labels_from_truth
from active_learning.rounds.dataset import gather, learning_set
from annotator.core.classes import CELL, FAT, UNLABELLED
from annotator.core.errors import UsageError
from annotator.core.objects import objects_from_labels
from annotator.evaluation.counts import Tolerance, count
from annotator.evaluation.pairs import Folders, pairs_of_study
from annotator.imaging.codecs import decode_png
from annotator.measurements.summary import excluded_lines
from annotator.measurements.table import dataset
from annotator.measurements.table_files import columns
from annotator.pipeline.excluded import exclude_region, list_regions, restore_regions
from annotator.pipeline.network.corrected_fields import corrected_fields
from annotator.study.study import Study
from export.dataset.export import export_study
from export.shapes import ExportOptions


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as made:
        add(made, "a.png", field(), um_per_px=0.5)
        add(made, "b.png", field(bone=5), truth=field(bone=2))
        yield made


def outline(tmp_path: Path, x0: int, y0: int, x1: int, y1: int, name: str | None = None) -> Path:
    corners = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    properties = {} if name is None else {"classification": {"name": name}}
    geometry = {"type": "Polygon", "coordinates": [corners]}
    one = {"type": "Feature", "geometry": geometry, "properties": properties}
    path = tmp_path / f"{name or 'pen'}.geojson"
    path.write_text(json.dumps([one]), "utf-8")
    return path


@pytest.mark.parametrize("name", [None, "exclude"])
def test_a_draft_is_drawn_again_and_counted_without_it(
    study: Study, tmp_path: Path, name: str | None
) -> None:
    (image, _) = study.images()
    report = exclude_region(study, "a.png", outline(tmp_path, 0, 0, 25, 40, name), "pen", "eva")
    assert (report.regions, report.excluded_px, report.share, report.notes) == (1, 1000, 0.5, ())
    codes, _, overlay = study.rough.paths(image)
    left = decode_png(codes.read_bytes())
    assert (left[:, :25] == UNLABELLED).all()
    assert (left[:, 25:] == CELL).all()
    drawn = cv2.imread(str(overlay))
    assert drawn is not None
    assert drawn.shape[:2] == SHAPE
    assert not study.rough.edited(image)
    annotation = study.rough.annotation(image)
    assert annotation is not None
    assert annotation.areas_px == {"bg": 0, "fat": 0, "cell": 1000, "bone": 0, "unlabelled": 0}
    assert annotation.cellularity == 1.0
    assert annotation.notes == ("1000 px unlabelled: excluded (pen)",)


def test_what_a_person_drew_into_a_draft_stays(study: Study, tmp_path: Path) -> None:
    (image, _) = study.images()
    path, _, _ = study.rough.paths(image)
    data = bytearray(path.read_bytes())
    codes = decode_png(bytes(data)).copy()
    codes[0, 0] = FAT
    assert cv2.imwrite(str(path), codes)
    before = path.read_bytes()
    report = exclude_region(study, "a", outline(tmp_path, 0, 0, 25, 40), "pen", "eva")
    assert "edited by a person" in report.notes[0]
    assert path.read_bytes() == before
    assert (study.rough.read(image).classes[:, :25] == UNLABELLED).all()


def test_the_table_counts_it_apart(study: Study, tmp_path: Path) -> None:
    old = list(columns(dataset(study).rows[0]))
    assert old[-2:] == ["excluded_px", "excluded_um2"]
    # The left half with the large fat square, and the upper one at the border.
    exclude_region(study, "a", outline(tmp_path, 0, 0, 25, 40), "pen", "eva")
    exclude_region(study, "b", outline(tmp_path, 0, 0, 10, 40), "fold", "eva")
    first, second = dataset(study).rows
    row = columns(first)
    assert (row["excluded_px"], row["excluded_um2"]) == (1000, 250.0)
    assert (row["cell_pct"], row["unlabelled_pct"], row["cellularity"]) == (100.0, 0.0, 1.0)
    assert row["area_mm2"] == row["tissue_mm2"] == pytest.approx(250e-6)
    assert row["adipocytes"] == 0
    # Half of the large square, 50 px, is left of the truth of the other one, and no longer whole.
    assert (second.source, second.excluded_px, second.excluded_um2) == ("truth", 400, None)
    assert second.areas_pct["fat"] == pytest.approx(100 * (50 + 20) / 1600)
    assert second.areas_pct["bone"] == pytest.approx(100 * 80 / 1600)
    assert second.areas_pct["unlabelled"] == 0
    assert second.cellularity == pytest.approx((1600 - 80 - 70) / (1600 - 80))
    assert (second.adipocytes.count, second.adipocytes.whole) == (2, 0)
    (line,) = excluded_lines((first, second))
    assert "1400 px, 35.0 % of all images, in 2 of 2: a, b" in line


def test_an_image_of_which_nothing_is_left_has_no_row(study: Study, tmp_path: Path) -> None:
    exclude_region(study, "a", outline(tmp_path, 0, 0, 50, 40), "pen", "eva")
    found = dataset(study)
    assert [row.name for row in found.rows] == ["b"]
    assert [(one.name, one.reason) for one in found.faults] == [("a", "all of it is excluded")]


def test_exports_and_comparisons_leave_it_out(study: Study, tmp_path: Path) -> None:
    exclude_region(study, "b", outline(tmp_path, 40, 0, 50, 40), "fold", "eva")
    export_study(study, "labelmap", tmp_path / "set", ExportOptions())
    mask = decode_png((tmp_path / "set" / "masks" / "b.png").read_bytes())
    assert (mask[:, 40:] == UNLABELLED).all()
    assert (mask[:, :40] != UNLABELLED).all()
    assert "excluded by a person" in (tmp_path / "set" / "README.md").read_text("utf-8")
    (pair,) = pairs_of_study(study, Folders()).found
    counted = count(pair, Tolerance())
    # The maps differ in bone alone, which lies in what is excluded.
    assert counted.confusion.sum() == 1600
    assert counted.confusion[3].sum() == counted.confusion[:, 3].sum() == 0


def test_neither_objects_nor_networks_learn_from_it(study: Study, tmp_path: Path) -> None:
    (_, image) = study.images()
    labels = np.zeros(SHAPE, np.int32)
    labels[10:20, 5:15], labels[0:4, 20:25], labels[30:35, 20:30] = 1, 2, 3
    set_objects(study, image, objects_from_labels(image.id, labels), "look 1")
    labels_from_truth(study, "truth")
    exclude_region(study, "b", outline(tmp_path, 0, 5, 15, 25), "pen", "eva")
    labels_from_truth(study, "truth")
    objects = gather_known(study)
    assert objects.table.object_ids.tolist() == [2, 3]
    assert objects.orphaned == 0
    learned = learning_set(study, objects, "both")
    assert {label.object_id: label.code for label in learned.labels} == {2: FAT, 3: CELL}
    (one,) = corrected_fields(study).fields
    assert (one.codes[5:25, :15] == UNLABELLED).all()
    assert (one.codes[25:] != UNLABELLED).all()
    restore_regions(study, [1], "no pen", "eva")
    assert gather_known(study).table.object_ids.tolist() == [1, 2, 3]


def gather_known(study: Study):  # type: ignore[no-untyped-def]
    class SameFeatures:
        """The study with drawn objects, whose features no settings make."""

        features = "f" * 16

        def __getattr__(self, name: str) -> object:
            return getattr(study, name)

    (image,) = [image for image in study.images() if study.objects_path(image).exists()]
    return gather(SameFeatures(), [image])  # type: ignore[arg-type]


def test_regions_are_listed_and_come_back(study: Study, tmp_path: Path) -> None:
    exclude_region(study, "b", outline(tmp_path, 0, 0, 10, 40), "fold", "eva")
    exclude_region(study, "a", outline(tmp_path, 0, 0, 5, 40), "pen", "bob")
    listed = [
        (one.image, one.number, one.pixels, one.why, one.author) for one in list_regions(study)
    ]
    assert listed == [("a", 2, 200, "pen", "bob"), ("b", 1, 400, "fold", "eva")]
    (report,) = restore_regions(study, [2], "wrong image", "eva")
    assert (report.image, report.regions, report.excluded_px) == ("a", 1, 0)
    assert "trephine annotate" in report.notes[0]
    assert [one.restored for one in list_regions(study, ["a.png"])] == ["wrong image"]


def test_what_excludes_nothing_is_refused(study: Study, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"class 'exclude'.*got none"):
        exclude_region(study, "a", outline(tmp_path, 0, 0, 5, 40, "fat"), "pen", "eva")
    with pytest.raises(UsageError, match="names of images"):
        exclude_region(study, "c", outline(tmp_path, 0, 0, 5, 40), "pen", "eva")
    with pytest.raises(UsageError, match="cannot be read"):
        exclude_region(study, "a", tmp_path / "no.geojson", "pen", "eva")
    assert list_regions(study) == []
