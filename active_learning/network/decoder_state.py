"""The decoder's weights and the optimizer's memory as plain arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from active_learning.network.modules import Decoder
from annotator.segmentation.network.architecture import decoder_shapes
from annotator.segmentation.network.network_file import Tensors


def make_decoder(seed: int, tensors: Tensors | None) -> Decoder:
    """A decoder of these tensors; without any, of random ones from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Decoder()
    if tensors is not None:
        load_decoder(net, tensors)
    return net


def load_decoder(net: Decoder, tensors: Tensors) -> None:
    """Put tensors into a decoder."""
    state = net.state_dict()
    for name in decoder_shapes():
        values = torch.from_numpy(np.asarray(tensors[name], np.float32))
        # A network of an earlier version has fewer channels: the others stay as they are.
        state[name][: len(values)].copy_(values)


def decoder_tensors(net: Decoder) -> dict[str, NDArray[Any]]:
    """Copies of a decoder's tensors, float32."""
    state = net.state_dict()
    return {name: state[name].detach().float().cpu().numpy().copy() for name in decoder_shapes()}


@torch.no_grad()
def move_average(average: Decoder, net: Decoder, share: float) -> None:
    """Move the average towards the weights: ``share`` of it stays."""
    for mean, value in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - share)
        else:
            mean.copy_(value)


def optimizer_moments(optimizer: torch.optim.Optimizer) -> dict[str, NDArray[Any]]:
    """What AdamW remembers, by parameter and name."""
    return {
        f"{at}.{name}": np.asarray(value.cpu().numpy())
        for at, kept in optimizer.state_dict()["state"].items()
        for name, value in kept.items()
    }


def optimizer_state(
    optimizer: torch.optim.Optimizer, moments: Mapping[str, NDArray[Any]]
) -> dict[str, Any]:
    """The state of an optimizer whose moments are these."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, values in moments.items():
        at, _, name = key.partition(".")
        state.setdefault(int(at), {})[name] = torch.from_numpy(np.array(values))
    return {**optimizer.state_dict(), "state": state}
