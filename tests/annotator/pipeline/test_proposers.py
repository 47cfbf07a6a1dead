"""Where a process gets its proposer from, without loading what it does not need."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.pipeline_fakes import write_field
from support.random_sam import bubbles, write_checkpoint

from annotator.core.errors import UsageError, WeightsError
from annotator.core.objects import Image
from annotator.core.progress import Progress
from annotator.imaging.appearance import Appearance
from annotator.pipeline.annotate import annotate
from annotator.pipeline.proposers import (
    NO_CHECKPOINT,
    JoinedSource,
    SamSource,
    SuperpixelSource,
    cached_proposer,
    duration,
    installed_checkpoint,
    proposer_source,
)
from annotator.pipeline.results import AnnotateOptions
from annotator.segmentation.sam import time_estimate
from annotator.segmentation.sam.time_estimate import SamSpeed
from annotator.segmentation.sam.weights import OFFICIAL, Checkpoint
from annotator.settings.sam import SamSettings
from annotator.settings.study import Settings
from annotator.study.study import Study

AUTO = AnnotateOptions(proposals="auto", device="cpu")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights that is empty."""
    place = tmp_path / "weights"
    place.mkdir()
    monkeypatch.setenv("TREPHINE_WEIGHTS", str(place))
    return place


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("sam") / "small.pth", seed=7)


def sam_source(path: Path, embeddings: Path | None = None) -> SamSource:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return SamSource(Settings().sam, Checkpoint(path, digest, path.name, "own"), "cpu", embeddings)


def test_the_default_needs_no_weights():
    source = proposer_source(Settings(), AnnotateOptions())
    assert isinstance(source, SuperpixelSource)
    assert source.fingerprint == source.make().fingerprint
    assert source.make().name == "superpixel"
    assert (source.notes, source.problems(), source.estimate([(9, 9)])) == ((), (), None)


def test_a_process_makes_its_proposer_once():
    source = proposer_source(Settings(), AnnotateOptions())
    travelled = pickle.loads(pickle.dumps(source))
    assert cached_proposer(source) is cached_proposer(travelled)


@pytest.mark.parametrize("proposals", ["sam", "auto"])
def test_missing_weights_are_said_before_any_work(tmp_path: Path, proposals: str):
    options = AnnotateOptions(proposals=proposals, checkpoint=str(tmp_path / "none.pth"))
    with pytest.raises(WeightsError, match=r"none\.pth"):
        proposer_source(Settings(), options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (AnnotateOptions(proposals="magic"), "superpixel, sam .*'magic'"),
        (AnnotateOptions(checkpoint="vit_b"), "--proposals sam"),
    ],
)
def test_what_cannot_be_is_refused(options: AnnotateOptions, said: str):
    with pytest.raises(UsageError, match=said):
        proposer_source(Settings(), options)


# Both makers


def test_auto_without_weights_is_the_superpixels_and_says_so(folder: Path):
    source = proposer_source(Settings(), AUTO)
    assert source.notes == (NO_CHECKPOINT,)
    plain = proposer_source(Settings(), AnnotateOptions())
    assert (source, source.fingerprint) == (plain, plain.fingerprint)


@pytest.mark.parametrize(
    ("there", "device", "chosen"),
    [
        ((), "cpu", None),
        (("vit_h",), "cpu", "vit_h"),
        (("vit_h", "vit_l"), "cpu", "vit_l"),
        (("vit_l", "vit_b", "vit_h"), "cpu", "vit_b"),
    ],
)
def test_the_smallest_weights_are_chosen_without_a_gpu(
    folder: Path, there: tuple[str, ...], device: str, chosen: str | None
):
    for name in there:
        (folder / OFFICIAL[name].file).write_bytes(b"")
    assert installed_checkpoint(device) == chosen


def test_damaged_weights_are_not_passed_over(folder: Path):
    (folder / OFFICIAL["vit_b"].file).write_bytes(b"half of it")
    with pytest.raises(WeightsError, match="vit_b"):
        proposer_source(Settings(), AUTO)


