"""A study's own network: judged on patients that it had not seen, used only if it is better."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from support.corrected_studies import add_field, corrected_study, give_mask
from support.known_fields import known_field

from annotator.core.errors import ModelError, StorageError
from annotator.core.files import storage_error, write_atomic
from annotator.core.progress import Progress, silent
from annotator.imaging.label_map_files import read_codes
from annotator.pipeline.network.train import NetworkTrainOptions, train_study_network
from annotator.segmentation.network.network_file import starter_network, write_network
from annotator.study.study import Study


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three patients with a network of its own."""
    path = corrected_study(tmp_path_factory.mktemp("trained"))
    with Study.open(path) as study:
        train_study_network(study, NetworkTrainOptions(epochs=2), silent)
    return path


def test_every_patient_is_judged_by_a_network_that_had_not_seen_it(trained: Path) -> None:
    with Study.open(trained) as study:
        (entry,) = study.networks.all()
        card = entry.card
        assert {one["patient"] for one in card["scores"]} == {"p0", "p1", "p2"}
        assert card["patients"] == ["p0", "p1", "p2"]
        assert len(card["curve"]) == 2, "one-cycle is run to its end"
        assert all(one["use"] == "learned from" for one in card["images"])
        assert card["started_from"] == starter_network().sha256 == card["in_use"]["sha256"]
        assert set(card["figures"]) == {"dice", "mean_iou", "cellularity_error"}
        assert card["comparison"]["patients"] == 3
        assert entry.adopted == (entry.verdict == "better")
        network = study.networks.read(1)
        assert network.sha256 == entry.sha256
        for name in ("p0_0", "p1_1", "p2_2"):
            assert read_codes(study.networks.unseen_path(1, name)).shape == (96, 128)
        assert not study.networks.unfinished.exists()


def test_what_the_start_learned_from_is_not_judged(trained: Path) -> None:
    with Study.open(trained) as study:
        current = study.networks.current_entry()
        options = NetworkTrainOptions(start=study.networks.path(1), epochs=1)
        entry = train_study_network(study, options, silent)
        assert entry.name == "002"
        assert entry.card["notes"][0] == (
            "3 image(s) not judged: the network that it started from learned from them"
        )
        assert (entry.verdict, entry.adopted) == ("unmeasured", False)
        after = study.networks.current_entry()
        assert (after and after.name) == (current and current.name)


def test_one_patient_gives_a_network_that_nothing_is_known_of(tmp_path: Path) -> None:
    path = corrected_study(tmp_path, ("p0", "p0"))
    with Study.open(path) as study:
        entry = train_study_network(study, NetworkTrainOptions(epochs=1), silent)
        assert (entry.verdict, entry.adopted) == ("unmeasured", False)
        assert "all corrected masks are of one patient" in " ".join(entry.card["notes"])
        assert entry.card["figures"]["dice"]["mean"]["value"] is None
        assert study.networks.current() is None


def test_no_mask_and_masks_of_nothing_are_refused(tmp_path: Path) -> None:
    path = corrected_study(tmp_path, ())
    with Study.open(path) as study:
        with pytest.raises(ModelError, match=r"expected corrected masks in truth/, got none"):
            train_study_network(study, NetworkTrainOptions(), silent)
        add_field(study, tmp_path / "in" / "p0_0.png", known_field(0))
        give_mask(path, "p0_0", np.full((96, 128), 255, np.uint8))
        with pytest.raises(ModelError, match=r"p0_0: left out: its mask is open everywhere"):
            train_study_network(study, NetworkTrainOptions(), silent)
        assert study.networks.all() == ()


def test_what_cannot_be_learned_from_is_left_out_with_a_note(tmp_path: Path) -> None:
    path = corrected_study(tmp_path, ("p0", "p1", "p2", "p3"))
    give_mask(path, "p0_0", np.full((96, 128), 255, np.uint8))
    (tmp_path / "in" / "p1_1.png").unlink()
    with Study.open(path) as study:
        entry = train_study_network(study, NetworkTrainOptions(epochs=1), silent)
        assert entry.card["patients"] == ["p2", "p3"]
        notes = " ".join(entry.card["notes"])
        assert "p0_0: left out" in notes and "p1_1: left out" in notes


def test_a_killed_training_goes_on_with_the_next_part(tmp_path: Path) -> None:
    path = corrected_study(tmp_path)
    seen: list[tuple[str, str, int]] = []

    def kill_in_the_second_part(step: Progress) -> None:
        if step.stage == "training" and step.name == "seed-0-part-1":
            raise KeyboardInterrupt

    options = NetworkTrainOptions(epochs=1)
    with Study.open(path) as study:
        with pytest.raises(KeyboardInterrupt):
            train_study_network(study, options, kill_in_the_second_part)
        assert study.networks.all() == ()
        entry = train_study_network(
            study, options, lambda step: seen.append((step.stage, step.name, step.done))
        )
    assert entry.name == "001"
    trained = [(name, done) for stage, name, done in seen if stage == "training"]
    assert trained == [("final", 1)]
    assert not [stage for stage, _, _ in seen if stage == "encoding"]


def test_a_disk_that_is_full_at_the_end_costs_no_training(tmp_path: Path) -> None:
    path = corrected_study(tmp_path, ("p0", "p1"))

    def full(file: Path, data: bytes) -> None:
        if file.name == "001.safetensors":
            raise storage_error(file, OSError(errno.ENOSPC, "full"))
        write_atomic(file, data)

    options, seen = NetworkTrainOptions(epochs=1), []
    with Study.open(path, full) as study:
        with pytest.raises(StorageError, match=r"001\.safetensors.*the disk is full"):
            train_study_network(study, options, silent)
        assert study.networks.all() == ()
    with Study.open(path) as study:
        train_study_network(study, options, lambda step: seen.append(step.stage))
        assert [entry.name for entry in study.networks.all()] == ["001"]
    assert not {"encoding", "training"} & set(seen)


def test_held_out_patients_are_never_learned_from(tmp_path: Path) -> None:
    path = corrected_study(tmp_path, [f"p{number}" for number in range(6)])
    with Study.open(path) as study:
        entry = train_study_network(study, NetworkTrainOptions(epochs=1), silent)
        card = entry.card
        kept = {f"p{number}" for number in range(6)} - set(card["patients"])
        assert kept and card["held_out"]["dice"]["patients"] == len(kept)
        assert {one["patient"] for one in card["scores"]} == {*card["patients"], *kept}
        assert not [name for name in kept if study.networks.unseen_path(1, f"{name}_0").exists()]


def test_another_file_to_start_from_is_refused_before_anything_is_done(
    tmp_path: Path,
) -> None:
    path = corrected_study(tmp_path)
    strange = tmp_path / "strange.safetensors"
    write_network(strange, {"head.bias": np.zeros(5)}, {})
    with Study.open(path) as study:
        with pytest.raises(ModelError, match="another architecture"):
            train_study_network(study, NetworkTrainOptions(start=strange), silent)
        assert not study.networks.unfinished.exists()
