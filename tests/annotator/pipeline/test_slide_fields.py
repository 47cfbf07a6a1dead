"""Fields cut from a whole slide are images of a study like any other."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.drawn_slides import UM, core_on_glass, write_svs

from annotator.cli.main import run
from annotator.cli.options import DONE, INCOMPLETE, USAGE
from annotator.core.errors import UsageError
from annotator.imaging.codecs import decode_png
from annotator.pipeline.annotate import annotate
from annotator.pipeline.results import AnnotateOptions
from annotator.pipeline.slide_fields import FieldRequest, choose_fields
from annotator.settings.images import PatientSettings
from annotator.study.patients import patients_of
from annotator.study.study import Study

SIZE = 320
REQUEST = FieldRequest(count=4, size=SIZE, um_per_px=UM)
PLAIN = AnnotateOptions(network="none")


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_svs(tmp_path_factory.mktemp("slides") / "case 7.svs", core_on_glass())


@pytest.fixture
def study(tmp_path: Path) -> Path:
    Study.create(tmp_path / "study").close()
    return tmp_path / "study"


def cut(study: Path, slide: Path, request: FieldRequest = REQUEST) -> list[str]:
    """Names of the fields that were cut and annotated."""
    with Study.open(study) as opened:
        places = choose_fields(opened, slide, request).places
        result = annotate(opened, [str(p.path) for p in places], PLAIN, lambda _: None)
    assert not result.failures
    return [row.name for row in result.rows]


def test_fields_lie_on_tissue_and_not_on_each_other(study: Path, slide: Path) -> None:
    with Study.open(study) as opened:
        for by in ("grid", "random"):
            request = FieldRequest(count=50, size=SIZE, um_per_px=UM, by=by, least_tissue=0.8)
            places = choose_fields(opened, slide, request).places
            assert len(places) >= 6
            taken = np.zeros(core_on_glass().shape[:2], np.int64)
            for place in places:
                where = slice(place.y, place.y + SIZE), slice(place.x, place.x + SIZE)
                taken[where] += 1
                # The core lies from row 400 to 1300, and from column 500 to 2100.
                rows = min(place.y + SIZE, 1300) - max(place.y, 400)
                columns = min(place.x + SIZE, 2100) - max(place.x, 500)
                assert rows * columns > 0.7 * SIZE**2
            assert taken.max() == 1


def test_the_same_seed_gives_the_same_fields_and_another_others(study: Path, slide: Path) -> None:
    with Study.open(study) as opened:
        first, again, other = (
            choose_fields(opened, slide, FieldRequest(5, "random", SIZE, UM, seed=seed)).places
            for seed in (3, 3, 4)
        )
    assert first == again != other


def test_a_second_call_cuts_other_fields(study: Path, slide: Path) -> None:
    first = cut(study, slide)
    second = cut(study, slide)
    assert len(first) == 4 and second and not {*first} & {*second}
    with Study.open(study) as opened:
        images = opened.images()
        coarse = FieldRequest(count=9, size=SIZE // 2, um_per_px=2 * UM, least_tissue=0.3)
        for place in choose_fields(opened, slide, coarse).places:
            x, y = 2 * place.x, 2 * place.y
            for image in images:
                x1, y1 = (int(part[1:]) for part in image.name.rsplit("_", 2)[1:])
                assert abs(x - x1) >= SIZE or abs(y - y1) >= SIZE
    assert {image.um_per_px for image in images} == {UM}
    assert all(image.name.startswith("case 7_x") for image in images)


def test_the_slide_is_the_patient_unless_somebody_says_otherwise(study: Path, slide: Path) -> None:
    cut(study, slide)
    with Study.open(study) as opened:
        images = opened.images()
        (study / "patients.csv").write_text("image,patient\ncase 7,Eva\n", "utf-8")
        for settings, wanted in (
            (PatientSettings(), "case 7"),
            (PatientSettings(pattern="([0-9]+)"), "7"),
            (PatientSettings(table="patients.csv"), "Eva"),
        ):
            assert set(patients_of(images, settings, study).values()) == {wanted}


def test_a_slide_that_moved_with_its_study_is_found(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    slide = write_svs(here / "case.svs", core_on_glass())
    Study.create(here / "study").close()
    cut(here / "study", slide, FieldRequest(2, "grid", SIZE, UM))
    here.rename(tmp_path / "there")
    with Study.open(tmp_path / "there" / "study") as opened:
        assert all(str(tmp_path / "there") in image.source for image in opened.images())
    assert run(["images", "list", str(tmp_path / "there" / "study"), "--check"]) == DONE


def test_a_slide_that_moved_alone_is_found_by_its_name_and_pixels(
    tmp_path: Path, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = write_svs(tmp_path / "case.svs", core_on_glass())
    cut(study, slide, FieldRequest(2, "grid", SIZE, UM))
    (tmp_path / "far" / "away").mkdir(parents=True)
    slide.rename(tmp_path / "far" / "away" / "case.svs")
    assert run(["images", "relink", str(study), str(tmp_path / "far")]) == DONE
    assert "2 pictures found" in capsys.readouterr().out
    with Study.open(study) as opened:
        assert all("far/away/case.svs/x" in image.source for image in opened.images())


def test_archives_hold_pictures_of_the_fields(study: Path, slide: Path, tmp_path: Path) -> None:
    names = cut(study, slide, FieldRequest(2, "grid", SIZE, UM))
    out = tmp_path / "voc.zip"
    assert run(["export", str(study), str(out), "--format", "voc", "--images"]) == DONE
    with zipfile.ZipFile(out) as archive:
        for name in names:
            data = archive.read(f"JPEGImages/{name}.png")
            assert data.startswith(b"\x89PNG")
            codes = archive.read(f"SegmentationClass/{name}.png")
            assert codes.startswith(b"\x89PNG")


def test_corrected_masks_of_fields_train_a_round(study: Path, slide: Path) -> None:
    names = cut(study, slide, FieldRequest(4, "grid", SIZE, UM))
    for name in names:
        data = (study / "rough" / f"{name}.png").read_bytes()
        assert decode_png(data).shape == (SIZE, SIZE)
        (study / "truth" / f"{name}.png").write_bytes(data)
    assert run(["retrain", str(study), "--from", "truth"]) == DONE
    assert run(["stats", str(study)]) == DONE
    assert run(["report", str(study)]) == DONE
    assert run(["doctor", str(study)]) == DONE


def test_what_cannot_be_cut_is_said(study: Path, slide: Path, tmp_path: Path) -> None:
    with Study.open(study) as opened, pytest.raises(UsageError, match="smaller --size"):
        choose_fields(opened, slide, FieldRequest(size=5000, um_per_px=UM))
    with pytest.raises(UsageError, match="grid or random"):
        FieldRequest(by="next")
    glass = write_svs(tmp_path / "glass.svs", core_on_glass()[1400:1800, :600])
    with Study.open(study) as opened:
        assert choose_fields(opened, glass, REQUEST).places == ()
    assert run(["slides", "fields", str(study), str(tmp_path / "no.svs")]) == USAGE


def test_info_names_files_that_are_no_slides(
    slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("no slide")
    assert run(["slides", "info", str(slide), str(tmp_path / "notes.txt")]) == INCOMPLETE
    said = capsys.readouterr().out
    assert "2600 x 1800" in said and "aperio" in said and "20x" in said and "0.5" in said
    assert "failed:" in said and "notes.txt" in said


def test_a_dry_run_changes_nothing(
    study: Path, slide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["slides", "fields", str(study), str(slide), "--size", "320", "--count", "2"]
    assert run([*words, "--dry-run"]) == DONE
    assert "Nothing was cut" in capsys.readouterr().out
    with Study.open(study) as opened:
        assert opened.images() == ()
