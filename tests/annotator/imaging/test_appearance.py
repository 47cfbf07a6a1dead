"""What one image looks like: the single functions' answers, each worked out once."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from annotator.core.objects import Image
from annotator.imaging import appearance as module
from annotator.imaging.appearance import Appearance
from annotator.imaging.scale import guess_um_per_px
from annotator.imaging.stains import BY_HAEMATOXYLIN, BY_RED_LIGHT, nuclear_mask, stain_densities
from annotator.imaging.white import blurred, to_lab, white_reference, whiteness
from annotator.pipeline.steps import describe_image, propose
from annotator.segmentation.superpixel import SuperpixelProposer
from annotator.settings.study import Settings
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings

QUESTIONS = (
    "white_reference",
    "guess_um_per_px",
    "to_lab",
    "whiteness_of_planes",
    "stain_densities",
    "nuclear_mask",
)


@pytest.fixture(scope="module")
def image() -> Image:
    return make_phantom(PhantomSettings(shape=(200, 300), um_per_px=0.5)).image.at_scale(None)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often each question was worked out, by whatever module of ours."""
    count = dict.fromkeys(QUESTIONS, 0)
    users = [
        used
        for name, used in sys.modules.items()
        # What the white itself is found with is no question about the image.
        if name.startswith(("annotator.", "features.")) and name != "annotator.imaging.white"
    ]

    def counted(name: str):
        compute = getattr(module, name)

        def count_and_compute(*arguments):
            # The proposer has nuclei of its own, by red light on a coarse grid.
            count[name] += arguments[-1] is not BY_RED_LIGHT
            return compute(*arguments)

        return count_and_compute

    for name in count:
        plain, counting = getattr(module, name), counted(name)
        for user in users:
            if getattr(user, name, None) is plain:
                monkeypatch.setattr(user, name, counting)
    return count


def test_the_answers_are_those_of_the_single_functions(image: Image) -> None:
    seen, reference = Appearance(image), white_reference(image.pixels)
    distance = whiteness(image.pixels, reference)
    um = guess_um_per_px(image.pixels, reference)
    assert seen.white_reference == reference
    assert seen.working_um_per_px == um
    assert np.array_equal(np.dstack(seen.lab), to_lab(image.pixels))
    assert np.array_equal(seen.whiteness, distance)
    assert np.array_equal(seen.white, distance <= reference.threshold)
    smooth = blurred(distance, 0.25 / um)
    assert np.array_equal(seen.smooth_whiteness, smooth)
    assert np.array_equal(seen.smooth_white, smooth <= reference.threshold)
    haematoxylin, eosin = stain_densities(image.pixels, reference)
    assert np.array_equal(seen.stain_densities, (haematoxylin, eosin))
    dense = nuclear_mask(cv2.GaussianBlur(haematoxylin, (0, 0), 1.0), ~seen.white, BY_HAEMATOXYLIN)
    assert np.array_equal(seen.nuclei, dense & ~seen.white)
    assert 0 < seen.nuclei.mean() < 0.5


@pytest.mark.parametrize("scale", [None, 0.5])
def test_the_whole_line_works_each_out_once(
    image: Image, asked: dict[str, int], scale: float | None
) -> None:
    seen, settings = Appearance(image.at_scale(scale)), Settings()
    described = describe_image(seen, propose(seen, SuperpixelProposer()), settings)
    assert len(described.objects) > 10
    assert asked.pop("guess_um_per_px") == (scale is None)
    assert set(asked.values()) == {1}


def test_kept_proposals_are_described_with_each_worked_out_once(
    image: Image, asked: dict[str, int]
) -> None:
    proposed = propose(Appearance(image), SuperpixelProposer())
    asked.update(dict.fromkeys(asked, 0))
    describe_image(Appearance(image), proposed, Settings())
    assert set(asked.values()) == {1}


def test_it_and_its_arrays_are_read_only(image: Image) -> None:
    seen = Appearance(image)
    planes = (*seen.lab, *seen.stain_densities, seen.whiteness, seen.smooth_whiteness)
    for array in (*planes, seen.white, seen.smooth_white, seen.nuclei):
        assert array.shape == image.shape
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
    with pytest.raises(AttributeError):
        seen.image = image


def test_a_known_scale_is_not_guessed(image: Image, asked: dict[str, int]) -> None:
    assert Appearance(image.at_scale(0.7)).working_um_per_px == 0.7
    assert not any(asked.values())


def test_a_found_scale_goes_before_a_guess_and_after_what_the_file_says(
    image: Image, asked: dict[str, int]
) -> None:
    assert Appearance(image, found_um_per_px=3.0).working_um_per_px == 3.0
    assert Appearance(image.at_scale(0.7), found_um_per_px=3.0).working_um_per_px == 0.7
    assert not any(asked.values())
