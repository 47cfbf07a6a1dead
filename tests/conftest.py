"""What all tests share: a quiet, reproducible environment, small studies, fields to export."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import support.one_thread  # noqa: F401
from sqlalchemy import Engine, event
from support.drawn_maps import MakeField, dots, painted, uniform
from support.learning_studies import QUICK, TRUTH, copy_of, give_truth, make_study

from annotator.core.classes import BG, FAT, UNLABELLED
from annotator.core.label_maps import LabelMaps
from annotator.core.progress import silent
from export.shapes import ExportImage


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker that asks for a real server, and of that of slow tests."""
    config.addinivalue_line(
        "markers",
        "slow: kills, chance, several processes, whole runs: not in `make quick`",
    )
    config.addinivalue_line("markers", "cvat: runs against the CVAT server in CVAT_URL")


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """Nothing that a test writes has to outlive a power cut: half of the time went there."""

    def hurry(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA synchronous = OFF").close()

    event.listen(Engine, "checkout", hurry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield
    event.remove(Engine, "checkout", hurry)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No colours, no terminal width, no weights of this user, one thread a library."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    yield


@pytest.fixture
def heard_signals() -> Iterator[None]:
    """Processes of a test take Ctrl-C, also where ``nohup`` or ``&`` has this one ignore it."""
    before = {
        one: signal.signal(one, signal.default_int_handler)
        for one in (signal.SIGINT, signal.SIGHUP)
    }
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


SETTINGS = QUICK + "[seed]\ngroups_min = 3\ngroups_max = 3\n[patients]\nheld_out = 0.3\n"


@pytest.fixture(scope="session")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight annotated fields; their masks lie beside the study."""
    return make_study(tmp_path_factory.mktemp("made"), 8, SETTINGS)


@pytest.fixture(scope="session")
def trained(annotated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after a round from six of the masks."""
    from active_learning.rounds.retrain import retrain
    from annotator.study.study import Study

    path = copy_of(annotated, tmp_path_factory.mktemp("trained") / "study")
    give_truth(path, annotated.parent / "masks", 0, 1, 2, 3, 5, 6)
    with Study.open(path) as study:
        retrain(study, TRUTH, silent)
    return path


@pytest.fixture
def path(annotated: Path, tmp_path: Path) -> Path:
    """A copy of the annotated study."""
    return copy_of(annotated, tmp_path / "study")


@pytest.fixture
def trained_path(trained: Path, tmp_path: Path) -> Path:
    """A copy of the study with a round."""
    return copy_of(trained, tmp_path / "study")


@pytest.fixture
def make_field() -> MakeField:
    def make(name: str = "field", seed: int = 0, **more: object) -> ExportImage:
        label_maps = more.pop("label_maps", None) or painted(seed)
        return ExportImage(name, f"{name}.jpg", label_maps, **more)

    return make


@pytest.fixture
def crowded() -> LabelMaps:
    """300 instances of fat and bone in one field."""
    return dots((80, 100), 300)


@pytest.fixture
def fields(make_field: MakeField) -> list[ExportImage]:
    return [
        make_field("plain", 1),
        make_field("two words é 骨髄", 2, um_per_px=0.5, confidence={1: 0.25}),
        make_field("dots.in.name", 3),
        make_field("nothing", label_maps=uniform(BG)),
        make_field("one instance", label_maps=uniform(FAT)),
        make_field("unlabelled", label_maps=uniform(UNLABELLED)),
    ]
