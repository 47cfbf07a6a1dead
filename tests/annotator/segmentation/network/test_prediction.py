"""Probabilities of whole images: at every pixel, in tiles without seams, in whatever size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.random_networks import random_decoder

from annotator.segmentation.network import prediction
from annotator.segmentation.network.network_file import read_network, write_network
from annotator.segmentation.network.prediction import NetworkPredictor
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> NetworkPredictor:
    path = tmp_path_factory.mktemp("network") / "random.safetensors"
    return NetworkPredictor(write_network(path, random_decoder(), {}))


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return make_phantom(PhantomSettings(shape=(300, 420), um_per_px=0.5)).image.pixels


@pytest.mark.parametrize("shape", [(300, 420), (1, 1), (31, 257), (2, 700)])
@pytest.mark.parametrize("um_per_px", [0.2, 1.0, 9.0])
def test_every_pixel_has_probabilities(
    predictor: NetworkPredictor, pixels: NDArray[np.uint8], shape: tuple[int, int], um_per_px: float
):
    part = np.resize(pixels, (*shape, 3))
    found = predictor.probabilities(part, um_per_px)
    assert found.shape == (6, *shape)
    assert found.dtype == np.float32
    assert not found.flags.writeable
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_allclose(found[:4].sum(0), 1, atol=1e-5)


def test_tiles_leave_no_seams(
    predictor: NetworkPredictor, pixels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
):
    whole = predictor.probabilities(pixels, 0.5)
    monkeypatch.setattr(prediction, "_TILE", 160)
    tiled = predictor.probabilities(pixels, 0.5)
    assert 0 < np.abs(whole - tiled).mean() < 0.01


def test_a_coarse_image_is_shown_once_and_not_once_a_scale(
    predictor: NetworkPredictor, pixels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
):
    shrunk, shown = prediction._shrunk, []

    def counted(picture: NDArray[np.uint8], shrink: float) -> NDArray[np.uint8]:
        shown.append(shrink)
        return shrunk(picture, shrink)

    monkeypatch.setattr(prediction, "_shrunk", counted)
    planes = [predictor.probabilities(pixels, um_per_px) for um_per_px in (5.0, 2.5, 0.5)]
    assert [shown.count(1 / 1.5), len(shown)] == [2, 1 + 2 + 3]
    for each in planes:
        np.testing.assert_allclose(each[:4].sum(0), 1, atol=1e-5)


def test_the_same_pixels_give_the_same_probabilities(
    predictor: NetworkPredictor, pixels: NDArray[np.uint8]
):
    first, second = (predictor.probabilities(pixels, 0.5) for _ in "ab")
    np.testing.assert_array_equal(first, second)


def test_scale_is_microns_and_not_pixels(predictor: NetworkPredictor, pixels: NDArray[np.uint8]):
    """The same tissue photographed twice as finely looks the same to the network."""
    finer = pixels.repeat(2, 0).repeat(2, 1)
    coarse, fine = predictor.probabilities(pixels, 0.5), predictor.probabilities(finer, 0.25)
    assert np.abs(coarse - fine[:, ::2, ::2]).mean() < 0.02


def test_prediction_needs_no_torch():
    code = (
        "import sys; from annotator.segmentation.network.prediction import NetworkPredictor; "
        "from annotator.segmentation.network.network_file import starter_network; "
        "import numpy as np; "
        "NetworkPredictor(starter_network()).probabilities(np.zeros((64, 64, 3), np.uint8), 0.5); "
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_the_starter_knows_white_slide_and_a_field_of_cells():
    """The one thing that no trained network may miss."""
    from annotator.segmentation.network.network_file import starter_network

    predictor = NetworkPredictor(starter_network())
    field = make_phantom(
        PhantomSettings(shape=(400, 600), um_per_px=0.5, edge=0.5, cellularity=0.9)
    )
    codes = predictor.probabilities(field.image.pixels, 0.5)[:4].argmax(0)
    assert (codes == field.classes).mean() > 0.85


def test_a_network_of_an_earlier_version_tells_no_depth_and_no_scale(
    tmp_path: Path, pixels: NDArray[np.uint8]
):
    earlier = random_decoder()
    for name in ("head.weight", "head.bias"):
        earlier[name] = earlier[name][:5]
    path = tmp_path / "earlier.safetensors"
    write_network(path, earlier, {})
    network = read_network(path)
    assert network.card["format"] == 1
    predictor = NetworkPredictor(network)
    assert predictor.probabilities(pixels, 0.5).shape == (5, *pixels.shape[:2])
    with pytest.raises(ValueError, match="got one of format 1"):
        predictor.scale_planes(pixels)
