"""A network in a run: chosen and remembered, asked once an image, and absent where not wanted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.learning_studies import QUICK, TRUTH, give_truth, make_pictures
from support.pipeline_fakes import BandSource, write_field
from support.random_networks import random_decoder

from active_learning.rounds.current_classifier import standing_classifier, stored_seed_groups
from active_learning.rounds.dataset import gather
from active_learning.rounds.retrain import retrain
from annotator.core.errors import SettingsError, UsageError
from annotator.core.progress import Progress, silent
from annotator.pipeline.annotate import annotate
from annotator.pipeline.network.choice import NO_TABLE
from annotator.pipeline.results import AnnotateOptions, BatchResult
from annotator.review.predictions import Predictor
from annotator.review.session import ReviewSession
from annotator.segmentation.network.network_file import write_network
from annotator.settings.study import Settings, new_study_settings
from annotator.study.study import Study

NETWORK_STAGES = {"network", "cut"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    Study.create(tmp_path / "study").close()
    for seed in range(2):
        write_field(tmp_path / "images" / f"{seed}.png", seed)
    return tmp_path


def run(place: Path, seen: list[Progress] | None = None, **options: object) -> BatchResult:
    report = (lambda _: None) if seen is None else seen.append
    with Study.open(place / "study") as study:
        chosen = AnnotateOptions(**options)  # type: ignore[arg-type]
        return annotate(study, [str(place / "images")], chosen, report, BandSource())


def columns(place: Path) -> tuple[str, ...]:
    with Study.open(place / "study") as study:
        (names,) = {study.described(image).table.names for image in study.images()}  # type: ignore[union-attr]
    return names


def test_the_choice_is_written_into_the_study_and_holds_for_the_next_run(place: Path):
    first = run(place, network="starter")
    assert first.named_by == "starter"
    assert all(row.stage_seconds.keys() > NETWORK_STAGES for row in first.rows)
    assert "network_bone_mean" in columns(place)
    again = run(place)
    assert [row.status for row in again.rows] == ["skipped"] * 2
    with Study.open(place / "study") as study:
        assert study.settings.network.use == "starter"
        assert gather(study).table.fingerprint == study.features


def test_a_study_can_go_back_to_colours_alone(place: Path):
    before = run(place)
    assert before.named_by == "seed"
    assert not any(row.stage_seconds.keys() & NETWORK_STAGES for row in before.rows)
    plain = columns(place)
    assert run(place, network="starter").rows[0].status == "done"
    after = run(place, network="none")
    assert after.rows[0].status == "done"
    assert columns(place) == plain
    assert after.rows[0].areas_px == before.rows[0].areas_px


def test_the_proposals_are_made_again_for_another_network_and_for_nothing_else(place: Path):
    """Adipocytes and bone are what the network sees of them, at the scale that it finds."""
    run(place)
    again = run(place, network="starter")
    assert all("bands" in row.stage_seconds for row in again.rows)
    with Study.open(place / "study") as study:
        study.change_settings({"prune": {"min_area_px": 40}})
    pruned = run(place)
    assert all("bands" not in row.stage_seconds for row in pruned.rows)
    assert [row.status for row in pruned.rows] == ["done"] * 2


def test_a_file_is_remembered_by_its_whole_path(place: Path, monkeypatch: pytest.MonkeyPatch):
    write_network(place / "trial.safetensors", random_decoder(), {})
    monkeypatch.chdir(place)
    run(place, network="trial.safetensors")
    with Study.open(place / "study") as study:
        assert study.settings.network.use == str(place / "trial.safetensors")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"network": "other"}, SettingsError),
        ({"preset": "other"}, UsageError),
        ({"preset": "bambo", "network": "starter"}, UsageError),
    ],
)
def test_what_cannot_be_chosen_changes_nothing(place: Path, options: dict[str, str], error: type):
    before = (place / "study" / "study.toml").read_bytes()
    with pytest.raises(error):
        run(place, **options)
    assert (place / "study" / "study.toml").read_bytes() == before


def test_the_published_line_is_the_published_line(place: Path):
    result = run(place, preset="bambo")
    assert result.named_by == "seed"
    assert len(columns(place)) == 7
    with Study.open(place / "study") as study:
        assert study.settings.cellmask.preset == "bambo"
        assert study.network is None


def test_a_study_of_old_is_told_once(place: Path):
    (place / "study" / "study.toml").write_text("# mine\n", "utf-8")
    seen: list[Progress] = []
    result = run(place, seen)
    assert result.notes == (NO_TABLE,)
    assert [step.note for step in seen if step.note] == [NO_TABLE]
    assert run(place).notes == ()
    text = (place / "study" / "study.toml").read_text("utf-8")
    assert text == '# mine\n\n[network]\nuse = "none"\n'


@pytest.mark.slow
def test_the_result_is_the_same_for_any_number_of_workers(place: Path):
    one = run(place, network="starter")
    rough = {path.name: path.read_bytes() for path in (place / "study" / "rough").glob("*.png")}
    two = run(place, workers=2, force=True)
    assert [row.areas_px for row in one.rows] == [row.areas_px for row in two.rows]
    for name, data in rough.items():
        assert (place / "study" / "rough" / name).read_bytes() == data


def test_a_round_of_learning_goes_before_the_starter(tmp_path: Path):
    make_pictures(tmp_path, 4)
    Study.create(tmp_path / "study", new_study_settings()).close()
    toml = tmp_path / "study" / "study.toml"
    toml.write_text(QUICK + '[network]\nuse = "starter"\n', "utf-8")
    with Study.open(tmp_path / "study") as study:
        pictures = [str(tmp_path / "in")]
        assert annotate(study, pictures, AnnotateOptions(), silent_progress).named_by == "starter"
        give_truth(study.path, tmp_path / "masks", 0, 1, 2, 3)
        report = retrain(study, TRUTH, silent)
        assert report is not None
        assert annotate(study, pictures, AnnotateOptions(), silent_progress).named_by == "model"


def silent_progress(_: Progress) -> None:
    """Nobody listens."""


def test_the_review_page_shows_what_the_starter_named_and_clusters_to_name(place: Path):
    run(place, network="starter")
    with ReviewSession(place / "study", "eva", ahead=False) as session:
        assert session.summary()["objects"] > 0
    with Study.open(place / "study") as study:
        groups = stored_seed_groups(study)
        assert groups is not None
        predictor = Predictor(study)
        image = study.images()[0]
        described = study.described(image)
        assert described is not None
        starter = standing_classifier(study)
        assert starter is not None
        assert starter.source == "starter"
        named = predictor._view(described)
    assert np.array_equal(named.probabilities, starter.classify(described.table).probabilities)
    assert np.array_equal(named.groups, groups.cluster_of(described.table))


LIBRARIES = """
import sys
from annotator.pipeline.annotate import annotate
from annotator.pipeline.results import AnnotateOptions
from annotator.study.study import Study
with Study.open(sys.argv[1]) as study:
    result = annotate(study, [sys.argv[2]], AnnotateOptions(network=sys.argv[3]), lambda _: None)
assert len(result.rows) == 2, result
print(*sorted({"torch", "onnx", "onnxruntime"} & sys.modules.keys()))
"""


@pytest.mark.parametrize(("network", "loaded"), [("none", ""), ("starter", "onnx onnxruntime")])
def test_a_run_loads_no_library_that_it_does_not_use(place: Path, network: str, loaded: str):
    code = LIBRARIES.replace("Study.open(sys.argv[1])", "Study.open(Path(sys.argv[1]))")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from pathlib import Path\n" + code,
            str(place / "study"),
            str(place / "images"),
            network,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == loaded


def test_the_default_settings_have_no_network_and_a_new_study_has_one():
    assert Settings().network.use == "none"
    assert new_study_settings().network.use == "starter"
