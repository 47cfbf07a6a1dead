"""What a worker does with one image: a path comes in, bytes go out."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from support.pipeline_fakes import BandSource, field, write_field

from active_learning.seed.seed_model import fit_seed
from annotator.core.errors import ImageError
from annotator.core.label_maps import LabelMaps
from annotator.core.objects import image_id
from annotator.imaging.codecs import encode_jpeg
from annotator.pipeline.tasks import (
    ClassifyTask,
    ImageJob,
    ProposeTask,
    ReadTask,
    ReduceJob,
    confidences,
    reduce_overlay,
)
from annotator.settings.annotation import CellMaskSettings
from annotator.settings.study import Settings
from annotator.study.objects_file import unpack, unpack_proposals


@pytest.fixture
def job(tmp_path: Path) -> ImageJob:
    path = write_field(tmp_path / "a.png", 3)
    return ImageJob(path, image_id(field(3)), 0.5, tmp_path / "a.npz")


def look(job: ImageJob, tmp_path: Path, afresh: bool = False) -> int:
    """Look at the image, keep the objects; how often the proposer was called."""
    log = tmp_path / "log"
    result = ProposeTask(BandSource(log=log), Settings(), afresh)(job)
    job.objects.write_bytes(result.data)
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_reading_tells_what_an_image_is(job: ImageJob):
    read = ReadTask(Settings().read)(job.path)
    assert (read.image_id, read.shape, read.um_per_px) == (job.image_id, (64, 96), None)
    with PillowImage.open(io.BytesIO(read.thumbnail)) as picture:
        assert picture.size == (96, 64)


def test_proposals_that_hold_are_not_made_again(job: ImageJob, tmp_path: Path):
    assert look(job, tmp_path) == 1
    first = job.objects.read_bytes()
    assert look(job, tmp_path) == 1
    assert job.objects.read_bytes() == first
    assert look(job, tmp_path, afresh=True) == 2


def test_objects_that_stay_are_described_once_and_come_out_the_same(job: ImageJob, tmp_path: Path):
    """After a changed setting, with what was there before and without it."""
    look(job, tmp_path)
    before = job.objects.read_bytes()
    settings = Settings(cellmask=CellMaskSettings(gap_um2=300.0))
    again = ProposeTask(BandSource(), settings)(job)
    assert again.data == ProposeTask(BandSource(), settings, afresh=True)(job).data
    assert again.data != before


def test_a_look_tells_its_stages_and_makers(job: ImageJob):
    result = ProposeTask(BandSource(), Settings())(job)
    objects = unpack(result.data).objects
    assert result.objects_run.sources == objects.by_source()
    assert result.objects_run.counts == {"bands": 4}
    stages = ["loading", "reading", "bands", "prune", "white", "describe", "packing"]
    assert list(result.objects_run.stage_seconds) == stages


@pytest.mark.parametrize("damage", [b"", b"nonsense"])
def test_damaged_proposals_are_made_again(job: ImageJob, tmp_path: Path, damage: bytes):
    look(job, tmp_path)
    job.objects.write_bytes(damage)
    assert look(job, tmp_path) == 2
    assert len(unpack_proposals(job.objects.read_bytes()).objects) > 0


def test_pixels_that_changed_meanwhile_are_refused(job: ImageJob, tmp_path: Path):
    write_field(job.path, 4)
    with pytest.raises(ImageError):
        look(job, tmp_path)


def test_a_judgement_comes_as_files_and_numbers(job: ImageJob, tmp_path: Path):
    look(job, tmp_path)
    described = unpack(job.objects.read_bytes())
    model = fit_seed(described.table, Settings().seed)
    result = ClassifyTask(model, Settings())(job)
    codes = np.asarray(PillowImage.open(io.BytesIO(result.codes)))
    instances = np.asarray(PillowImage.open(io.BytesIO(result.instances)))
    assert codes.shape == instances.shape == (64, 96)
    assert sum(result.areas_px.values()) == codes.size
    assert result.areas_px["fat"] == np.count_nonzero(codes == 1)
    assert np.array_equal(instances > 0, (codes == 1) | (codes == 3))
    assert result.objects_key == described.key
    assert result.objects == len(described.objects)
    assert len(result.confidence) == instances.max() > 0
    assert all(0 < sure <= 1 for sure in result.confidence)
    assert PillowImage.open(io.BytesIO(result.overlay)).size == (96, 64)


def test_pieces_have_the_confidence_of_the_object_that_they_were_cut_from():
    classes = np.array([[1, 2, 1, 3]], np.uint8)
    instances = np.array([[7, 0, 12, 9]], np.int32)
    ids, sure = np.array([9, 7, 3], np.int32), np.array([0.5, 0.25, 1.0])
    assert confidences(LabelMaps(classes, instances, ((12, 7),)), ids, sure) == (0.25, 0.5, 0.25)


def test_an_overlay_that_is_not_what_it_was_has_no_thumbnail(tmp_path: Path):
    path = tmp_path / "a.jpg"
    assert reduce_overlay(ReduceJob(path, (64, 96))) is None
    path.write_bytes(encode_jpeg(field(3)))
    assert reduce_overlay(ReduceJob(path, (64, 97))) is None
    small = reduce_overlay(ReduceJob(path, (64, 96)))
    assert small is not None
    assert small.shape == (64, 96, 3)
