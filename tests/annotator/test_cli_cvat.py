"""The command ``trephine pull``: exit codes, the table, JSON."""

import json
from pathlib import Path

import pytest
from pulled_studies import RECORDED, add_image

from annotator.cli import run
from annotator.cli_parts import DONE, USAGE
from annotator.store import Study

CVAT = str(RECORDED / "tiny_CVAT_for_images_1.1.zip")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Study.create(tmp_path / "study") as study:
        add_image(study)
    return tmp_path / "study"


def test_pull_says_what_was_corrected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pull", str(folder), "--from", CVAT]) == DONE
    out = capsys.readouterr().out
    assert "1 image(s) from CVAT for images 1.1: 1 new." in out
    assert "not in the study: 'tile_002.png'" in out
    assert f"trephine retrain {folder} --from truth" in out
    assert "relabelled" in out
    assert "15.7 %" in out


def test_pull_tells_what_was_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["pull", str(folder), "--from", CVAT])
    voc = str(RECORDED / "tiny_PASCAL_VOC_1.1.zip")
    assert run(["pull", str(folder), "--from", voc]) == DONE
    out = capsys.readouterr().out
    assert "1 earlier mask(s) kept in" in out
    assert "warning: PASCAL VOC 1.1: CVAT leaves every polygon" in out


def test_pull_prints_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pull", str(folder), "--from", CVAT, "--json"]) == DONE
    document = json.loads(capsys.readouterr().out)
    assert document["images"][0]["areas_px"]["unlabelled"] == 1696
    assert Path(document["report"]).is_file()


def test_pull_refuses_what_it_cannot_use(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.zip").write_bytes(b"no zip")
    assert run(["pull", str(folder), "--from", str(tmp_path / "x.zip")]) == USAGE
    assert "expected a zip as CVAT exports it" in capsys.readouterr().err


def test_pull_of_an_image_without_shapes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = str(RECORDED / "empty_COCO_1.0.zip")
    assert run(["pull", str(folder), "--from", empty]) == DONE
    assert "1 empty" in capsys.readouterr().out
