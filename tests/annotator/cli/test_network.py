"""The commands of a study's own network, as a person types them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnxruntime import InferenceSession
from support.corrected_studies import corrected_study
from support.known_fields import known_field

from annotator.cli.main import run
from annotator.cli.options import DONE, INCOMPLETE, STOPPED, USAGE
from annotator.imaging.codecs import encode_rgb_png
from annotator.imaging.label_map_files import read_codes
from annotator.pipeline.network import train as network_train
from annotator.segmentation.network.network_file import starter_network, write_network
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two patients whose own network is in use."""
    path = corrected_study(tmp_path_factory.mktemp("network"), ("p0", "p1"))
    assert run(["network", "train", str(path), "--seeds", "2", "--epochs", "3"]) == DONE
    card = path / "networks" / "001.json"
    content = json.loads(card.read_text("utf-8"))
    assert content["adopted"] == (content["verdict"] == "better")
    card.write_text(json.dumps(content | {"verdict": "better", "adopted": True}), "utf-8")
    return path


def said(capsys: Output, *words: str, code: int = DONE) -> str:
    """What ``trephine network`` prints on stdout; on stderr where it cannot be used."""
    capsys.readouterr()
    found = run(["network", *words])
    out = capsys.readouterr()
    assert found == code, out.err
    return out.err if code in (USAGE, STOPPED) else out.out


def test_a_training_says_how_good_the_network_is(
    trained: Path, tmp_path: Path, capsys: Output
) -> None:
    path = Path(shutil.copytree(trained, tmp_path / "study"))
    text = said(capsys, "train", str(path), "--epochs", "1")
    for words in (
        "Network 002: 2 image(s) of 2 patient(s), 1 epochs",
        "the paper's U-Net",
        "0.832 ± 0.099",
        "Beside   001, in use: mean Dice",
        "Verdict  ",
    ):
        assert words in text
    document = json.loads(
        said(capsys, "train", str(path), "--preset", "bambo", "--epochs", "1", "--json")
    )
    assert (document["index"], document["preset"]) == (3, "bambo")
    assert document["started_from"] is None


def test_seeds_are_told_one_by_one(trained: Path) -> None:
    card = json.loads((trained / "networks" / "001.json").read_text("utf-8"))
    assert len(card["seeds"]) == 2
    assert {one["dice"]["patients"] for one in card["seeds"]} == {2}
    assert len(card["fold_curves"]) == 4


def test_both_networks_stand_beside_the_paper(trained: Path, capsys: Output) -> None:
    text = said(capsys, "evaluate", str(trained), "--worst", "1")
    for words in ("starter", "001", "0.712 ± 0.144", "0.059 ± 0.088", "boundary F1", "Worst"):
        assert words in text
    report = trained / "report" / "network"
    assert len(list((report / "001" / "evaluation").glob("*.jpg"))) == 1
    own = read_codes(report / "001" / "maps" / "p0_0.png")
    assert (own == read_codes(trained / "networks" / "unseen-001" / "p0_0.png")).all()
    document = json.loads(said(capsys, "evaluate", str(trained), "--json"))
    assert [one["name"] for one in document["networks"]] == ["starter", "001"]
    assert document["networks"][1]["figures"]["dice"]["patients"] == 2
    assert document["paper"]["mean_iou"] == {"mean": 0.712, "sd": 0.144}
    assert json.loads((report / "figures.json").read_text("utf-8"))["networks"][0]["worst"]


def test_predictions_of_a_study_and_of_files(trained: Path, tmp_path: Path, capsys: Output) -> None:
    truth = (trained / "truth" / "p0_0.png").read_bytes()
    text = said(capsys, "predict", str(trained))
    assert "p0_0" in text and "cellularity.csv" in text
    assert read_codes(trained / "report" / "network" / "predicted" / "p1_1.png").max() <= 3
    assert (trained / "truth" / "p0_0.png").read_bytes() == truth
    out = tmp_path / "out"
    file = str(trained / "networks" / "001.safetensors")
    pictures = str(trained.parent / "in")
    words = (
        "predict",
        pictures,
        "--network",
        file,
        "--out",
        str(out),
        "--um-per-px",
        "1",
        "--json",
    )
    document = json.loads(said(capsys, *words))
    assert [(one["name"], one["scale"]) for one in document["images"]] == [
        ("p0_0", "known"),
        ("p1_1", "known"),
    ]
    with np.load(out / "probabilities" / "p0_0.npz") as planes:
        assert planes["planes"].tolist() == ["bg", "fat", "cell", "bone", "line", "depth"]
        probabilities = planes["probabilities"]
    assert probabilities.shape == (6, 96, 128) and probabilities.dtype == np.uint8
    codes = cv2.imread(str(out / "p0_0.png"), cv2.IMREAD_UNCHANGED)
    sure = probabilities[:4].max(axis=0) > 130
    assert (probabilities[:4].argmax(axis=0)[sure] == codes[sure]).all()
    rows = (out / "cellularity.csv").read_text("utf-8-sig").splitlines()
    assert rows[0].startswith("image,file,um_per_px,scale,bg_px") and len(rows) == 3


