"""A network of chance, as small files and tensors: for all that does not ask what it knows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotator.segmentation.network.architecture import decoder_shapes


def random_decoder(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Tensors of a decoder whose answers differ from pixel to pixel."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in decoder_shapes().items():
        fan_in = max(int(np.prod(shape[1:])), 1)
        values = rng.normal(0, 1, shape) * np.sqrt(2 / fan_in if len(shape) > 1 else 0.1)
        if name.endswith(("norm.weight", "running_var")):
            values = 1 + np.abs(values)
        tensors[name] = values.astype(np.float32)
    return tensors