@pytest.mark.slow
def test_a_checkpoint_given_makes_auto_both(folder: Path, checkpoint: Path):
    source = proposer_source(Settings(), replace(AUTO, checkpoint=str(checkpoint)))
    assert isinstance(source, JoinedSource)
    assert source.notes == ("proposals by superpixel and by SAM with small.pth",)
    made = source.make()
    assert (made.name, made.fingerprint) == ("auto", source.fingerprint)
    stricter = replace(Settings(), join=replace(Settings().join, least_score=0.99))
    other = proposer_source(stricter, replace(AUTO, checkpoint=str(checkpoint)))
    assert other.fingerprint != source.fingerprint


@pytest.mark.slow
def test_fingerprints_do_not_load_torch(checkpoint: Path):
    code = (
        "import sys; from annotator.pipeline.proposers import proposer_source;"
        "from annotator.pipeline.results import AnnotateOptions;"
        "from annotator.settings.study import Settings;"
        f"options = AnnotateOptions(proposals='auto', checkpoint={str(checkpoint)!r});"
        "print(proposer_source(Settings(), options).fingerprint, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False"


# What is to come, and what is kept


def test_the_estimate_grows_with_the_images_and_names_the_machine(checkpoint: Path):
    source = sam_source(checkpoint)
    text = source.estimate([(300, 400)] * 3)
    assert "small" in text and "cpu" in text and " 3 images" in text


def test_the_estimate_is_the_tiles_and_prompts_of_all_images_and_the_rest_of_the_line(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(time_estimate, "measure_speed", lambda *_: SamSpeed(10.0, 0.5))
    source = sam_source(checkpoint)
    source = replace(source, settings=SamSettings(prompts_at_most=100), device="cpu")
    # 10 s to encode, 50 s for prompts, 1.5 s a million pixels beside; half a million each.
    text = source.estimate([(500, 1000)] * 4)
    assert text.startswith("about 61 s an image with a small SAM on this machine (cpu, ")
    assert text.endswith("): 4 min for 4 images")
    source = replace(source, settings=SamSettings(prompts_at_most=2, tile_px=512, tile_overlap=12))
    # Two tiles.
    assert source.estimate([(500, 1000)]).endswith("): 23 s for 1 image")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "less than 1 s"), (89.9, "90 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")],
)
def test_durations(seconds: float, words: str):
    assert duration(seconds) == words


def test_a_file_that_is_no_sam_is_refused_by_the_estimate(tmp_path: Path):
    path = tmp_path / "page.pth"
    path.write_text("<html>not found</html>")
    with pytest.raises(WeightsError, match=r"page\.pth"):
        sam_source(path).estimate([(300, 400)])


@pytest.mark.slow
def test_embeddings_are_kept_where_the_study_has_room_for_them(tmp_path: Path, checkpoint: Path):
    image = Image.from_pixels(bubbles(90, 140))
    source = sam_source(checkpoint, tmp_path / "embeddings")
    first = source.make().propose(Appearance(image))
    (kept,) = (tmp_path / "embeddings").iterdir()
    again = source.make().propose(Appearance(image))
    assert first.boxes.tolist() == again.boxes.tolist()
    assert source.problems() == ()
    assert kept.stat().st_size > 0

    none = replace(source, settings=replace(source.settings, embeddings_mb=0))
    assert none.make().cache is None
    assert sam_source(checkpoint).make().cache is None


@pytest.mark.slow
def test_a_batch_with_both_makers_from_end_to_end(tmp_path: Path, folder: Path, checkpoint: Path):
    write_field(tmp_path / "images" / "a.png", 3)
    sure = replace(Settings().sam, pred_iou_thresh=0.5, stability_score_thresh=0.0)
    loose = replace(Settings().join, least_score=0.0, least_stability=0.0)
    Study.create(tmp_path / "study", Settings(um_per_px=2.0, sam=sure, join=loose)).close()
    seen: list[Progress] = []
    with Study.open(tmp_path / "study") as study:
        options = replace(AUTO, checkpoint=str(checkpoint))
        result = annotate(study, [str(tmp_path / "images")], options, seen.append)
    (row,) = result.rows
    assert {
        "loading",
        "superpixel",
        "encode",
        "decode",
        "masks",
        "join",
    } <= row.stage_seconds.keys()
    assert row.counts["prompts"] > 0
    assert row.sources["sam"] > 0
    assert [p.stage for p in seen if "for 1 image" in p.note] == ["outlining"]
    assert list((tmp_path / "study" / "embeddings").iterdir())