def test_black_has_no_class_and_light_no_colour(tmp_path: Path, capsys: Output) -> None:
    sheet = make_phantom(PhantomSettings(seed=3, shape=(160, 200), um_per_px=0.5))
    white = np.array(sheet.image.pixels)
    (tmp_path / "in").mkdir()
    barred, warm = white.copy(), white * np.array([1.0, 0.94, 0.8])
    barred[:40] = 0
    for name, pixels in {"barred": barred, "warm": warm.astype(np.uint8), "white": white}.items():
        (tmp_path / "in" / f"{name}.png").write_bytes(encode_rgb_png(pixels))
    words = ("predict", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--um-per-px", "0.5")
    document = json.loads(said(capsys, *words, "--json"))
    codes = {name: read_codes(tmp_path / "out" / f"{name}.png") for name in ("barred", "warm")}
    found = {one["name"]: one for one in document["images"]}
    assert (codes["barred"][:40] == 255).all() and (codes["barred"][40:] <= 3).all()
    assert found["barred"]["unlabelled_px"] == 40 * 200
    assert "black is no tissue" in found["barred"]["notes"][0]
    assert "its light is warm" in found["warm"]["notes"][0] and not found["white"]["notes"]
    assert (codes["warm"] == read_codes(tmp_path / "out" / "white.png")).mean() > 0.95
    assert "note: warm: its light is warm" in said(capsys, *words)


def test_a_picture_that_cannot_be_read_does_not_stop_the_others(
    tmp_path: Path, capsys: Output
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(encode_rgb_png(known_field(0).pixels))
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    words = ("predict", str(tmp_path / "in"), "--out", str(tmp_path / "out"))
    text = said(capsys, *words, code=INCOMPLETE)
    assert "failed: " in text and "b.png" in text
    assert (tmp_path / "out" / "a.png").is_file()


@pytest.mark.parametrize("place", ["truth", "rough", "rough/mine"])
def test_masks_that_people_correct_are_no_place_for_predictions(
    trained: Path, place: str, capsys: Output
) -> None:
    text = said(capsys, "predict", str(trained), "--out", str(trained / place), code=USAGE)
    assert "where people correct masks" in text


def test_networks_are_listed_and_a_damaged_one_is_named(
    trained: Path, tmp_path: Path, capsys: Output
) -> None:
    assert "001 (in use)" in said(capsys, "list", str(trained))
    path = Path(shutil.copytree(trained, tmp_path / "study"))
    file = path / "networks" / "001.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    text = said(capsys, "list", str(path))
    assert "damaged: " in text and "1000 bytes" in text
    (row,) = json.loads(said(capsys, "list", str(path), "--json"))
    assert "cut short" in row["fault"] and not row["in_use"]
    text = said(capsys, "train", str(path), code=USAGE)
    assert "001.safetensors" in text, "what is in use must be readable to be compared with"
    empty = corrected_study(tmp_path / "empty", ())
    assert "trephine network train" in said(capsys, "list", str(empty))


def test_an_exported_network_runs_elsewhere(trained: Path, tmp_path: Path, capsys: Output) -> None:
    out = tmp_path / "marrow.onnx"
    assert "um/px" in said(capsys, "export", str(trained), str(out))
    session = InferenceSession(out.read_bytes(), providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"pixels": np.zeros((1, 64, 96, 3), np.uint8)})
    assert found.shape == (1, 6, 32, 48)
    assert np.allclose(found[:, :4].sum(axis=1), 1, atol=1e-4)
    assert "--force" in said(capsys, "export", str(trained), str(out), code=USAGE)
    said(capsys, "export", str(trained), str(out), "--force")


def test_files_that_are_no_network_are_refused_in_clear_words(
    trained: Path, tmp_path: Path, capsys: Output
) -> None:
    starter = starter_network()
    short = tmp_path / "short.safetensors"
    write_network(short, starter.decoder, {"name": "short"})
    short.write_bytes(short.read_bytes()[:-100])
    strange = tmp_path / "strange.safetensors"
    write_network(strange, {"head.bias": np.zeros(5)}, {})
    for file, words in (
        (short, "cut short"),
        (strange, "another architecture"),
        (tmp_path / "none.safetensors", "cannot be read"),
    ):
        assert words in said(capsys, "train", str(trained), "--from", str(file), code=USAGE)
        assert words in said(capsys, "predict", str(trained), "--network", str(file), code=USAGE)


def test_without_a_mask_there_is_nothing_to_train_or_evaluate(
    tmp_path: Path, capsys: Output
) -> None:
    path = corrected_study(tmp_path, ())
    for command in ("train", "evaluate"):
        text = said(capsys, command, str(path), code=USAGE)
        assert "expected corrected masks in truth/, got none" in text
    assert "expected the device" in said(
        capsys, "train", str(path), "--device", "abacus", code=USAGE
    )


def test_a_stopped_training_says_how_to_go_on(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = corrected_study(tmp_path, ("p0", "p1"))

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(network_train, "train_on", stop)
    text = said(capsys, "train", str(path), code=STOPPED)
    assert "run the same command again to go on" in text
    assert (path / "networks" / "unfinished" / "varied" / "patches.json").is_file()


def test_only_training_loads_torch(trained: Path, tmp_path: Path) -> None:
    commands = [
        ["network", "list", str(trained)],
        ["network", "predict", str(trained)],
        ["network", "evaluate", str(trained)],
        ["network", "export", str(trained), str(tmp_path / "a.onnx")],
    ]
    code = (
        "import sys\nfrom annotator.cli.main import run\n"
        f"codes = [run(words) for words in {commands!r}]\n"
        "print(codes, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0] False"
