"""The network as an ONNX graph, built from its tensors: for prediction, and to take elsewhere.

Training needs torch; prediction does not, and ONNX Runtime is the quickest of three engines
on one core (torch and OpenCV are the others), see ``tests/bench/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from annotator.segmentation.network.architecture import (
    BLOCKS,
    CHANNELS_WITHOUT_SCALE,
    DECODER_DEPTHS,
    DECODER_WIDTHS,
    LEVELS,
    LINE,
    NORM_EPSILON,
    PIXEL_MEAN,
    PIXEL_STD,
    PLANES,
    InvertedBottleneck,
    same_padding,
)

Tensors = Mapping[str, NDArray[Any]]

# Operators as of 2021, which every runtime in use knows.
_OPSET, _IR_VERSION = 17, 8
PIXELS, PROBABILITIES, SCALE = "pixels", "probabilities", "scale"
"""Names of the input and of the outputs."""

# Channels that a runtime handles at once; of other numbers it copies values to and fro.
_BLOCK = 16
# Inner channels that the widest blocks of the encoder work on at a time: all at once they
# are most of the memory that the network needs, and do not fit the caches.
_GROUPS = {1: 32, 2: 48, 3: 48}


class _Graph:
    """Nodes and constants as they are added; every method returns the name of an output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def convolve(
        self,
        values: str,
        weight: NDArray[Any],
        bias: NDArray[Any],
        stride: int = 1,
        groups: int = 1,
    ) -> str:
        before, after = same_padding(weight.shape[-1], stride)
        return self.add(
            "Conv",
            values,
            self.constant(weight.astype(np.float32)),
            self.constant(bias.astype(np.float32)),
            kernel_shape=list(weight.shape[2:]),
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=groups,
        )

    def clip(self, values: str) -> str:
        low, high = self.constant(np.array(0, np.float32)), self.constant(np.array(6, np.float32))
        return self.add("Clip", values, low, high)


def network_graph(encoder: Tensors, decoder: Tensors) -> bytes:
    """Network from pixels to probabilities, as the bytes of an ONNX file.

    Parameters
    ----------
    encoder, decoder : mapping of str to array
        Tensors with the names and shapes of
        :func:`~annotator.segmentation.network.architecture.encoder_shapes` and
        :func:`~annotator.segmentation.network.architecture.decoder_shapes`.

    Returns
    -------
    bytes
        Its input ``pixels`` is (N, H, W, 3) uint8 RGB, H and W multiples of 32; its output
        ``probabilities`` (N, 6, H/2, W/2) float32 in 0..1: the four classes, which add up to
        1, the line between adipocytes, and the depth in an adipocyte; ``scale`` (N, 2, H/2, W/2)
        float32: binary logarithm of the microns per pixel, and that of how far it may be off.
        Of a network of an earlier version there is no depth and no scale.
    """
    graph = _Graph()
    finest_first = _encode(graph, encoder)
    logits = _decode(graph, decoder, finest_first)
    channels = len(decoder["head.bias"])
    planes = min(channels, PLANES)

    def part(first: int, last: int, output: str = "") -> str:
        bounds = [graph.constant(np.array([at])) for at in (first, last, 1)]
        return graph.add("Slice", logits, *bounds, output=output)

    parts = (_shares(graph, part(0, LINE)), graph.add("Sigmoid", part(LINE, planes)))
    graph.add("Concat", *parts, output=PROBABILITIES, axis=1)
    size = ["images", planes, "half_height", "half_width"]
    outputs: dict[str, tuple[int, list[Any]]] = {PROBABILITIES: (TensorProto.FLOAT, size)}
    if channels > CHANNELS_WITHOUT_SCALE:
        size = ["images", channels - planes, "half_height", "half_width"]
        outputs[part(planes, channels, SCALE)] = TensorProto.FLOAT, size
    return _model(graph, outputs)


def _shares(graph: _Graph, logits: str) -> str:
    """Add the softmax over channels, plane by plane: the operator itself moves channels last."""
    highest = graph.add("ReduceMax", logits, axes=[1])
    powers = graph.add("Exp", graph.add("Sub", logits, highest))
    axes = graph.constant(np.array([1]))
    return graph.add("Div", powers, graph.add("ReduceSum", powers, axes))


def encoder_graph(encoder: Tensors) -> bytes:
    """Encoder alone, as the bytes of an ONNX file.

    Returns
    -------
    bytes
        Its outputs ``level0`` to ``level4``, finest first, are (N, C, H/s, W/s) float16.
    """
    graph = _Graph()
    outputs = {}
    for at, values in enumerate(_encode(graph, encoder)):
        name = graph.add("Cast", values, output=f"level{at}", to=TensorProto.FLOAT16)
        outputs[name] = (TensorProto.FLOAT16, ["images", BLOCKS[LEVELS[at]].outputs, None, None])
    return _model(graph, outputs)


