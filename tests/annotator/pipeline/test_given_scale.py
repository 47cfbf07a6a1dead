"""``--um-per-px``: a scale for images whose file says none, kept, told, and refused when bad."""

from __future__ import annotations

from pathlib import Path

import pytest
import tifffile
from support.pipeline_fakes import BandSource, field, write_field

from annotator.core.errors import UsageError
from annotator.pipeline.annotate import annotate
from annotator.pipeline.results import AnnotateOptions, BatchResult
from annotator.study.study import Study


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two pictures that say no scale, and one of 0.25 um per px."""
    folder = tmp_path / "images"
    write_field(folder / "a.png", 1)
    write_field(folder / "b.png", 2)
    size = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(folder / "scanned.tif", field(3), photometric="rgb", **size)
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Path:
    Study.create(tmp_path / "study").close()
    return tmp_path / "study"


def run(study: Path, images: Path, um_per_px: float | None = None) -> BatchResult:
    with Study.open(study) as opened:
        options = AnnotateOptions(um_per_px=um_per_px)
        return annotate(opened, [str(images)], options, lambda _: None, BandSource())


def scales(result: BatchResult) -> dict[str, tuple[float | None, str, str]]:
    return {row.name: (row.um_per_px, row.scale_source, row.status) for row in result.rows}


@pytest.mark.slow
def test_a_given_scale_is_kept_and_the_next_run_finds_all_done(study: Path, images: Path) -> None:
    first = run(study, images, 0.5)
    assert scales(first) == {
        "a": (0.5, "given", "done"),
        "b": (0.5, "given", "done"),
        "scanned": (0.25, "file", "done"),
    }
    assert [note for note in first.notes if "scale" in note] == [
        "the file's own scale stays, not --um-per-px 0.5, in 1 image: scanned (0.25 um per px)"
    ]
    later = run(study, images)
    assert {status for _, _, status in scales(later).values()} == {"skipped"}
    assert scales(later)["a"] == (0.5, "given", "skipped")
    with Study.open(study) as opened:
        assert [image.um_per_px for image in opened.images()] == [0.5, 0.5, 0.25]


@pytest.mark.slow
def test_a_scale_given_later_makes_anew_what_depends_on_it_and_says_so(
    study: Path, images: Path
) -> None:
    assert scales(run(study, images))["a"] == (None, "none", "done")
    given = run(study, images / "a.png", 0.5)
    assert scales(given) == {"a": (0.5, "given", "done")}
    assert not any("takes the place" in note for note in given.notes)
    other = run(study, images, 0.4)
    assert {name: status for name, (_, _, status) in scales(other).items()} == {
        "a": "done",
        "b": "done",
        "scanned": "skipped",
    }
    (note,) = (note for note in other.notes if "takes the place" in note)
    assert note.startswith("--um-per-px 0.4 takes the place of another scale in 1 image: a (0.5")


@pytest.mark.parametrize("bad", [0.0, -0.5, 0.001, 250.0, float("nan"), float("inf")])
def test_a_scale_that_no_image_has_is_refused_before_any_work(
    study: Path, images: Path, bad: float
) -> None:
    with pytest.raises(UsageError, match=r"expected microns per pixel from 0\.01 to 100, got"):
        run(study, images, bad)
    with Study.open(study) as opened:
        assert opened.images() == ()


def test_a_run_notes_what_the_network_finds_in_a_picture_and_a_later_one_tells_it_again(
    tmp_path: Path,
) -> None:
    picture = tmp_path / "a.png"
    write_field(picture, 1, 240)
    Study.create(tmp_path / "study").close()
    with Study.open(tmp_path / "study") as study:
        options = AnnotateOptions(network="starter")
        (row,) = annotate(study, [str(picture)], options, lambda _: None).rows
        assert row.um_per_px is None and row.scale_source == "found"
        assert row.found_scale is not None and 0.15 <= row.found_scale.um_per_px <= 12
        (again,) = annotate(study, [str(picture)], options, lambda _: None).rows
        assert (again.status, again.found_scale) == ("skipped", row.found_scale)
