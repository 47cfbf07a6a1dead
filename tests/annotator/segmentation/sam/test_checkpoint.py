import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.random_sam import SMALL, random_state, write_checkpoint
from support.stock_sam import stock_generator

from annotator.core.errors import UsageError, WeightsError
from annotator.segmentation.sam.architecture import Architecture, architecture
from annotator.segmentation.sam.checkpoint import build, choose_device, package_classes
from annotator.segmentation.sam.model import load
from annotator.segmentation.sam.weights import Checkpoint


def checkpoint(path: Path) -> Checkpoint:
    return Checkpoint(path, hashlib.sha256(path.read_bytes()).hexdigest(), path.name, "own")


def test_the_shape_is_read_from_the_tensors(tmp_path: Path) -> None:
    model = load(checkpoint(write_checkpoint(tmp_path / "small.pth")), "cpu")
    assert model.architecture == SMALL


OFFICIAL_SHAPES = [
    ("vit_b", 768, 12, 12, (2, 5, 8, 11)),
    ("vit_l", 1024, 24, 16, (5, 11, 17, 23)),
    ("vit_h", 1280, 32, 16, (7, 15, 23, 31)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "width", "depth", "heads", "spots"), OFFICIAL_SHAPES)
def test_the_official_shapes_are_those_of_the_package(
    name: str, width: int, depth: int, heads: int, spots: tuple[int, ...]
) -> None:
    with stock_generator(), torch.device("meta"):
        network = sys.modules["segment_anything"].sam_model_registry[name]()
    shapes = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    shape = architecture(shapes, Path("x.pth"))
    assert shape == Architecture(
        name, 1024, 16, width, depth, heads, 4.0, True, 14, spots, 256, 16, 2, 2048, 8, 3, 256
    )
    own = build(shape).state_dict()
    assert {k: tuple(v.shape) for k, v in own.items()} == shapes


def test_without_relative_positions_only_a_known_shape_can_be_told(tmp_path: Path) -> None:
    known = replace(
        SMALL, image_size=256, embed_dim=128, depth=6, heads=4, rel_pos=False,
        window_size=16, global_attention=(2, 5), out_chans=128, decoder_heads=4,
    )  # fmt: skip
    state = build(known).state_dict()
    shapes = {k: tuple(v.shape) for k, v in state.items()}
    assert architecture(shapes, Path("x")) == known
    with pytest.raises(WeightsError, match=r"a\.pth"):
        load(checkpoint(write_checkpoint(tmp_path / "a.pth", replace(SMALL, rel_pos=False))), "cpu")


def test_safetensors_load_like_the_same_state_in_a_pth(tmp_path: Path) -> None:
    half = {k: v.half() for k, v in random_state().items()}
    torch.save(half, tmp_path / "half.pt")
    one = load(checkpoint(tmp_path / "half.pt"), "cpu")
    save_file(half, tmp_path / "half.safetensors")
    other = load(checkpoint(tmp_path / "half.safetensors"), "cpu")
    mine, theirs = one.network.state_dict(), other.network.state_dict()
    assert all(v.dtype == torch.float32 for v in mine.values())
    assert all(torch.equal(mine[k], theirs[k]) for k in mine)
    assert one.sha256 != other.sha256


TOKEN = "mask_decoder.iou_token.weight"


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("payload-ran",))


