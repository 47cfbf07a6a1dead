"""Small SAM checkpoints of the real architecture with random values."""

from pathlib import Path

import numpy as np
import torch

from annotator.segmentation.sam.architecture import Architecture
from annotator.segmentation.sam.checkpoint import build

SMALL = Architecture(
    kind="small",
    image_size=128,
    patch_size=8,
    embed_dim=32,
    depth=2,
    heads=2,
    mlp_ratio=4.0,
    rel_pos=True,
    window_size=5,
    global_attention=(1,),
    out_chans=32,
    mask_in_chans=16,
    decoder_depth=2,
    decoder_mlp_dim=64,
    decoder_heads=1,
    iou_head_depth=3,
    iou_head_hidden_dim=32,
)


def random_state(shape: Architecture = SMALL, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random values of a size that lets signals through; see :func:`localise`."""
    draw = torch.Generator().manual_seed(seed)

    def tensor(name: str, size: torch.Size) -> torch.Tensor:
        values = torch.randn(size, generator=draw)
        if len(size) == 1:
            return (1.0 if name.endswith("weight") else 0.0) + 0.1 * values
        table = "token" in name or "embed" in name or "gaussian" in name
        return values if table else values * (2.0 / values[0].numel()) ** 0.5

    state = {k: tensor(k, v.shape) for k, v in build(shape).state_dict().items()}
    localise(state)
    return state


def localise(state: dict[str, torch.Tensor]) -> None:
    """Change random values so that a mask is a few patches which depend on the point.

    Plain random decoders answer every point with specks all over the frame, of which
    NMS leaves one; such masks would test little.
    """
    decoder = "mask_decoder."
    for key in [k for k in state if "cross_attn" in k and k.endswith("q_proj.weight")]:
        # Alike queries and keys: what lies near the point attends to the point.
        state[key] *= 2
        state[key.replace("q_proj", "k_proj")] = state[key].clone()
    for key in ("image_encoder.neck.3.weight", "prompt_encoder.no_mask_embed.weight"):
        state[key] *= 0.1
    for layer in (0, 3):
        # Nearly the same kernel for the four pixels of a token: patches, not specks.
        key = f"{decoder}output_upscaling.{layer}.weight"
        mean = state[key].mean((2, 3), keepdim=True)
        state[key] = 2 * mean + 0.2 * (state[key] - mean)
    # Scores around 0.8 instead of around -1.
    state[f"{decoder}iou_prediction_head.layers.2.weight"] *= 0.1
    state[f"{decoder}iou_prediction_head.layers.2.bias"] += 0.9
    # One channel of about 5 everywhere, weighed by -0.04: all logits sink by 0.2.
    state[f"{decoder}output_upscaling.3.bias"][0] = 5.0
    for token in range(4):
        last = f"{decoder}output_hypernetworks_mlps.{token}.layers.2."
        state[f"{last}weight"][0] = 0.0
        state[f"{last}bias"][0] = -0.04


def write_checkpoint(path: Path, shape: Architecture = SMALL, seed: int = 0) -> Path:
    torch.save(random_state(shape, seed), path)
    return path


def bubbles(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Pale discs on pink, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    pixels = np.full((height, width, 3), (220.0, 170.0, 200.0))
    for _ in range(12):
        cy, cx, radius = rng.integers(height), rng.integers(width), rng.integers(4, 18)
        pixels[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = 245
    return np.clip(pixels + rng.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
