"""A network learns from fields: repeatable, resumable, clear about what cannot be learned."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.known_fields import QUICK, known_field, open_everywhere

from active_learning.network import encoding, training
from active_learning.network.encoding import encode_patches, patch_counts, patch_settings
from active_learning.network.train_network import (
    encoder_on,
    torch_encoder,
    train_network,
    with_shares,
)
from active_learning.network.training import LAST_GOOD, TrainingPlace
from annotator.core.errors import ModelError, StorageError
from annotator.core.progress import Progress
from annotator.segmentation.network.architecture import decoder_shapes
from annotator.segmentation.network.network_file import read_network, write_network

FIELDS = [known_field(0), known_field(1)]
JUDGED = [known_field(2)]


def test_the_same_seed_gives_the_same_network_and_a_whole_card(tmp_path: Path) -> None:
    steps: list[Progress] = []
    first, second = (
        train_network(
            FIELDS, JUDGED, QUICK, TrainingPlace(tmp_path / name), on_progress=steps.append
        )
        for name in ("a", "b")
    )
    assert {name: values.shape for name, values in first.decoder.items()} == decoder_shapes()
    assert all((first.decoder[name] == second.decoder[name]).all() for name in first.decoder)
    card = first.card
    assert card["patients"] == ["field0", "field1", "field2"]
    assert [one["use"] for one in card["images"]] == [*["learned from"] * 2, "told when to stop"]
    assert len(card["curve"]) == 2 and card["curve"][0]["validation_dice"] is not None
    assert write_network(tmp_path / "it.safetensors", first.decoder, card).card["seconds"] >= 0
    assert read_network(tmp_path / "it.safetensors").card["settings"]["epochs"] == 2
    assert not list((tmp_path / "a").rglob("*.*")), "nothing is left of the work"
    stages = [one.stage for one in steps]
    assert stages.index("training") == stages.count("encoding") / 2
    assert all(one.eta_seconds is not None and one.eta_seconds >= 0 for one in steps)


def test_another_seed_gives_another_network(tmp_path: Path) -> None:
    place = TrainingPlace(tmp_path)
    settings = replace(QUICK, epochs=1)
    one = train_network(FIELDS, [], settings, place).decoder
    other = train_network(FIELDS, [], replace(settings, random_state=1), place).decoder
    assert any((one[name] != other[name]).any() for name in one)


def test_a_killed_training_goes_on_after_its_last_epoch(tmp_path: Path) -> None:
    whole = train_network(FIELDS, JUDGED, QUICK, TrainingPlace(tmp_path / "whole"))

    def kill(step: Progress) -> None:
        if step.stage == "training":
            raise KeyboardInterrupt

    place = TrainingPlace(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        train_network(FIELDS, JUDGED, QUICK, place, on_progress=kill)
    rest: list[Progress] = []
    resumed = train_network(FIELDS, JUDGED, QUICK, place, on_progress=rest.append)
    assert [one.done for one in rest if one.stage == "training"] == [2]
    assert "encoding" not in [one.stage for one in rest]
    assert all((whole.decoder[name] == resumed.decoder[name]).all() for name in whole.decoder)


def test_a_killed_encoding_goes_on_with_the_next_patch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_NOTED", 8)
    settings, counts = patch_settings(QUICK, True), patch_counts(FIELDS, 12)
    encode = encoder_on("cpu", 1)

    def made(folder: Path, on_patches: object) -> np.ndarray:
        return encode_patches(
            FIELDS,
            settings,
            counts,
            folder,
            seed=0,
            encode=encode,
            on_patches=on_patches,  # type: ignore[arg-type]
        ).records

    def kill(done: int, total: int) -> None:
        if done == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "killed", kill)
    seen: list[int] = []
    resumed = made(tmp_path / "killed", lambda done, total: seen.append(done))
    assert seen == [24]
    assert resumed.tobytes() == made(tmp_path / "whole", lambda *_: None).tobytes()


def test_it_learns_what_a_field_shows(tmp_path: Path) -> None:
    settings = replace(QUICK, epochs=12, patches=8, variation="brightness", finest_um=1.0)
    trained = train_network(FIELDS, JUDGED, settings, TrainingPlace(tmp_path))
    best = max(one["validation_dice"] for one in trained.card["curve"])
    assert best > 0.8
    assert trained.card["curve"][trained.card["best_epoch"] - 1]["validation_dice"] == best


def test_patience_and_minutes_end_a_training(tmp_path: Path) -> None:
    settings = replace(QUICK, epochs=50, patience=1, learning_rate=1e-9, schedule="constant")
    stopped = train_network(FIELDS, JUDGED, settings, TrainingPlace(tmp_path / "a"))
    assert 2 <= len(stopped.card["curve"]) < 50
    hurried = train_network(
        FIELDS, [], replace(QUICK, epochs=50), TrainingPlace(tmp_path / "b", minutes=0.0001)
    )
    assert len(hurried.card["curve"]) == 1


def test_the_published_recipe_runs(tmp_path: Path) -> None:
    settings = replace(QUICK.with_preset("bambo"), epochs=1, batch=3)
    assert (settings.loss, settings.averaged, settings.variation) == ("dice", False, "brightness")
    trained = train_network(FIELDS, JUDGED, settings, TrainingPlace(tmp_path))
    assert trained.card["settings"]["schedule"] == "constant"


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = training._Training._step

    def broken(self: training._Training, rows: np.ndarray, at: int) -> float:
        return step(self, rows, at) if at < self.steps else float("nan")

    monkeypatch.setattr(training._Training, "_step", broken)
    with pytest.raises(ModelError, match=r"finite loss, got none in epoch 2, step 1.*--from"):
        train_network(FIELDS, JUDGED, QUICK, TrainingPlace(tmp_path))
    assert read_network(tmp_path / LAST_GOOD).card["epoch"] == 1


def test_weights_that_break_in_the_last_step_of_an_epoch_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = training._Training._step

    def breaking(self: training._Training, rows: np.ndarray, at: int) -> float:
        loss = step(self, rows, at)
        if at == 2 * self.steps - 1:
            self.net.head.bias.data[:] = float("inf")
        return loss

    monkeypatch.setattr(training._Training, "_step", breaking)
    with pytest.raises(ModelError, match="got none in epoch 2"):
        train_network(FIELDS, [], replace(QUICK, averaged=False), TrainingPlace(tmp_path))
    assert np.isfinite(read_network(tmp_path / LAST_GOOD).decoder["head.bias"]).all()


def test_a_full_disk_is_said_and_nothing_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = TrainingPlace(tmp_path)
    usage = encoding.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(encoding.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(StorageError, match=r"0\.0 GB: the disk is full.*lower patches"):
        train_network(FIELDS, JUDGED, QUICK, place)
    monkeypatch.undo()

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(encoding, "_write_records", full)
    with pytest.raises(StorageError, match=r"patches\.bin: cannot be written: the disk is full"):
        train_network(FIELDS, JUDGED, QUICK, place)
    monkeypatch.undo()
    train_network(FIELDS, JUDGED, replace(QUICK, epochs=1), place)


def test_what_nobody_can_learn_from_is_refused(tmp_path: Path) -> None:
    place = TrainingPlace(tmp_path)
    with pytest.raises(ModelError, match="got none"):
        train_network([], [], QUICK, place)
    with pytest.raises(ModelError, match=r"field5: expected a mask with classes.*open everywhere"):
        train_network([open_everywhere(known_field(5))], [], QUICK, place)
    with pytest.raises(ModelError, match="got field0 on both sides"):
        train_network(FIELDS, [known_field(3, "field0")], QUICK, place)


def test_a_class_that_never_occurs_leaves_finite_weights(tmp_path: Path) -> None:
    field = known_field(0)
    poor = replace(field, codes=np.where(field.codes == 3, 2, field.codes).astype(np.uint8))
    trained = train_network([poor], [], replace(QUICK, epochs=1), TrainingPlace(tmp_path))
    assert trained.card["classes"]["bone"] == 0
    assert all(np.isfinite(values).all() for values in trained.decoder.values())


def test_the_encoder_sees_the_same_in_torch_as_in_onnx_runtime() -> None:
    pixels = np.stack([one.pixels[:64, :64] for one in FIELDS])
    for ours, theirs in zip(
        encoder_on("cpu", 1)(pixels), torch_encoder("cpu")(pixels), strict=True
    ):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype == np.float16
        assert np.abs(ours.astype(float) - theirs.astype(float)).max() < 0.05 * np.abs(ours).max()


def test_groups_of_fields_give_their_shares_of_the_patches() -> None:
    real, drawn = [known_field(0)], [known_field(seed) for seed in range(1, 5)]
    fields = with_shares([(real, 0.5), (drawn, 0.5)])
    assert patch_counts(fields, 16).tolist() == [40, 10, 10, 10, 10]
