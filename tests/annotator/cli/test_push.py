"""The command ``trephine push``: exit codes, the table, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from support.cvat_places import CvatPlace, http_place
from support.pushed_studies import make_study, rough_map, set_rough

from annotator.cli.cvat import register
from annotator.cli.main import run
from annotator.cli.options import DONE, INCOMPLETE, USAGE
from annotator.study.study import Study

app = typer.Typer()
app.callback()(lambda: None)
register(app)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[CvatPlace]:
    """A server that the environment names."""
    with http_place() as found:
        for name, value in found.environ.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_study(tmp_path / "study", 3).close()
    return tmp_path / "study"


def test_push_says_what_was_sent(
    folder: Path, place: CvatPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["push", str(folder), "--batch-size", "2", "--assignee", "patho1"], app) == DONE
    out = capsys.readouterr()
    assert "images 3 sent" in out.out
    assert f"Project  {place.url}/projects/" in out.out
    assert "3 image(s) to upload" in out.err
    assert len(place.held(folder)) == 2
    assert {job["assignee"]["username"] for job in place.jobs(folder)} == {"patho1"}


def test_push_prints_json(
    folder: Path, place: CvatPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["push", str(folder), "--images", "Mrs Miller 1", "--json"], app) == DONE
    document = json.loads(capsys.readouterr().out)
    ((task,), left) = document["tasks"], document["left"]
    assert document["complete"] is True
    assert [one["image"] for one in task["images"]] == ["Mrs Miller 1"]
    assert task["images"][0]["shapes"] > 4
    assert left == []


@pytest.mark.slow
def test_what_a_person_touched_is_named_and_no_fault(
    folder: Path, place: CvatPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["push", str(folder)], app)
    place.expert.complete(place.job_of(folder, "Mrs Miller 2"))
    with Study.open(folder) as study:
        set_rough(study, study.images()[2], rough_map(44))
    capsys.readouterr()
    assert run(["push", str(folder)], app) == DONE
    out = capsys.readouterr().out
    assert "1 touched, 2 up to date" in out
    assert "touched: Mrs Miller 2: left as it is: job" in out
    assert "completed" in out


def test_an_image_that_fails_is_named(
    folder: Path, place: CvatPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder.parent / "patients" / "Mrs Miller 0.png").unlink()
    assert run(["push", str(folder), "--via", "voc"], app) == INCOMPLETE
    out = capsys.readouterr().out
    assert "failed: Mrs Miller 0:" in out
    assert "no such file" in out
    assert "1 failed, 2 sent" in out


def test_a_dry_run_needs_no_server(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["push", str(folder), "--dry-run", "--count", "2"], app) == DONE
    out = capsys.readouterr().out
    assert "Would send" in out
    assert "2 planned" in out
    with Study.open(folder) as study:
        assert study.cvat.batches() == ()


def test_nobody_of_this_name(
    folder: Path, place: CvatPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["push", str(folder), "--assignee", "nobody"], app) == USAGE
    assert "nobody" in capsys.readouterr().err
    assert place.expert.ask("GET", "projects")["results"] == []


def test_count_and_images_exclude_each_other(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["push", str(folder), "--count", "2", "--images", "x"], app) == USAGE
    assert "not both" in capsys.readouterr().err