def write_bad(path: Path, kind: str) -> None:
    state = random_state()
    whole = {
        "code": lambda: torch.save({"a": Payload()}, path),
        "bare pickle with code": lambda: path.write_bytes(pickle.dumps(Payload(), protocol=2)),
        "truncated": lambda: path.write_bytes(path.read_bytes()[:-5000]),
        "cut short": lambda: path.write_bytes(path.read_bytes()[:100]),
        "empty": lambda: path.write_bytes(b""),
        "page": lambda: path.write_text("\n<!DOCTYPE html><html>not found</html>"),
        "noise": lambda: path.write_bytes(bytes(range(256)) * 9),
        "list": lambda: torch.save([1, 2], path),
        "wrapped": lambda: torch.save({"model": state, "epoch": 3}, path),
        "other network": lambda: torch.save({"conv.weight": torch.zeros(3)}, path),
        "key missing": lambda: torch.save({k: v for k, v in state.items() if k != TOKEN}, path),
        "key more": lambda: torch.save(state | {"hq_token.weight": torch.zeros(1)}, path),
        "shape": lambda: torch.save(
            state | {"mask_decoder.iou_token.weight": torch.zeros(9)}, path
        ),
    }
    torch.save(state, path)
    whole[kind]()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("code", "nothing"),
        ("bare pickle with code", "nothing"),
        ("truncated", "truncated"),
        ("cut short", "truncated"),
        ("empty", r"\(0 bytes\)"),
        ("page", "web page"),
        ("noise", "truncated"),
        ("list", "list"),
        ("wrapped", "state_dict"),
        ("other network", r"'image_encoder.pos_embed'.*conv.weight"),
        ("key missing", r"missing mask_decoder.iou_token.weight"),
        ("key more", "unexpected hq_token.weight"),
        ("shape", "shape mask_decoder.iou_token.weight"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pth"
    write_bad(path, kind)
    with pytest.raises(WeightsError, match=message) as caught:
        load(checkpoint(path), "cpu")
    assert str(path) in str(caught.value)
    assert not (tmp_path / "payload-ran").exists()


@pytest.mark.parametrize("keep", [0, 5, 400, -10])
def test_cut_safetensors_are_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.safetensors"
    save_file(random_state(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="truncated or no safetensors") as caught:
        load(checkpoint(path), "cpu")
    assert str(path) in str(caught.value)


def with_header(header: object, length: int | None = None) -> bytes:
    """A safetensors file of 8 bytes of data under a header."""
    text = json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + bytes(8)


ROW = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "data",
    [
        with_header({"a": ROW}, length=1 << 62),
        with_header({"a": ROW}, length=1 << 30),
        with_header([1, 2]),
        with_header({"a": "text"}),
        with_header({"a": ROW | {"dtype": "object"}}),
        with_header({"a": ROW | {"shape": [3]}}),
        with_header({"a": ROW | {"data_offsets": [0, 9]}}),
        with_header({"a": ROW | {"data_offsets": [8, 0]}}),
        with_header({"a": ROW, "b": ROW}),
        pickle.dumps({"a": 1}),
    ],
    ids=[
        "header of 4 EB", "header of 1 GB", "list", "text", "objects", "shape beyond its data",
        "data beyond the file", "data that ends before it begins", "data twice", "pickle",
    ],
)  # fmt: skip
def test_safetensors_whose_header_does_not_fit_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="truncated or no safetensors"):
        load(checkpoint(path), "cpu")


def test_safetensors_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(with_header({"a": ROW}))
    with pytest.raises(WeightsError, match="its tensors are called a"):
        load(checkpoint(path), "cpu")


def test_a_missing_file_is_a_weights_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no\.pth"):
        load(Checkpoint(tmp_path / "no.pth", "0" * 64, "no", "own"), "cpu")


@pytest.mark.parametrize("device", ["gpu", "cpu:1", "cuda:x", "cuda:99", ""])
def test_an_unknown_device_is_a_usage_error(device: str) -> None:
    with pytest.raises(UsageError, match=re.escape(device or "auto")):
        choose_device(device)


def test_auto_takes_the_best_device_there_is() -> None:
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    assert choose_device("auto") == ("cuda" if cuda else "mps" if mps else "cpu")


# Imports


def test_the_package_is_left_as_it_was() -> None:
    assert "segment_anything" not in sys.modules
    assert not any(m.startswith("segment_anything.") for m in sys.modules)
    package_classes()
    assert "segment_anything" not in sys.modules


def test_a_package_that_is_already_imported_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    package, modeling = ModuleType("segment_anything"), ModuleType("segment_anything.modeling")
    monkeypatch.setitem(sys.modules, "segment_anything", package)
    monkeypatch.setitem(sys.modules, "segment_anything.modeling", modeling)
    assert package_classes.__wrapped__() is modeling
    assert sys.modules["segment_anything"] is package


@pytest.mark.slow
def test_loading_sam_needs_no_torchvision(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "small.pth")
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from pathlib import Path\n"
        "from annotator.segmentation.sam.model import load\n"
        "from annotator.segmentation.sam.weights import resolve\n"
        f"load(resolve({str(path)!r}), 'cpu', threads=1)\n"
        "import torch; sys.exit(torch.get_num_threads() - 1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
