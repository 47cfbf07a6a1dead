"""Read a SAM checkpoint, and build and fill its network.

The network is made of the ``segment-anything`` package's own classes; torchvision
is not needed (:func:`package_classes` says how). Nothing in a checkpoint is ever run.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pickle
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from annotator.core.errors import UsageError, WeightsError
from annotator.segmentation.sam.architecture import Architecture

# Of RGB pixels 0..255, as SAM was trained.
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


def choose_device(device: str) -> str:
    """Name of the torch device to use.

    Raises
    ------
    UsageError
        When it is no device, or is not available here.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    kind, _, index = device.partition(":")
    there = {"cpu": True, "cuda": cuda, "mps": mps}
    if kind not in there or (":" in device and not (kind == "cuda" and index.isdecimal())):
        raise UsageError(f"expected the device auto, cpu, cuda, cuda:N or mps, got {device!r}")
    if not there[kind] or int(index or 0) >= max(1, torch.cuda.device_count()):
        raise UsageError(f"this torch finds no device {device} here: use --device auto or cpu")
    return device


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the named tensors of a checkpoint as float32, without running any code in it.

    Returns
    -------
    dict of str to tensor
        Floating-point ones as float32, others as they are.

    Raises
    ------
    WeightsError
        When the file is missing, truncated, something else, or holds code.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise WeightsError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    if head.lstrip().startswith(b"<"):
        raise WeightsError(
            f"{path} is a web page saved under a checkpoint's name: download the file itself"
        )
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    if not isinstance(state, Mapping) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        raise WeightsError(
            f"{path} holds no plain table of named tensors (a SAM state dict), "
            f"but {type(state).__name__}: save the model's state_dict() alone"
        )
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, as they are stored; not mapped, so the file may go."""
    try:
        return safetensors.torch.load(path.read_bytes())
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} ({path.stat().st_size:,} bytes) is truncated or no safetensors file "
            f"({error}): get it again and compare its sha256"
        ) from error


def _read_pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch tells code from damage in its text only; both end here all the same.
        if re.search("unsupported (global|class)", str(error), re.IGNORECASE):
            raise WeightsError(
                f"{path} holds objects or code besides tensors, and nothing of it was run: "
                f"use an official checkpoint, or save the model's state_dict() alone"
            ) from error
        raise WeightsError(_damaged(path)) from error
    # A cut file surfaces in torch as any of these, by where the cut happens to lie.
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise WeightsError(_damaged(path)) from error


def _damaged(path: Path) -> str:
    return (
        f"{path} ({path.stat().st_size:,} bytes) is truncated or no torch checkpoint: "
        f"download it again (trephine weights fetch) and verify its sha256"
    )


@functools.cache
def package_classes() -> ModuleType:
    """Import ``segment_anything.modeling`` without running the package's ``__init__``.

    That ``__init__`` imports torchvision for four functions which we do not use,
    and torchvision's wheels pull in, or clash with, another torch. So a bare module
    with the package's ``__path__`` stands in while the submodules are imported, and
    everything that this put into ``sys.modules`` is taken out again: whoever imports
    the real package, before or after, gets it as if this had never happened.

    Raises
    ------
    WeightsError
        When the package is not installed.
    """
    name = "segment_anything"
    if name in sys.modules:
        return importlib.import_module(f"{name}.modeling")
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise WeightsError("SAM needs the package segment-anything: pip install segment-anything")
    stand_in = ModuleType(name)
    stand_in.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = stand_in
    try:
        return importlib.import_module(f"{name}.modeling")
    finally:
        for loaded in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
            del sys.modules[loaded]


def build(shape: Architecture) -> Any:
    """Make a network of this shape with the package's classes, without values yet.

    It lies on torch's ``meta`` device: no memory is taken and no random numbers are
    drawn before the checkpoint's own tensors are put in (:func:`fill`).
    """
    classes = package_classes()
    with torch.device("meta"):
        return classes.Sam(
            image_encoder=_encoder(classes, shape),
            prompt_encoder=classes.PromptEncoder(
                embed_dim=shape.out_chans,
                image_embedding_size=(shape.grid, shape.grid),
                input_image_size=(shape.image_size, shape.image_size),
                mask_in_chans=shape.mask_in_chans,
            ),
            mask_decoder=classes.MaskDecoder(
                num_multimask_outputs=3,
                transformer=classes.TwoWayTransformer(
                    depth=shape.decoder_depth,
                    embedding_dim=shape.out_chans,
                    mlp_dim=shape.decoder_mlp_dim,
                    num_heads=shape.decoder_heads,
                ),
                transformer_dim=shape.out_chans,
                iou_head_depth=shape.iou_head_depth,
                iou_head_hidden_dim=shape.iou_head_hidden_dim,
            ),
        )


def _encoder(classes: ModuleType, shape: Architecture) -> Any:
    return classes.ImageEncoderViT(
        img_size=shape.image_size,
        patch_size=shape.patch_size,
        embed_dim=shape.embed_dim,
        depth=shape.depth,
        num_heads=shape.heads,
        mlp_ratio=shape.mlp_ratio,
        out_chans=shape.out_chans,
        qkv_bias=True,
        norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6),
        use_abs_pos=True,
        use_rel_pos=shape.rel_pos,
        window_size=shape.window_size,
        global_attn_indexes=shape.global_attention,
    )


def fill(network: Any, state: Mapping[str, Tensor], path: Path) -> None:
    """Put a checkpoint's tensors into a network made by :func:`build`.

    Raises
    ------
    WeightsError
        When names or shapes do not fit, naming the first few.
    """
    own = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    misfits = sorted(k for k in own.keys() & state.keys() if own[k] != tuple(state[k].shape))
    if missing or unexpected or misfits:
        raise WeightsError(
            f"{path} is not a Segment Anything checkpoint of a known shape: "
            f"missing {_first(missing)}; unexpected {_first(unexpected)}; "
            f"of another shape {_first(misfits)}. Use vit_b, vit_l or vit_h"
        )
    network.load_state_dict(state, strict=True, assign=True)
    # These two are not stored in checkpoints, so they are still without values.
    network.pixel_mean = torch.tensor(PIXEL_MEAN).view(-1, 1, 1)
    network.pixel_std = torch.tensor(PIXEL_STD).view(-1, 1, 1)
    network.eval().requires_grad_(False)


def _first(names: list[str]) -> str:
    shown = ", ".join(names[:3]) or "nothing"
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
