"""What a worker does again with an image that a network saw: the network looks once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from annotator.core.objects import Image
from annotator.imaging.read import read_image
from annotator.pipeline.proposers import proposer_source
from annotator.pipeline.results import AnnotateOptions
from annotator.pipeline.tasks import ImageJob, ProposeResult, ProposeTask
from annotator.settings.annotation import CellMaskSettings, DescribeSettings, PruneSettings
from annotator.settings.study import Settings
from annotator.study.chosen_network import ChosenNetwork, chosen_network
from annotator.synthetic.field import make_phantom
from annotator.synthetic.field_files import image_png
from annotator.synthetic.settings import PhantomSettings

SETTINGS = Settings()
FEWER_GAPS = replace(SETTINGS, cellmask=CellMaskSettings(gap_um2=200.0))


@pytest.fixture(scope="module")
def network() -> ChosenNetwork:
    found = chosen_network("starter", Path(), lambda: None)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Image]:
    path = tmp_path_factory.mktemp("field") / "a.png"
    settings = PhantomSettings(um_per_px=0.5, cellularity=0.5, shape=(240, 320))
    path.write_bytes(image_png(make_phantom(settings).image))
    return path, read_image(path, SETTINGS.read)


@pytest.fixture(scope="module")
def first(picture: tuple[Path, Image], network: ChosenNetwork, tmp_path_factory) -> ImageJob:
    """The job of an image that was described before, with a scale that somebody gave."""
    path, image = picture
    objects = tmp_path_factory.mktemp("objects") / "a.npz"
    job = ImageJob(path, image.id, 0.5, objects)
    objects.write_bytes(described(job, network, SETTINGS).data)
    return job


def described(
    job: ImageJob, network: ChosenNetwork, settings: Settings, afresh: bool = False
) -> ProposeResult:
    source = proposer_source(settings, AnnotateOptions(), None)
    return ProposeTask(source, settings, afresh, network)(job)


def asked(result: ProposeResult) -> bool:
    """Whether the network looked at the image."""
    return "network" in result.objects_run.stage_seconds


def test_fewer_objects_need_no_network(first: ImageJob, network: ChosenNetwork):
    again, anew = described(first, network, FEWER_GAPS), described(first, network, FEWER_GAPS, True)
    assert (asked(again), asked(anew)) == (False, True)
    assert again.data == anew.data
    assert again.data != first.objects.read_bytes()


@pytest.mark.parametrize(
    "settings",
    [
        replace(SETTINGS, cellmask=CellMaskSettings(gap_um2=5.0)),
        replace(SETTINGS, prune=PruneSettings(min_area_um2=40.0)),
        replace(SETTINGS, describe=DescribeSettings("bambo")),
    ],
    ids=["more white", "what pruning leaves free", "other columns"],
)
def test_what_only_the_network_can_tell_it_is_asked_for(
    first: ImageJob, network: ChosenNetwork, settings: Settings
):
    again, anew = described(first, network, settings), described(first, network, settings, True)
    assert asked(again)
    assert again.data == anew.data


def test_a_scale_that_was_found_before_is_not_sought_again(
    picture: tuple[Path, Image], network: ChosenNetwork, tmp_path: Path
):
    """Without a scale of its own, and with an unsure one that the study remembers."""
    path, image = picture
    job = ImageJob(path, image.id, None, tmp_path / "a.npz")
    before = described(job, network, SETTINGS)
    job.objects.write_bytes(before.data)
    assert before.found_scale is not None
    assert asked(described(job, network, FEWER_GAPS)), "the study does not remember it"
    again = described(replace(job, found_scale=before.found_scale), network, FEWER_GAPS)
    assert not asked(again)
    assert again.data == described(job, network, FEWER_GAPS, afresh=True).data
    assert (again.found_scale, again.problems) == (before.found_scale, before.problems)


def test_a_scale_that_somebody_gave_goes_before_one_that_was_found(
    first: ImageJob, network: ChosenNetwork, picture: tuple[Path, Image], tmp_path: Path
):
    found = described(replace(first, um_per_px=None), network, SETTINGS, afresh=True).found_scale
    again = described(replace(first, found_scale=found), network, FEWER_GAPS)
    assert again.found_scale is None
    assert again.data == described(first, network, FEWER_GAPS, afresh=True).data
