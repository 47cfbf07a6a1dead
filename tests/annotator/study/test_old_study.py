"""A study made by an earlier version (commit e8308bf): it opens, and goes on where it was.

``tests/data/study_e8308bf.zip`` holds six small drawn fields of three patients, annotated,
with seed groups, labels of two people, an undone act of the review page, a round, a flag, a
task that was pushed to CVAT, and one corrected mask that was pulled.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import pytest
from support.cvat_ends import pull, push
from support.cvat_places import http_place

from annotator.cli.main import run
from annotator.core.label_maps import LabelMaps
from annotator.review.session import ReviewSession
from annotator.study.study import Study

pytestmark = pytest.mark.slow

ARCHIVE = Path(__file__).parents[2] / "data" / "study_e8308bf.zip"
CORRECTED = "p1_field2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``study``, ``images`` and exact ``masks``, somewhere else than where it was made."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.fixture
def study(folder: Path) -> Path:
    return folder / "study"


def rows(study: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(study / "study.db") as database:
        return database.execute(query).fetchall()


LABELS = "SELECT * FROM labels ORDER BY id"


def annotate(study: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Annotate the pictures beside the study; the command's JSON."""
    capsys.readouterr()
    assert run(["annotate", str(study), str(study.parent / "images"), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_what_people_said_is_there(study: Path) -> None:
    with Study.open(study) as opened:
        (current,) = opened.rounds.all()
        labels = [label for image in opened.images() for label in opened.labels.for_image(image.id)]
        assert (current.index, len(opened.images())) == (1, 6)
    people = Counter(label.author for label in labels if label.source == "person")
    # One of the labels of the review page was taken back.
    assert people == {"eva": 37, "bob": 16}
    assert sum(label.source == "seed" for label in labels) == 408
    assert "haemorrhage" in (study / "flags.csv").read_text("utf-8-sig")


def test_annotating_again_finds_all_done(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The keys of objects and classes are those of old: nothing is outlined or classified anew."""
    before = {path: path.read_bytes() for path in (study / "objects").iterdir()}
    rough = {path: path.read_bytes() for path in (study / "rough").glob("*.png")}
    found = annotate(study, capsys)
    assert [image["status"] for image in found["rows"]] == ["skipped"] * 6
    assert found["failures"] == []
    assert {path: path.read_bytes() for path in before} == before
    assert {path: path.read_bytes() for path in rough} == rough


def test_a_changed_threshold_goes_on_from_the_old_proposals(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = rows(study, LABELS)
    text = (study / "study.toml").read_text("utf-8")
    assert "min_area_um2 = 60" in text
    (study / "study.toml").write_text(text.replace("min_area_um2 = 60", "min_area_um2 = 61"))
    found = annotate(study, capsys)
    assert [image["status"] for image in found["rows"]] == ["done"] * 6
    assert rows(study, LABELS) == labels


def test_the_review_page_undoes_what_was_done_before(study: Path) -> None:
    with ReviewSession(study, "eva", ahead=False) as session:
        before = session.summary()["labelled"]
        session.undo("eva")
        assert session.summary()["labelled"] == before - 3
        session.redo("eva")
        assert session.summary()["labelled"] == before


def test_status_knows_what_was_pushed_and_pulled(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Study.open(study) as opened:
        binding = opened.cvat.binding()
        assert binding is not None and binding.project_name.startswith("Trephine")
        assert len(opened.cvat.sent()) == 6
        (image,) = (one for one in opened.images() if one.name == CORRECTED)
        assert isinstance(opened.cvat.baseline(image.id), LabelMaps)
    run(["status", str(study), "--json"])
    assert json.loads(capsys.readouterr().out)["tasks"][0]["frames"] == 6


def test_it_is_pushed_and_pulled(study: Path) -> None:
    """To another server, as if it had never been sent; what was corrected before stays."""
    with sqlite3.connect(study / "study.db") as database:
        for table in ("sent", "puts", "pulled", "batches", "binding"):
            database.execute(f"DELETE FROM cvat_{table}")
    corrected = (study / "truth" / f"{CORRECTED}.png").read_bytes()
    with http_place() as place:
        assert push(place, study).is_complete
        job, frame = place.place_of(study, "p0_field0")
        place.expert.paint(job, "bone", [0, 100, 30, 30, 39, 39], frame=frame)
        place.expert.complete(job)
        report = pull(place, study)
    assert [image.image for image in report.images] == ["p0_field0"]
    mask = cv2.imread(str(study / "truth" / "p0_field0.png"), cv2.IMREAD_UNCHANGED)
    assert (mask[30:40, 30:40] == 3).all()
    assert (study / "truth" / f"{CORRECTED}.png").read_bytes() == corrected


def test_it_learns_on(study: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotate(study, capsys)
    for mask in (folder / "masks").iterdir():
        shutil.copy(mask, study / "truth" / mask.name)
    labels = rows(study, LABELS)
    assert run(["retrain", str(study), "--from", "truth", "--no-published"]) == 0
    with Study.open(study) as opened:
        assert [one.index for one in opened.rounds.all()] == [1, 2]
    assert rows(study, LABELS)[: len(labels)] == labels


@pytest.mark.parametrize(
    "command",
    ["stats", "evaluate", "report", "rounds", "doubts", "next", "labels export"],
)
def test_every_other_command_works(
    study: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    annotate(study, capsys)
    out = ["labels.csv"] if command == "labels export" else []
    assert run([*command.split(), str(study), *[str(study / name) for name in out]]) == 0


def test_labels_leave_as_they_came(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotate(study, capsys)
    assert run(["labels", "export", str(study), str(study / "out.csv")]) == 0
    text = (study / "out.csv").read_text("utf-8-sig")
    assert text.count(",bob,person") == 16
    assert text.count(",eva,person") == 37