def _model(graph: _Graph, outputs: Mapping[str, tuple[int, list[Any]]]) -> bytes:
    pixels = helper.make_tensor_value_info(
        PIXELS, TensorProto.UINT8, ["images", "height", "width", 3]
    )
    results = [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()]
    built = helper.make_graph(graph.nodes, "network", [pixels], results, graph.constants)
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(built, opset_imports=opsets, producer_name="trephine")
    model.ir_version = _IR_VERSION
    return bytes(model.SerializeToString())


def _encode(graph: _Graph, encoder: Tensors) -> list[str]:
    """Add the encoder; return the names of its five levels, finest first."""

    channels_first = graph.add("Transpose", PIXELS, perm=[0, 3, 1, 2])
    values = graph.add("Cast", channels_first, to=TensorProto.FLOAT)
    mean = np.array(PIXEL_MEAN, np.float32).reshape(1, 3, 1, 1)
    scale = 1 / np.array(PIXEL_STD, np.float32).reshape(1, 3, 1, 1)
    stem = encoder["stem.weight"].astype(np.float32)
    values = graph.add("Sub", values, graph.constant(mean))
    # The stem divides by the spread as well.
    values = graph.clip(graph.convolve(values, stem * scale, encoder["stem.bias"], 2))
    outputs = []
    for at, block in enumerate(BLOCKS):
        values = _bottleneck(graph, encoder, at, block, values)
        outputs.append(values)
    return [outputs[at] for at in LEVELS]


def _bottleneck(
    graph: _Graph, encoder: Tensors, at: int, block: InvertedBottleneck, given: str
) -> str:
    """Add a block of the encoder, some of its inner channels at a time; return its output.

    Each inner channel is widened and convolved by itself, and the last convolution is their sum.
    """
    result = given if block.has_skip else ""
    group = _GROUPS.get(at, block.inner)
    for first in range(0, block.inner, group):
        inner = slice(first, first + group)

        def part(name: str, axis: int, inner: slice = inner) -> NDArray[np.float32]:
            values = encoder[f"blocks.{at}.{name}"]
            picked: NDArray[np.float32] = values[(slice(None),) * axis + (inner,)]
            return picked.astype(np.float32)

        values = given
        if block.expansion > 1:
            values = graph.clip(
                graph.convolve(values, part("expand.weight", 0), part("expand.bias", 0))
            )
        depthwise = part("depthwise.weight", 0), part("depthwise.bias", 0)
        values = graph.clip(graph.convolve(values, *depthwise, block.stride, group))
        bias = encoder[f"blocks.{at}.project.bias"]
        values = graph.convolve(
            values, part("project.weight", 1), bias if not first else np.zeros_like(bias)
        )
        result = graph.add("Add", values, result) if result else values
    return result


def _decode(graph: _Graph, decoder: Tensors, finest_first: list[str]) -> str:
    """Add the decoder; return the name of its logits."""

    def reduced(at: int) -> str:
        tensors = decoder[f"reduce.{at}.weight"], decoder[f"reduce.{at}.bias"]
        weight, bias = (_padded(values, 0) for values in tensors)
        return graph.convolve(finest_first[-1 - at], weight, bias)

    values = reduced(0)
    twice = graph.constant(np.array([1, 1, 2, 2], np.float32))
    for at, depth in enumerate(DECODER_DEPTHS):
        # As torch's interpolate with align_corners=False.
        larger = graph.add(
            "Resize",
            values,
            "",
            twice,
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
        weight, bias = _folded(decoder, f"levels.{at}.0")
        # Convolved one by one and added: the two levels never lie side by side in memory.
        coarse = graph.convolve(larger, weight[:, : DECODER_WIDTHS[at]], bias)
        fine_weight = _padded(weight[:, DECODER_WIDTHS[at] :], 1)
        fine = graph.convolve(reduced(at + 1), fine_weight, np.zeros_like(bias))
        values = graph.add("Relu", graph.add("Add", coarse, fine))
        for step in range(1, depth):
            folded = _folded(decoder, f"levels.{at}.{step}")
            values = graph.add("Relu", graph.convolve(values, *folded))
    return graph.convolve(values, decoder["head.weight"], decoder["head.bias"])


def _padded(values: NDArray[Any], axis: int) -> NDArray[Any]:
    """Tensor with channels of zeros, up to a multiple of :data:`_BLOCK`."""
    more = [(0, -length % _BLOCK if at == axis else 0) for at, length in enumerate(values.shape)]
    return np.pad(values, more)


def _folded(decoder: Tensors, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight and bias of a convolution that does its batch norm's work as well."""
    norm = {
        part: decoder[f"{name}.norm.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    }
    scale = norm["weight"] / np.sqrt(norm["running_var"] + NORM_EPSILON)
    weight = decoder[f"{name}.convolution.weight"] * scale[:, None, None, None]
    bias = norm["bias"] - norm["running_mean"] * scale
    return weight.astype(np.float32), bias.astype(np.float32)
