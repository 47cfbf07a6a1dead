"""The batch: every image gets its own fate, and a second run does only what is missing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.pipeline_fakes import BUG, KILLED, NO_MEMORY, BandSource, write_field

from annotator.core.errors import StorageError, StudyError, UsageError
from annotator.core.files import sha256, storage_error, write_atomic
from annotator.core.progress import Progress
from annotator.pipeline.annotate import annotate
from annotator.pipeline.excluded import exclude_region, restore_regions
from annotator.pipeline.proposers import ProposerSource
from annotator.pipeline.results import AnnotateOptions, BatchResult, Duplicate
from annotator.settings.study import Settings, render_toml
from annotator.study.study import Study

pytestmark = pytest.mark.slow

ONE = AnnotateOptions()


class ImagesAndStudy:
    """A folder of images and a study beside it."""

    def __init__(self, root: Path) -> None:
        self.images = root / "images"
        self.path = root / "study"
        self.log = root / "proposed.log"
        self.source = BandSource(log=self.log)
        self.images.mkdir()
        Study.create(self.path).close()

    def add(self, *names: str, first: int = 120) -> None:
        for name in names:
            seed = len(list(self.images.rglob("*.*")))
            write_field(self.images / name, seed, first)

    def run(
        self,
        options: AnnotateOptions = ONE,
        *inputs: Path,
        source: ProposerSource | None = None,
        seen: list[Progress] | None = None,
    ) -> BatchResult:
        report = (lambda _: None) if seen is None else seen.append
        with Study.open(self.path) as study:
            chosen = [str(p) for p in inputs or (self.images,)]
            return annotate(study, chosen, options, report, source or self.source)

    def proposed(self) -> int:
        """How often the proposer was called since this was asked last."""
        count = len(self.log.read_text().splitlines()) if self.log.exists() else 0
        self.log.unlink(missing_ok=True)
        return count

    def results(self) -> dict[str, str]:
        """Hash of everything that has to be equal between two ways to the same study."""
        files = [
            p
            for folder in ("objects", "rough", "models")
            for p in sorted((self.path / folder).rglob("*"))
        ]
        return {str(p.relative_to(self.path)): str(sha256(p)) for p in files if p.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> ImagesAndStudy:
    return ImagesAndStudy(tmp_path)


def names(result: BatchResult) -> list[tuple[str, str]]:
    return [(row.name, row.status) for row in result.rows]


# The straight way


def test_each_image_gets_codes_instances_overlay_and_a_row(place: ImagesAndStudy):
    place.add("b.png", "a.png")
    result = place.run()
    assert names(result) == [("a", "done"), ("b", "done")]
    assert result.failures == ()
    assert result.seeded
    row = result.rows[0]
    assert sum(row.areas_px.values()) == 64 * 96
    assert sum(row.coverage.values()) == pytest.approx(1.0)
    assert row.objects > 3
    codes = cv2.imread(str(place.path / "rough" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert codes.shape == (64, 96)
    for code, name in enumerate(("bg", "fat", "cell", "bone")):
        assert np.count_nonzero(codes == code) == row.areas_px[name]
    fat, cell = row.areas_px["fat"], row.areas_px["cell"]
    assert row.cellularity == pytest.approx(cell / (cell + fat) if cell + fat else None)
    assert (place.path / "rough" / "overlays" / "a.jpg").stat().st_size > 100
    assert (place.path / "rough" / "contact-sheet.jpg").exists()
    instances = cv2.imread(str(place.path / "rough" / "instances" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert instances.dtype == np.uint16
    assert np.array_equal(instances > 0, (codes == 1) | (codes == 3))


def test_progress_counts_every_stage_to_its_end(place: ImagesAndStudy):
    place.add("a.png", "b.png", "c.png")
    seen: list[Progress] = []
    place.run(seen=seen)
    stages = ["reading", "outlining", "grouping", "classifying", "contact sheet"]
    assert list(dict.fromkeys(p.stage for p in seen)) == stages
    for stage in ("reading", "outlining", "classifying"):
        assert [(p.done, p.total) for p in seen if p.stage == stage] == [(n, 3) for n in (1, 2, 3)]
    assert seen[0].eta_seconds is None
    assert all(p.eta_seconds is not None for p in seen if p.stage == "outlining")


def test_two_workers_give_the_same_bytes_as_one_also_where_the_system_kills_one(
    place: ImagesAndStudy,
):
    place.add("a.png", "b.png", "d.png", "e.png")
    place.run()
    alone = place.results()
    shutil.rmtree(place.path)
    Study.create(place.path).close()
    place.add("c.png", first=KILLED)
    result = place.run(AnnotateOptions(workers=2))
    assert names(result) == [(name, "done") for name in "abde"]
    assert place.results() == alone
    (failure,) = result.failures
    assert failure.path.endswith("c.png")
    assert "killed the process" in failure.reason


def test_the_limit_takes_the_first_images(place: ImagesAndStudy):
    place.add("c.png", "a.png", "b.png")
    assert names(place.run(AnnotateOptions(limit=2))) == [("a", "done"), ("b", "done")]


def test_the_scale_of_the_study_holds_where_the_file_is_silent(place: ImagesAndStudy):
    place.add("a.png")
    (place.path / "study.toml").write_text(render_toml(Settings(um_per_px=0.5)))
    assert place.run().rows[0].um_per_px == 0.5


# Again


def test_a_second_run_skips_everything_and_draws_the_same(place: ImagesAndStudy):
    place.add("a.png", "b.png")
    place.run()
    before = place.results()
    place.proposed()
    result = place.run()
    assert names(result) == [("a", "skipped"), ("b", "skipped")]
    assert result.skipped == 2
    assert place.proposed() == 0
    assert place.results() == before


def test_a_new_image_is_all_that_is_done(place: ImagesAndStudy):
    place.add("a.png", "b.png", "c.png")
    place.run()
    place.proposed()
    place.add("d.png")
    result = place.run()
    assert names(result) == [(n, "skipped") for n in "abc"] + [("d", "done")]
    assert place.proposed() == 1


def test_changed_weights_propose_again(place: ImagesAndStudy):
    place.add("a.png")
    place.run()
    place.proposed()
    assert names(place.run(source=BandSource(2, place.log))) == [("a", "done")]
    assert place.proposed() == 1


def test_changed_pruning_keeps_the_proposals(place: ImagesAndStudy):
    place.add("a.png", "b.png")
    place.run()
    place.proposed()
    (place.path / "study.toml").write_text("[prune]\nmin_area_px = 40\n")
    assert names(place.run()) == [("a", "done"), ("b", "done")]
    assert place.proposed() == 0


def test_changed_colours_draw_again_without_looking_again(place: ImagesAndStudy):
    place.add("a.png")
    place.run()
    codes, overlay = (place.path / "rough" / n for n in ("a.png", "overlays/a.jpg"))
    before = codes.read_bytes(), overlay.read_bytes()
    (place.path / "study.toml").write_text("[classes]\ncell = '#ff00ff'\nfat = '#00ffff'\n")
    place.run()
    assert codes.read_bytes() == before[0]
    assert overlay.read_bytes() != before[1]


def test_force_does_everything_again(place: ImagesAndStudy):
    place.add("a.png")
    place.run()
    before = place.results()
    place.proposed()
    assert names(place.run(AnnotateOptions(force=True))) == [("a", "done")]
    assert place.proposed() == 1
    assert place.results() == before


def test_a_missing_file_is_made_again(place: ImagesAndStudy):
    place.add("a.png", "b.png")
    place.run()
    before = place.results()
    (place.path / "rough" / "overlays" / "a.jpg").unlink()
    assert names(place.run()) == [("a", "done"), ("b", "skipped")]
    assert place.results() == before


@pytest.mark.parametrize("keep", [0, 200])
def test_damaged_objects_are_counted_and_made_again(place: ImagesAndStudy, keep: int):
    place.add("a.png", "b.png")
    place.run()
    before = place.results()
    path = place.path / "objects" / "a.npz"
    path.write_bytes(path.read_bytes()[:keep])
    assert place.run().damaged == 1
    assert place.results() == before


# Groups


def groups(place: ImagesAndStudy) -> int:
    stored = json.loads((place.path / "models" / "seed.json").read_text())
    return int(stored["images"])


def test_groups_are_kept_until_the_study_has_doubled(place: ImagesAndStudy):
    place.add("a.png", "b.png")
    place.run()
    place.add("c.png")
    assert place.run().refreshed == 0
    assert groups(place) == 2
    place.add("d.png")
    place.run()
    assert groups(place) == 4


def test_other_images_follow_new_groups(place: ImagesAndStudy):
    place.add("a.png", "b.png")
    place.run()
    place.add("c.png", "d.png")
    gone, other = place.images / "a.png", place.images / "b.png"
    gone.unlink()
    result = place.run(ONE, place.images / "c.png", place.images / "d.png")
    assert names(result) == [("c", "done"), ("d", "done")]
    with Study.open(place.path) as study:
        standing = {image.name: study.rough.annotation(image) for image in study.images()}
    classifiers = {name: held.classifier for name, held in standing.items() if held}
    assert (result.refreshed, result.stale) == (1, ("a",))
    assert other.exists()
    assert classifiers["b"] == classifiers["c"] == classifiers["d"] != classifiers["a"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1, "key": "x", "model": 3}'])
def test_damaged_groups_are_fitted_again(place: ImagesAndStudy, content: str):
    place.add("a.png", "b.png")
    place.run()
    before = place.results()
    (place.path / "models" / "seed.json").write_text(content)
    place.run()
    assert place.results() == before


# What goes wrong with one image


def test_one_bad_image_never_stops_the_batch(place: ImagesAndStudy):
    place.add("a.png", "e.png")
    (place.images / "b.png").write_bytes(b"")
    (place.images / "c.png").write_bytes(b"no image at all")
    data = (place.images / "a.png").read_bytes()
    (place.images / "d.png").write_bytes(data[: len(data) // 2])
    result = place.run(ONE, place.images, place.images / "missing.png")
    assert names(result) == [("a", "done"), ("e", "done")]
    reasons = {Path(f.path).name: f.reason for f in result.failures}
    assert set(reasons) == {"b.png", "c.png", "d.png", "missing.png"}
    assert "empty" in reasons["b.png"]
    assert "expected PNG" in reasons["c.png"]
    assert "truncated" in reasons["d.png"]
    assert "no such file" in reasons["missing.png"]
    assert {p.name for p in (place.path / "objects").iterdir()} == {"a.npz", "e.npz"}


def test_our_own_mistake_costs_one_image_and_is_logged(place: ImagesAndStudy):
    place.add("a.png", "b.png")
    place.add("bug.png", first=BUG)
    place.add("huge.png", first=NO_MEMORY)
    result = place.run()
    assert names(result) == [("a", "done"), ("b", "done")]
    bug, huge = result.failures
    log = place.path / "report" / "errors.log"
    assert "ZeroDivisionError" in bug.reason
    assert str(log) in bug.reason
    assert "bug.png" in log.read_text()
    assert "in misfortune" in log.read_text()
    assert "not enough memory" in huge.reason
    assert "huge.png" not in log.read_text()


def test_the_failures_of_a_run_are_in_the_ledger(place: ImagesAndStudy):
    place.add("a.png")
    (place.images / "b.png").write_bytes(b"")
    place.run()
    with sqlite3.connect(place.path / "study.db") as connection:
        rows = connection.execute("SELECT path FROM failures").fetchall()
    connection.close()
    assert rows == [(str(place.images / "b.png"),)]


def test_all_images_bad_is_a_result_too(place: ImagesAndStudy):
    (place.images / "b.png").write_bytes(b"")
    result = place.run()
    assert (result.rows, len(result.failures), result.seeded) == ((), 1, False)


def test_pictures_without_anything_to_see(place: ImagesAndStudy):
    place.add("a.png", "b.png")
    for name, value in (("black.png", 0), ("empty.png", 255), ("pink.png", (190, 140, 205))):
        cv2.imwrite(str(place.images / name), np.full((40, 40, 3), value, np.uint8))
    cv2.imwrite(str(place.images / "dot.png"), np.full((1, 1, 3), 200, np.uint8))
    result = place.run()
    assert [row.name for row in result.rows] == ["a", "b", "black", "empty", "pink"]
    assert all(sum(row.areas_px.values()) == 1600 for row in result.rows[2:])
    (failure,) = result.failures
    assert "1 x 1 px" in failure.reason


# Names and duplicates


def test_the_same_pixels_twice_are_annotated_once(place: ImagesAndStudy):
    place.add("a.png")
    shutil.copy(place.images / "a.png", place.images / "copy.png")
    result = place.run()
    assert names(result) == [("a", "done")]
    assert result.duplicates == (Duplicate(str(place.images / "copy.png"), "a"),)
    assert result.failures == ()


def test_the_same_name_in_two_folders(place: ImagesAndStudy):
    place.add("one/field.png", "two/field.png", "two/Field.tif")
    result = place.run()
    first, *others = result.rows
    assert first.name == "field"
    for row in others:
        assert row.name.lower() == f"field-{row.image_id[:8]}"
    assert len(list((place.path / "rough").glob("*.png"))) == 3
    assert [row.name for row in place.run().rows] == [row.name for row in result.rows]


def test_unicode_and_spaces_in_names(place: ImagesAndStudy):
    place.add("Mäuse Femur Ω 骨髄.png")
    assert names(place.run()) == [("Mäuse Femur Ω 骨髄", "done")]
    assert (place.path / "rough" / "Mäuse Femur Ω 骨髄.png").exists()


# A person's work


@pytest.fixture
def edited(place: ImagesAndStudy) -> Iterator[tuple[ImagesAndStudy, Path]]:
    place.add("a.png", "b.png")
    place.run()
    path = place.path / "rough" / "a.png"
    codes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    codes[:32] = 0
    cv2.imwrite(str(path), codes)
    yield place, path


@pytest.mark.parametrize("change", ["", "[cellmask]\ngap_um2 = 1000.0\n"])
def test_hand_edited_codes_are_kept_and_counted(edited: tuple[ImagesAndStudy, Path], change: str):
    place, path = edited
    mine = path.read_bytes()
    (place.path / "study.toml").write_text(change)
    result = place.run()
    assert path.read_bytes() == mine
    assert result.kept == ("a",)
    row = result.rows[0]
    assert (row.name, row.status) == ("a", "skipped")
    assert row.areas_px["bg"] >= 32 * 96
    assert any("edited" in note for note in row.notes)


def test_force_moves_hand_edited_codes_aside(edited: tuple[ImagesAndStudy, Path]):
    place, path = edited
    mine = path.read_bytes()
    result = place.run(AnnotateOptions(force=True))
    assert path.read_bytes() != mine
    assert result.kept == ()
    (moved,) = (place.path / "rough" / "replaced").rglob("*.png")
    assert (moved.name, moved.read_bytes()) == ("a.png", mine)


def test_edited_codes_that_cannot_be_used_are_kept_and_said(edited: tuple[ImagesAndStudy, Path]):
    place, path = edited
    path.write_bytes(b"broken while saving")
    result = place.run()
    assert path.read_bytes() == b"broken while saving"
    (failure,) = result.failures
    assert str(path) in failure.reason


def test_truth_is_never_touched(place: ImagesAndStudy):
    place.add("a.png")
    truth = place.path / "truth" / "a.png"
    truth.write_bytes(b"an expert drew this")
    place.run()
    place.run(AnnotateOptions(force=True))
    assert truth.read_bytes() == b"an expert drew this"


# What stops a batch


@pytest.mark.parametrize("after", [0, 1, 3, 6])
def test_a_full_disk_stops_the_batch_and_keeps_what_is_done(place: ImagesAndStudy, after: int):
    place.add("a.png", "b.png")
    writes = []

    def filling(path: Path, data: bytes) -> None:
        if len(writes) >= after:
            raise storage_error(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        writes.append(path)
        write_atomic(path, data)

    with (
        Study.open(place.path, filling) as study,
        pytest.raises(StorageError),
    ):
        annotate(study, [str(place.images)], ONE, lambda _: None, place.source)
    kept = {str(p.relative_to(place.path)): str(sha256(p)) for p in writes}
    place.proposed()
    assert names(place.run())[0][0] == "a"
    assert place.proposed() == 2 - min(after, 2)
    assert kept.items() <= place.results().items()


class Stopped:
    """Ctrl-C at a chosen step."""

    def __init__(self, stage: str, done: int) -> None:
        self.at = stage, done

    def __call__(self, progress: Progress) -> None:
        if (progress.stage, progress.done) == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("stage", "workers"),
    [pytest.param("outlining", 2, marks=pytest.mark.slow), ("classifying", 1)],
)
def test_ctrl_c_leaves_a_study_to_take_up_again(place: ImagesAndStudy, stage: str, workers: int):
    place.add("a.png", "b.png", "c.png")
    with Study.open(place.path) as study, pytest.raises(KeyboardInterrupt):
        options = AnnotateOptions(workers=workers)
        annotate(study, [str(place.images)], options, Stopped(stage, 1), place.source)
    place.run()
    resumed = place.results()
    shutil.rmtree(place.path)
    Study.create(place.path).close()
    place.run()
    assert resumed == place.results()


def test_a_study_held_by_another_run_is_refused(place: ImagesAndStudy):
    place.add("a.png")
    with (
        Study.open(place.path) as study,
        study.writing(),
        pytest.raises(StudyError, match=r"process \d+"),
    ):
        place.run()
    assert place.proposed() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (AnnotateOptions(workers=0), "workers .*1 .*0"),
        (AnnotateOptions(limit=0), "limit .*1 .*0"),
        (AnnotateOptions(proposals="magic"), "superpixel, sam .*'magic'"),
        (AnnotateOptions(checkpoint="vit_b"), "--proposals sam"),
    ],
)
def test_options_out_of_range_are_refused(
    place: ImagesAndStudy, options: AnnotateOptions, said: str
):
    place.add("a.png")
    with Study.open(place.path) as study, pytest.raises(UsageError, match=said):
        annotate(study, [str(place.images)], options, lambda _: None)


def test_no_images_at_all(place: ImagesAndStudy):
    with pytest.raises(UsageError):
        place.run()


def test_what_is_excluded_has_no_class_until_it_comes_back(place: ImagesAndStudy, tmp_path: Path):
    place.add("a.png", "b.png")
    place.run()
    rough = place.path / "rough" / "a.png"
    first, (before, other) = rough.read_bytes(), (row.areas_px for row in place.run().rows)
    corners = [[0, 0], [40, 0], [40, 64], [0, 64], [0, 0]]
    pen = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [corners]}}
    file = tmp_path / "pen.geojson"
    file.write_text(json.dumps(pen), "utf-8")
    with Study.open(place.path) as study:
        assert exclude_region(study, "a", file, "pen", "eva").excluded_px == 40 * 64
    # The command drew it again: there is nothing left to do, and doing it gives the same.
    found = place.run()
    assert names(found) == [("a", "skipped"), ("b", "skipped")]
    codes = cv2.imread(str(rough), cv2.IMREAD_UNCHANGED)
    again = place.run(AnnotateOptions(force=True))
    assert names(again) == [("a", "done"), ("b", "done")]
    assert np.array_equal(cv2.imread(str(rough), cv2.IMREAD_UNCHANGED), codes)
    assert (codes[:, :40] == 255).all()
    assert (codes[:, 40:] != 255).all()
    for rows in (found.rows, again.rows):
        assert sum(rows[0].areas_px.values()) == 56 * 64
        assert rows[0].areas_px["unlabelled"] == 0
        assert "2560 px unlabelled: excluded (pen)" in rows[0].notes
        assert rows[1].areas_px == other
    with Study.open(place.path) as study:
        restore_regions(study, [1], "no pen", "eva")
    back = place.run()
    assert names(back) == [("a", "done"), ("b", "skipped")]
    assert back.rows[0].areas_px == before
    assert rough.read_bytes() == first
