"""What SAM costs on this machine: operations, speed, seconds; told before a batch starts.

Operations are those of matrix products and convolutions, a multiplication and an
addition counted as two. What is left out (softmax, norms, GELU) moves memory rather
than computes; :class:`Efficiency` stands for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from annotator.core.progress import duration
from annotator.segmentation.sam.architecture import Architecture

# Tokens of one point: predicted IoU, four masks, the point and its padding.
POINT_TOKENS = 7
# The decoder's attention to the image works at half the channels (the package's default).
_DOWNSAMPLE = 2
# Cutting a mask out of its logits and measuring it, seconds a prompt, measured.
_CUT_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Share of this machine's matrix speed that each part of SAM reaches, 0..1.

    Measured with vit_b on two cores: the encoder makes 0.97 TFLOP at two thirds of the
    speed of plain products, a folded prompt of 1.4 GFLOP takes as long as 2.8 would.
    """

    encoder: float = 0.65
    decoder: float = 0.5


@dataclass(frozen=True, slots=True)
class Machine:
    """Where SAM runs: the torch device, the CPU's threads, float32 matrix FLOP/s."""

    device: str
    threads: int
    speed: float


def encoder_operations(shape: Architecture) -> int:
    """Operations of the image encoder for one image, or tile.

    Every image costs the same: the letter-box is encoded like pixels.

    Examples
    --------
    >>> from annotator.segmentation.sam.architecture import Architecture
    >>> vit_b = Architecture("vit_b", 1024, 16, 768, 12, 12, 4.0, True, 14, (2, 5, 8, 11),
    ...                      256, 16, 2, 2048, 8, 3, 256)
    >>> f"{encoder_operations(vit_b) / 1e12:.2f} TFLOP"
    '0.97 TFLOP'
    """
    tokens, width, out = shape.grid**2, shape.embed_dim, shape.out_chans
    patches = _product(tokens, 3 * shape.patch_size**2, width)
    mlp = 2 * _product(tokens, width, int(width * shape.mlp_ratio))
    neck = _product(tokens, width, out) + _product(tokens, 9 * out, out)
    attention = sum(
        _attention(shape, shape.grid if _is_global(shape, block) else shape.window_size)
        for block in range(shape.depth)
    )
    return patches + attention + shape.depth * mlp + neck


def _is_global(shape: Architecture, block: int) -> bool:
    return shape.window_size == 0 or block in shape.global_attention


def _attention(shape: Architecture, side: int) -> int:
    """One block's attention within squares of `side` tokens; the last ones are padded."""
    tokens = (math.ceil(shape.grid / side) * side) ** 2
    width = shape.embed_dim
    linear = _product(tokens, width, 3 * width) + _product(tokens, width, width)
    scores_and_values = 2 * _product(tokens, width, side**2)
    # Each query meets the positions along its rows and along its columns.
    positions = 2 * _product(tokens, width, side) if shape.rel_pos else 0
    return linear + scores_and_values + positions


def prompt_operations(
    shape: Architecture,
    *,
    folded: bool = True,
    seen: float = 1.0,
    upscaled: float = 1.0,
    tokens: int = POINT_TOKENS,
) -> int:
    """Operations of the mask decoder for one prompt with three masks.

    Parameters
    ----------
    shape : Architecture
    folded : bool
        As here: layer 0's image side is computed once an image, and later linear layers
        of the image side are folded onto the tokens. False: as in the package.
    seen : float
        Share of the encoder's square that is image and not letter-box, 0..1; only the
        folded decoder leaves the rest out, and only when it upscales.
    upscaled : float
        Share of prompts whose masks pass the predicted IoU and are upscaled, 0..1; the
        package upscales all.
    tokens : int
        7 for a point; 8 for a point with a box, whose two corners replace the padding.

    Examples
    --------
    >>> from annotator.segmentation.sam.architecture import Architecture
    >>> vit_b = Architecture("vit_b", 1024, 16, 768, 12, 12, 4.0, True, 14, (2, 5, 8, 11),
    ...                      256, 16, 2, 2048, 8, 3, 256)
    >>> stock = prompt_operations(vit_b, folded=False)
    >>> ours = prompt_operations(vit_b, seen=1200 / 1920)
    >>> f"{stock / 1e9:.1f} and {ours / 1e9:.1f} GFLOP"
    '3.6 and 1.4 GFLOP'
    """
    image = _folded_image_side(shape, tokens) if folded else _stock_image_side(shape, tokens)
    passed = seen * upscaled if folded else 1.0
    masks = 3 if folded else 4
    return image + _token_side(shape, tokens) + round(passed * _upscaling(shape, masks))


def _stock_image_side(shape: Architecture, tokens: int) -> int:
    """Cross-attention as written: a linear layer over every token of the image for each
    of K, V (tokens to image), Q and output (image to tokens), then K, V once more.
    """
    image, width = shape.grid**2, shape.out_chans
    inner = width // _DOWNSAMPLE
    calls = 2 * shape.decoder_depth + 1
    return calls * (2 * _product(image, width, inner) + 2 * _product(image, inner, tokens))


def _folded_image_side(shape: Architecture, tokens: int) -> int:
    """Cross-attention folded: the tokens' side, once for each head, meets the image.

    Layer 0 still has K, V and Q of its own from before: of its four products only the
    output, which lands in the image's channels, has the folded width.
    """
    image, width = shape.grid**2, shape.out_chans
    inner = width // _DOWNSAMPLE
    plain = _product(image, inner, tokens)
    folded = _product(image, width, shape.decoder_heads * tokens)
    later = 4 * (shape.decoder_depth - 1) + 2
    return 3 * plain + folded + later * folded


