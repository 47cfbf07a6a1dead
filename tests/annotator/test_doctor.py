from __future__ import annotations

from pathlib import Path

import pytest

from annotator.doctor import (
    Check,
    as_plain,
    check_disk,
    check_opencv,
    check_own_packages,
    check_packages,
    check_study,
    check_weights,
    examine,
    package_folder,
)
from annotator.segmentation.sam.weights import OFFICIAL
from annotator.study.study import Study


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_packages_as_tested_are_one_line() -> None:
    (only,) = check_packages({"numpy": "2.4.6"}, ("numpy>=2.0",), {"numpy": "2.4.6"})
    assert (only.status, only.found) == ("ok", "1 of 1 as tested")


def test_missing_old_and_other_packages_are_named_with_advice() -> None:
    installed = {"numpy": "1.26.0", "lxml": "6.2.0", "torch": "2.13.0+cpu"}
    required = ("numpy>=2.0", "lxml>=5.2", "torch>=2.2", "scikit_image>=0.24")
    tested = {"numpy": "2.4.6", "lxml": "6.1.3", "torch": "2.13.0", "scikit-image": "0.26.0"}
    found = by_name(list(check_packages(installed, required, tested)))
    assert found["numpy"].status == found["scikit_image"].status == "missing"
    assert "pip install" in found["numpy"].advice
    assert (found["lxml"].status, found["lxml"].advice) == ("note", "tested with 6.1.3")
    assert "torch" not in found  # +cpu is the same version


def test_a_wheel_without_pins_is_not_compared() -> None:
    (only,) = check_packages({"numpy": "2.9"}, ("numpy>=2.0",), {})
    assert only.status == "ok"


def test_no_metadata_means_not_installed() -> None:
    (only,) = check_packages({}, (), {})
    assert only.status == "missing"


def test_opencv_clashes_name_both_and_the_way_out() -> None:
    found = check_opencv({"opencv-python": "4.10", "opencv-python-headless": "5.0"})
    assert found.status == "missing"
    assert "opencv-python opencv-python-headless" in found.advice
    assert check_opencv({}).status == "missing"
    assert check_opencv({"opencv-python-headless": "5.0"}).status == "ok"


def test_our_packages_are_our_own() -> None:
    assert check_own_packages().status == "ok"
    assert package_folder("no_such_package_at_all") is None


def test_a_study_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (only,) = check_study(tmp_path / "nowhere")
    assert only.status == "missing" and "not a study" in only.found
    Study.create(tmp_path / "study").close()
    (good,) = check_study(tmp_path / "study")
    assert good.status == "ok" and "0 images" in good.found


def faults_of(path: Path) -> dict[str, str]:
    return {one.found: one.advice for one in check_study(path) if one.status == "missing"}


def test_originals_masks_models_and_networks_of_a_study_are_looked_at(
    trained_path: Path, tmp_path: Path
) -> None:
    assert faults_of(trained_path) == {}
    assert {"study", "originals", "masks", "models"} <= by_name([*check_study(trained_path)]).keys()
    with Study.open(trained_path) as study:
        images = len(study.images())
        gone, replaced, unreadable, *_ = study.images()
        other = tmp_path / "other.png"
        other.write_bytes(Path(gone.source).read_bytes())
        text = tmp_path / "text.png"
        text.write_text("no picture")
        nowhere = tmp_path / "nowhere.png"
        for image, place in ((gone, nowhere), (replaced, other), (unreadable, text)):
            study.register(image.id, str(place), image.shape, None, ())
    model = trained_path / "models" / "round-01.skops"
    model.write_bytes(model.read_bytes()[:-9])
    networks = trained_path / "networks"
    networks.mkdir()
    (networks / "001.json").write_text("{}")
    (networks / "002.safetensors").write_bytes(b"no card")
    found = faults_of(trained_path)
    assert len(found) == 6
    assert all(found.values())
    for words in (
        f"{gone.name}: {nowhere} is gone",
        f"{replaced.name}: {other} holds another picture",
        f"{unreadable.name}: {text} cannot be read",
        "round 1:",
        "001",
        "002.safetensors: has no card",
    ):
        assert any(words in one for one in found), (words, list(found))
    counts = {one.name: (one.status, one.found) for one in check_study(trained_path)}
    assert counts["originals"] == ("note", f"{images - 3} of {images} as annotated")
    assert counts["models"] == ("note", "0 of 1 rounds can be used")
    assert counts["masks"][0] == "ok"
    model.unlink()
    assert any("round 1:" in one and "cannot be read" in one for one in faults_of(trained_path))


def test_damaged_and_partial_weights_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TREPHINE_WEIGHTS", str(tmp_path))
    (none,) = check_weights()
    assert none.status == "note" and "vit_b" in none.advice
    (tmp_path / OFFICIAL["vit_b"].file).write_bytes(b"cut short")
    (tmp_path / (OFFICIAL["vit_l"].file + ".part")).write_bytes(b"some")
    damaged, partial = check_weights()
    assert damaged.status == "missing" and "damaged" in damaged.found
    assert partial.status == "note" and "fetch vit_l" in partial.advice


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert str(tmp_path) in check_disk(tmp_path / "a" / "b").found


def test_everything_is_ok_unless_something_is_missing() -> None:
    fine = (Check("a", "ok", ""), Check("b", "note", "", "do this"))
    assert as_plain(fine)["ok"] is True
    assert as_plain((*fine, Check("c", "missing", "")))["ok"] is False


def test_examining_this_machine_finds_each_thing_once(tmp_path: Path) -> None:
    names = [check.name for check in examine()]
    assert {"Python", "OpenCV", "own packages", "torch", "device", "cores", "memory"} <= set(names)
    assert "study" not in names
