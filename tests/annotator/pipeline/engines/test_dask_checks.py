"""Workers that cannot do a run, in words: who, what was expected, what came, what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.pipeline_fakes import write_field

from annotator.core.errors import ClusterError
from annotator.core.files import sha256
from annotator.pipeline.engines.dask_checks import (
    CheckedWorker,
    other_processors,
    require_fit,
    seen_by_all,
    settings_file,
)
from annotator.pipeline.engines.dask_worker import WorkerView, view_of_worker
from annotator.pipeline.engines.engine import NeededFiles
from annotator.pipeline.engines.installation import installed_versions, processor_kind
from annotator.study.study import Study


@pytest.fixture
def needed(tmp_path: Path) -> NeededFiles:
    Study.create(tmp_path / "study").close()
    folders = "one", "one", "two"
    images = (write_field(tmp_path / f / f"f{n}.png", n) for n, f in enumerate(folders))
    return NeededFiles(tmp_path / "study", tuple(images))


@pytest.fixture
def fit(needed: NeededFiles) -> WorkerView:
    return view_of_worker(str(settings_file(needed.study)), seen_by_all(needed, False))


def complaint(needed: NeededFiles, *workers: CheckedWorker, send_pixels: bool = False) -> list[str]:
    with pytest.raises(ClusterError) as caught:
        require_fit(workers, needed, send_pixels)
    first, *lines = str(caught.value).splitlines()
    assert first == "the workers cannot do this run; nothing was started:"
    return lines


def test_this_machine_fits(needed: NeededFiles, fit: WorkerView):
    assert fit.settings_sha256 == sha256(needed.study / "study.toml")
    require_fit([CheckedWorker("alpha", 1, fit)], needed, False)


def test_one_picture_of_each_folder_must_be_seen(needed: NeededFiles):
    states = seen_by_all(needed, False)
    assert sorted(s.path.name for s in states) == ["f0.png", "f2.png"]
    assert seen_by_all(needed, True) == ()


def test_versions_are_named_one_by_one(needed: NeededFiles, fit: WorkerView):
    theirs = {**fit.versions, "numpy": "1.26.0", "torch": "2.0", "python": "3.13"}
    lines = complaint(needed, CheckedWorker("alpha", 1, replace(fit, versions=theirs)))
    here = installed_versions()
    assert [line.split("; ")[0] for line in lines] == [
        f"  alpha: expected {name} {here[name]} as here, got {theirs[name]}"
        for name in ("numpy", "python", "torch")
    ]


def test_another_state_of_our_code_is_another_version(needed: NeededFiles, fit: WorkerView):
    theirs = {**fit.versions, "trephine": "0.1.0 (code 00000000)"}
    (line,) = complaint(needed, CheckedWorker("alpha", 1, replace(fit, versions=theirs)))
    assert "got 0.1.0 (code 00000000)" in line


def test_workers_with_the_same_fault_share_a_line(needed: NeededFiles, fit: WorkerView):
    workers = [CheckedWorker(f"w{n}", 8, fit) for n in range(7)]
    (line,) = complaint(needed, *workers, CheckedWorker("good", 1, fit))
    assert line.startswith("  w0, w1, w2, w3, w4 and 2 more: expected workers of one thread, got 8")


def test_another_study_on_the_same_path(needed: NeededFiles, fit: WorkerView):
    (line,) = complaint(needed, CheckedWorker("a", 1, replace(fit, settings_sha256="0" * 64)))
    assert f"expected the study {needed.study}, got another study on that path" in line
    (line,) = complaint(needed, CheckedWorker("a", 1, replace(fit, settings_sha256=None)))
    assert "got none on that path" in line
    require_fit([CheckedWorker("a", 1, replace(fit, settings_sha256=None))], needed, True)


def test_a_worker_without_trephine(needed: NeededFiles):
    worker = CheckedWorker("a", 1, "ModuleNotFoundError: No module named 'annotator'")
    (line,) = complaint(needed, worker)
    assert "expected a worker that can import trephine, got ModuleNotFoundError" in line


def test_another_processor_is_a_note(fit: WorkerView):
    other = replace(fit, processor="aarch64, neoversen1")
    workers = [CheckedWorker("a", 1, fit), CheckedWorker("b", 1, other)]
    (note,) = other_processors(workers)
    assert note.startswith("b: another kind of processor")
    assert other_processors(workers[:1]) == ()
    assert fit.processor == processor_kind()
