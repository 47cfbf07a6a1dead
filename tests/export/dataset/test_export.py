"""The data set that ``--format labelmap`` writes, read back by other libraries."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from support.hostile_texts import HOSTILE, cells_that_run
from support.measured_studies import add, field, paint

from annotator.core.csv import plain, write_table
from annotator.core.errors import ExportError
from annotator.imaging.codecs import encode_png
from annotator.settings.images import PatientSettings
from annotator.settings.study import Settings
from annotator.study.study import Study
from export.dataset.data_card import text
from export.dataset.export import export_study
from export.dataset.split import Split
from export.shapes import ExportOptions

OPTIONS = ExportOptions()
BY_PATIENT = Settings(patients=PatientSettings(pattern="^(.+)_"))


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study", BY_PATIENT) as made:
        add(made, "ann_1.png", field(), truth=field(bone=5))
        add(made, "ann_2.png", field(bone=10))
        add(made, "=bob_1.png", field(unlabelled=3), um_per_px=0.25)
        add(made, "cy_1.png", None)
        yield made


def rows(path: Path) -> list[dict[str, str]]:
    found = csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline=""))
    return [{key: plain(cell) for key, cell in row.items()} for row in found]


def array(path: Path) -> np.ndarray:
    with Picture.open(path) as picture:
        return np.array(picture)


def test_a_data_set_is_whole(study: Study, tmp_path: Path) -> None:
    out = tmp_path / "set"
    report = export_study(study, "labelmap", out, OPTIONS)
    assert report.images == 3
    for place in ("images", "masks", "instances/fat", "instances/bone"):
        assert sorted(p.stem for p in (out / place).glob("*.png")) == ["=bob_1", "ann_1", "ann_2"]
    assert {p.name for p in out.iterdir() if p.is_file()} == {
        "README.md",
        "classes.json",
        "dataset.csv",
        "split.csv",
        "trephine-export.json",
    }
    hashes = json.loads((out / "trephine-export.json").read_text())["sha256"]
    assert "images/ann_1.png" in hashes


def test_truth_goes_before_rough(study: Study, tmp_path: Path) -> None:
    out = tmp_path / "set"
    export_study(study, "labelmap", out, OPTIONS)
    assert np.array_equal(array(out / "masks" / "ann_1.png"), field(bone=5).classes)
    assert np.array_equal(array(out / "masks" / "ann_2.png"), field(bone=10).classes)
    labels = {row["image"]: row["labels"] for row in rows(out / "split.csv")}
    assert labels == {"ann_1": "truth", "ann_2": "rough", "=bob_1": "rough"}
    assert array(out / "instances" / "bone" / "ann_1.png").max() > 0


def test_pictures_are_exact_and_carry_nothing_else(study: Study, tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    pixels = paint(field().classes, 9)
    info = PngInfo()
    info.add_text("PatientName", "Miller")
    path = tmp_path / "pictures" / "dan_1.png"
    Picture.fromarray(pixels).save(path, pnginfo=info, dpi=(254, 254))
    add(study, "other.png", None)
    from annotator.core.objects import Image

    image = study.register(Image.from_pixels(pixels, None, ()).id, str(path), (40, 50), None, ())
    (study.path / "truth" / f"{image.name}.png").write_bytes(encode_png(field().classes))
    out = tmp_path / "set"
    export_study(study, "labelmap", out, OPTIONS)
    written = out / "images" / "dan_1.png"
    assert np.array_equal(array(written), pixels)
    assert b"Miller" in path.read_bytes()
    with Picture.open(written) as picture:
        assert picture.info == {}
    assert not any(b"Miller" in file.read_bytes() for file in out.rglob("*") if file.is_file())


@pytest.mark.slow
def test_no_patient_is_on_two_sides_and_none_moves(study: Study, tmp_path: Path) -> None:
    export_study(study, "labelmap", tmp_path / "a", OPTIONS, Split(seed=3))
    before = {row["image"]: row["split"] for row in rows(tmp_path / "a" / "split.csv")}
    assert before["ann_1"] == before["ann_2"]
    for number in range(12):
        add(study, f"p{number}_1.png", field(bg=number))
        add(study, f"p{number}_2.png", field(bg=number + 1, bone=1))
    export_study(study, "labelmap", tmp_path / "b", OPTIONS, Split(seed=3))
    after = rows(tmp_path / "b" / "split.csv")
    assert {row["image"]: row["split"] for row in after if row["image"] in before} == before
    sides: dict[str, set[str]] = {}
    for row in after:
        sides.setdefault(row["patient"], set()).add(row["split"])
    assert {len(held) for held in sides.values()} == {1}
    assert len({row["split"] for row in after}) > 1


def test_the_card_says_what_is_in_the_set(study: Study, tmp_path: Path) -> None:
    out = tmp_path / "set"
    export_study(study, "labelmap", out, OPTIONS, Split(seed=7, shares=(80, 10, 10)))
    card = (out / "README.md").read_text()
    assert re.search(r"\b3 .*fields of 2 patients", card)
    assert "1 with corrected masks" in card
    assert "Licence: TO BE FILLED IN" in card
    assert "By patient, seed 7" in card
    assert "- 2 images: rough annotations" in card
    assert "classes 2 by seed" in card
    assert "0.25 to 0.25 um" in card and "unknown for 2 of 3" in card
    # 2,000 px each: 100 + 200 + 0 of bone, 60 of 20 x 3 columns open.
    assert "| bone | 3 | `#000080` |" in card
    assert card.split("cartilage and muscle | ")[1].startswith("600 |")
    assert "cy\\_1" in card


def test_a_picture_that_went_away_is_named_and_its_mask_stays(study: Study, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "ann_2.png").unlink()
    out = tmp_path / "set"
    report = export_study(study, "labelmap", out, OPTIONS)
    assert any(note.startswith("ann_2: exported without its picture") for note in report.notes)
    assert report.incomplete == ("ann_2",)
    assert (out / "masks" / "ann_2.png").exists()
    assert not (out / "images" / "ann_2.png").exists()
    files = {row["image"]: row["image_file"] for row in rows(out / "split.csv")}
    assert files == {"ann_1": "images/ann_1.png", "ann_2": "", "=bob_1": "images/=bob_1.png"}
    assert "1 without a picture" in (out / "README.md").read_text()


def test_a_bad_mask_is_left_out_and_named(study: Study, tmp_path: Path) -> None:
    (study.path / "truth" / "ann_1.png").write_bytes(b"nothing")
    report = export_study(study, "labelmap", tmp_path / "set", OPTIONS)
    assert report.images == 2
    assert any(note.startswith("ann_1: left out:") for note in report.notes)
    assert "ann\\_1" in (tmp_path / "set" / "README.md").read_text()


def test_two_exports_are_byte_equal(study: Study, tmp_path: Path) -> None:
    for name in ("a", "b"):
        export_study(study, "labelmap", tmp_path / name, OPTIONS)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(files) > 12
    for file in files:
        if (tmp_path / "a" / file).is_file():
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_sides_that_nobody_fell_to_are_told(study: Study, tmp_path: Path) -> None:
    report = export_study(study, "labelmap", tmp_path / "set", OPTIONS, Split(shares=(0, 0, 100)))
    assert report.notes == ()
    split = Split()
    while not split.empty_sides(("ann", "=bob")):
        split = Split(split.seed + 1)
    report = export_study(study, "labelmap", tmp_path / "few", OPTIONS, split)
    assert any("no patient fell to" in note for note in report.notes)


def test_nothing_to_export_is_said(tmp_path: Path) -> None:
    with Study.create(tmp_path / "empty") as empty, pytest.raises(ExportError):
        export_study(empty, "labelmap", tmp_path / "set", OPTIONS)
    assert not (tmp_path / "set").exists()


def test_names_are_text_in_the_card() -> None:
    assert text("a\n# b <script> [x](y) `z` | ~~") == (
        "a \\# b &lt;script&gt; \\[x\\]\\(y\\) \\`z\\` \\| \\~\\~"
    )


def test_hostile_patients_are_text_and_come_back(tmp_path: Path) -> None:
    table = write_table(
        ["image", "patient"], [(f"field {at:02d}", text) for at, text in enumerate(HOSTILE)]
    )
    settings = Settings(patients=PatientSettings(table="who.csv"))
    with Study.create(tmp_path / "study", settings) as study:
        (study.path / "who.csv").write_bytes(table)
        for at in range(len(HOSTILE)):
            add(study, f"field {at:02d}.png", field())
        export_study(study, "labelmap", tmp_path / "set", OPTIONS)
    for name in ("split.csv", "dataset.csv"):
        assert cells_that_run((tmp_path / "set" / name).read_bytes()) == []
        assert [row["patient"] for row in rows(tmp_path / "set" / name)] == list(HOSTILE)


@pytest.mark.parametrize("form", ["voc", "coco", "geojson"])
def test_a_mask_whose_picture_was_replaced_is_named_in_every_format(
    study: Study, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "pictures" / "ann_2.png"
    Picture.fromarray(paint(field().classes, 77)).save(path)
    (tmp_path / "pictures" / "ann_1.png").unlink()
    report = export_study(study, form, tmp_path / "out", OPTIONS)
    assert report.images == 3
    assert report.incomplete == ("ann_2",)
    assert [note for note in report.notes if note.startswith("ann_2: its file holds other pixels")]


@pytest.mark.parametrize("form", ["labelmap", "geojson"])
def test_a_folder_is_not_called_like_a_zip(study: Study, tmp_path: Path, form: str) -> None:
    with pytest.raises(ExportError, match="call it x"):
        export_study(study, form, tmp_path / "x.zip", OPTIONS)
    assert not (tmp_path / "x.zip").exists()
