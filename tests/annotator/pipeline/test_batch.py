"""What a run says of itself: who made the objects, where the time went, what is to come."""

from __future__ import annotations

import io
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.pipeline_fakes import BandSource, write_field

from annotator.core.objects import Image
from annotator.core.progress import Progress
from annotator.imaging.read import read_image
from annotator.pipeline import tasks
from annotator.pipeline.annotate import annotate
from annotator.pipeline.results import AnnotateOptions, BatchResult
from annotator.settings.images import ReadSettings
from annotator.study import seen_pictures
from annotator.study.study import Study

STAGES = {"loading", "reading", "bands", "prune", "white", "describe", "packing"}
ONE = AnnotateOptions()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    Study.create(tmp_path / "study").close()
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        write_field(tmp_path / "images" / name, seed)
    return tmp_path


def run(
    place: Path,
    source: BandSource,
    options: AnnotateOptions = ONE,
    seen: list[Progress] | None = None,
) -> BatchResult:
    report = (lambda _: None) if seen is None else seen.append
    with Study.open(place / "study") as study:
        return annotate(study, [str(place / "images")], options, report, source)


def said(place: Path, source: BandSource, options: AnnotateOptions = ONE) -> list[tuple[str, str]]:
    """Stage and text of all notes of a run."""
    seen: list[Progress] = []
    run(place, source, options, seen)
    assert all(step.name for step in seen if not step.note and step.stage == "outlining")
    return [(step.stage, step.note) for step in seen if step.note]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_each_row_tells_who_made_the_objects_and_where_the_time_went(place: Path, workers: int):
    result = run(place, BandSource(), AnnotateOptions(workers=workers))
    for row in result.rows:
        assert sum(row.sources.values()) == row.objects
        assert row.sources["superpixel"] > 0
        assert row.stage_seconds.keys() == STAGES
        assert row.counts == {"bands": 4}
    again = run(place, BandSource())
    assert [row.status for row in again.rows] == ["skipped"] * 3
    for row, before in zip(again.rows, result.rows, strict=True):
        assert replace(row, status="done") == before


@pytest.mark.slow
def test_the_ledger_has_the_seconds_of_the_workers_added_up(place: Path):
    result = run(place, BandSource())
    with sqlite3.connect(place / "study" / "study.db") as connection:
        ((text,),) = connection.execute("SELECT stage_seconds FROM runs").fetchall()
        object_runs = connection.execute("SELECT makers, counts FROM looks").fetchall()
    connection.close()
    ledger = json.loads(text)
    assert ledger == result.stage_seconds
    assert {name for name in ledger if "." in name} == {f"outlining.{name}" for name in STAGES}
    for name in STAGES:
        total = sum(row.stage_seconds[name] for row in result.rows)
        assert ledger[f"outlining.{name}"] == pytest.approx(total, abs=0.002)
    assert [json.loads(sources) for sources, _ in object_runs] == [
        row.sources for row in result.rows
    ]
    assert all(json.loads(counts) == {"bands": 4} for _, counts in object_runs)


@pytest.mark.slow
def test_proposals_that_hold_take_no_time(place: Path):
    run(place, BandSource())
    (place / "study" / "study.toml").write_text("[prune]\nmin_area_px = 40\n")
    for row in run(place, BandSource()).rows:
        assert row.stage_seconds.keys() == STAGES - {"bands"}
        assert row.counts == {}


@pytest.mark.slow
def test_the_time_is_estimated_before_the_first_image_of_those_to_propose(place: Path):
    source = BandSource(seconds=20.0)
    seen: list[Progress] = []
    run(place, source, AnnotateOptions(limit=1), seen)
    outlining = [step for step in seen if step.stage == "outlining"]
    assert [(step.note, step.done, step.total) for step in outlining] == [
        ("about 20 s for 1", 0, 1),
        ("", 1, 1),
    ]
    assert said(place, source) == [("outlining", "about 40 s for 2")]
    assert said(place, source) == []
    assert said(place, source, AnnotateOptions(force=True)) == [("outlining", "about 60 s for 3")]


@pytest.mark.slow
def test_nothing_is_estimated_where_only_the_pruning_changed(place: Path):
    source = BandSource(seconds=20.0)
    run(place, source)
    settings = '[prune]\nmin_area_px = 40\n[network]\nuse = "none"\n'
    (place / "study" / "study.toml").write_text(settings)
    assert said(place, source) == []


@pytest.mark.slow
def test_what_the_choice_of_proposer_means_is_said_first_and_kept(place: Path):
    source = BandSource(notes=("no weights here",))
    assert said(place, source) == [("reading", "no weights here")]
    assert run(place, source).notes == ("no weights here",)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_went_wrong_beside_the_objects_is_said_once(place: Path, workers: int):
    source = BandSource(trouble="the disk is nearly full")
    options = AnnotateOptions(workers=workers)
    assert said(place, source, options) == [("outlining", "the disk is nearly full")]
    options = AnnotateOptions(workers=workers, force=True)
    assert run(place, source, options).notes == ("the disk is nearly full",)


@pytest.mark.slow
def test_objects_of_an_older_format_are_made_again_and_are_not_damaged(place: Path):
    run(place, BandSource())
    path = place / "study" / "objects" / "a.npz"
    new = path.read_bytes()
    with np.load(io.BytesIO(new)) as arrays:
        older = {name: arrays[name] for name in arrays.files if not name.endswith(".makers")}
    header = json.loads(older["header"].tobytes()) | {"format": 1}
    older["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez_compressed(file, **older)
    assert run(place, BandSource()).damaged == 0
    assert path.read_bytes() == new


def test_a_second_run_decodes_what_has_changed_alone(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seen_pictures, "_SLOWEST_CLOCK_S", 0.0)
    decoded: list[str] = []

    def reading(path: Path, settings: ReadSettings) -> Image:
        decoded.append(path.name)
        return read_image(path, settings)

    monkeypatch.setattr(tasks, "read_image", reading)
    first = run(place, BandSource())
    assert set(decoded) == {"a.png", "b.png", "c.png"}
    decoded.clear()
    again = run(place, BandSource())
    assert decoded == [] and again.skipped == 3
    assert [row.image_id for row in again.rows] == [row.image_id for row in first.rows]
    assert [row.notes for row in again.rows] == [row.notes for row in first.rows]
    write_field(place / "images" / "a.png", 90)
    changed = run(place, BandSource())
    assert set(decoded) == {"a.png"}
    assert changed.rows[0].image_id != first.rows[0].image_id
    decoded.clear()
    run(place, BandSource(), replace(ONE, force=True))
    assert set(decoded) == {"a.png", "b.png", "c.png"}