def _token_side(shape: Architecture, tokens: int) -> int:
    """The few tokens' own linear layers, their attention to each other, and the heads."""
    width = shape.out_chans
    inner = width // _DOWNSAMPLE
    itself = 4 * _product(tokens, width, width) + 2 * _product(tokens, width, tokens)
    across = 2 * _product(tokens, width, inner)
    mlp = 2 * _product(tokens, width, shape.decoder_mlp_dim)
    masks = 4 * (2 * _product(1, width, width) + _product(1, width, width // 8))
    hidden = shape.iou_head_hidden_dim
    deep = max(0, shape.iou_head_depth - 2) * _product(1, hidden, hidden)
    quality = _product(1, width, hidden) + deep + _product(1, hidden, 4)
    layers = shape.decoder_depth * (itself + 2 * across + mlp) + across
    return layers + masks + quality


def _upscaling(shape: Architecture, masks: int) -> int:
    """Two transposed convolutions of 2 x 2, then the product with each mask's vector."""
    image, width = shape.grid**2, shape.out_chans
    first = _product(image, width, 4 * (width // 4))
    second = _product(4 * image, width // 4, 4 * (width // 8))
    return first + second + _product(16 * image, width // 8, masks)


def _product(rows: int, inner: int, columns: int) -> int:
    """Operations of a matrix product (rows, inner) @ (inner, columns)."""
    return 2 * rows * inner * columns


def matrix_speed(
    device: str, seconds: float = 0.3, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Float32 matrix products a second on this device, now, in FLOP/s.

    Parameters
    ----------
    device : str
        A torch device. On the CPU torch's current number of threads is used.
    seconds : float
        Least time of measuring; other programs that run meanwhile slow it, as they will
        slow SAM.
    clock : callable
        Seconds; tests pass one of their own.
    """
    import torch

    side = 1024 if device == "cpu" else 4096
    with torch.inference_mode():
        draw = torch.Generator().manual_seed(0)
        matrix = torch.randn(side, side, generator=draw).to(device) / side**0.5
        into = torch.empty_like(matrix)

        def multiply() -> float:
            torch.matmul(matrix, matrix, out=into)
            # Reading a number waits for a device that works behind our back.
            return float(into[0, 0])

        multiply()
        start, runs, taken = clock(), 0, 0.0
        while not runs or taken < seconds:
            multiply()
            runs, taken = runs + 1, clock() - start
    return runs * _product(side, side, side) / max(taken, 1e-9)


def this_machine(device: str, seconds: float = 0.3) -> Machine:
    """Measure the device that SAM will run on (see :func:`matrix_speed`)."""
    import torch

    return Machine(device, torch.get_num_threads(), matrix_speed(device, seconds))


def expected_seconds(
    shape: Architecture,
    tiles: int,
    prompts: int,
    speed: float,
    efficiency: Efficiency | None = None,
) -> float:
    """Seconds for one image: its tiles encoded, its prompts decoded and cut out.

    Parameters
    ----------
    shape : Architecture
    tiles, prompts : int
        Of one image; 0 tiles where the embedding is cached.
    speed : float
        Of :func:`matrix_speed`, FLOP/s.
    efficiency : Efficiency, optional
        Measured on a CPU; a GPU is often faster than this says.
    """
    share = efficiency or Efficiency()
    encode = tiles * encoder_operations(shape) / (speed * share.encoder)
    decode = prompts * prompt_operations(shape) / (speed * share.decoder)
    return encode + decode + prompts * _CUT_SECONDS


def estimate_text(shape: Architecture, machine: Machine, seconds: float, images: int) -> str:
    """Say how long a batch will take, for people.

    Parameters
    ----------
    shape : Architecture
    machine : Machine
    seconds : float
        An image, of :func:`expected_seconds`.
    images : int
        Images of the batch.

    Examples
    --------
    >>> from annotator.segmentation.sam.architecture import Architecture
    >>> vit_b = Architecture("vit_b", 1024, 16, 768, 12, 12, 4.0, True, 14, (2, 5, 8, 11),
    ...                      256, 16, 2, 2048, 8, 3, 256)
    >>> print(estimate_text(vit_b, Machine("cpu", 2, 1.8e11), 12.2, 30))
    about 12 s an image with vit_b on this machine (cpu, 2 threads, 180 GFLOP/s): \
6 min 6 s for 30 images
    """
    threads = f", {machine.threads} thread{'s' * (machine.threads != 1)}"
    where = f"{machine.device}{threads if machine.device == 'cpu' else ''}"
    each = f"about {duration(seconds)} an image with {_name(shape)} on this machine"
    plural = "s" * (images != 1)
    all_images = f"{duration(seconds * images)} for {images} image{plural}"
    return f"{each} ({where}, {_speed(machine.speed)}): {all_images}"


def _name(shape: Architecture) -> str:
    return "a small SAM" if shape.kind == "small" else shape.kind


def _speed(speed: float) -> str:
    giga = speed / 1e9
    return f"{giga / 1e3:.1f} TFLOP/s" if giga >= 1e3 else f"{giga:.0f} GFLOP/s"
