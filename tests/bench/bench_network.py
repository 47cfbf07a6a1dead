"""Prediction by the segmentation network: three engines, one image, one core each.

Every engine runs the same tensors in a process of its own, at the scales of the product, and
its answer is compared with torch's. Part of ``make bench``.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from bench_annotate import apart

SHAPE, UM_PER_PX, TURNS = (1200, 1920), 0.5, 5
GOAL_SECONDS, GOAL_MB = 1.0, 500


def pixels() -> np.ndarray:
    """A drawn field."""
    from annotator.synthetic.field import make_phantom
    from annotator.synthetic.settings import PhantomSettings

    return make_phantom(PhantomSettings(shape=SHAPE, um_per_px=UM_PER_PX)).image.pixels


def peak_mb() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def of_product() -> tuple[float, float]:
    """Seconds of an image by the product's predictor, and the memory that it adds."""
    from annotator.segmentation.network.network_file import starter_network
    from annotator.segmentation.network.prediction import NetworkPredictor

    field = pixels()
    before = peak_mb()
    predictor = NetworkPredictor(starter_network())
    seconds = timed(lambda: predictor.probabilities(field, UM_PER_PX))
    return seconds, peak_mb() - before


def timed(ask: Callable[[], Any]) -> float:
    """Median seconds of a few turns, the first one left out."""
    ask()
    turns = []
    for _ in range(TURNS):
        began = time.perf_counter()
        ask()
        turns.append(time.perf_counter() - began)
    return median(turns)


def of_engine(name: str) -> tuple[float, np.ndarray]:
    """Seconds of one pass at 1 um per px in an engine, and its answer."""
    shrunk = np.ascontiguousarray(pixels()[::2, ::2][: 19 * 32 - 32, : 30 * 32])
    ask = {"onnxruntime": _onnxruntime, "cv2.dnn": _opencv, "torch": _torch}[name]()
    return timed(lambda: ask(shrunk)), ask(shrunk)


def _onnxruntime() -> Callable[[np.ndarray], np.ndarray]:
    from annotator.segmentation.network.network_file import starter_network
    from annotator.segmentation.network.prediction import NetworkPredictor

    session = NetworkPredictor(starter_network())._session
    return lambda image: session.run(None, {"pixels": image[None]})[0]


def _opencv() -> Callable[[np.ndarray], np.ndarray]:
    import cv2

    from annotator.segmentation.network.graph import network_graph
    from annotator.segmentation.network.network_file import encoder_tensors, starter_network

    cv2.setNumThreads(1)
    graph = network_graph(encoder_tensors(), starter_network().decoder)
    net = cv2.dnn.readNetFromONNX(np.frombuffer(graph, np.uint8))

    def ask(image: np.ndarray) -> np.ndarray:
        net.setInput(image[None])
        return net.forward()

    return ask


def _torch() -> Callable[[np.ndarray], np.ndarray]:
    import torch

    from active_learning.network.modules import Decoder, Encoder
    from annotator.segmentation.network.network_file import encoder_tensors, starter_network

    torch.set_num_threads(1)
    encoder, decoder = Encoder(), Decoder()
    for module, tensors in (
        (encoder, encoder_tensors()),
        (decoder, starter_network().decoder),
    ):
        state = {key: torch.tensor(values.astype(np.float32)) for key, values in tensors.items()}
        module.load_state_dict(state, strict=False)
        module.eval().to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def ask(image: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(image[None]).permute(0, 3, 1, 2).float()
        logits = decoder(encoder(batch))
        return torch.cat([logits[:, :4].softmax(1), logits[:, 4:].sigmoid()], 1).numpy()

    return ask


def measure() -> list[tuple[str, str, str]]:
    """What was measured, the figure, and what it is held to."""
    seconds, added = apart(of_product)
    height, width = SHAPE
    rows = [
        (f"{height} x {width} px predicted, all scales", f"{seconds:.2f} s", f"< {GOAL_SECONDS} s"),
        ("memory that it adds", f"{added:.0f} MB", f"< {GOAL_MB} MB"),
    ]
    known: np.ndarray | None = None
    slowest = 0.0
    for name in ("torch", "cv2.dnn", "onnxruntime"):
        try:
            took, answer = apart(of_engine, name)
        except Exception as error:  # noqa: BLE001 - OpenCV's own kind; a table tells of it
            rows.append((f"one scale by {name}", "failed", str(error).splitlines()[0][:60]))
            continue
        known = answer if known is None else known
        slowest = slowest or took
        differs = float(np.abs(answer - known).max())
        rows.append(
            (
                f"one scale by {name}",
                f"{took:.2f} s = 1/{slowest / took:.1f} of torch's",
                f"differs by {differs:.0e}",
            )
        )
    return rows
