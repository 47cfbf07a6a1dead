"""Which engine a run gets, and which files its workers need."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from annotator.core.errors import ClusterError, UsageError
from annotator.pipeline.engines.choose import check_engine, choose_engine, needed_files
from annotator.pipeline.engines.dask_engine import DaskEngine
from annotator.pipeline.engines.engine import LocalEngine
from annotator.pipeline.proposers import JoinedSource, SamSource, SuperpixelSource
from annotator.pipeline.results import AnnotateOptions
from annotator.segmentation.sam.weights import Checkpoint
from annotator.settings.study import Settings
from annotator.study.study import Study

DASK = AnnotateOptions(engine="dask")


def test_processes_unless_asked():
    assert isinstance(choose_engine(AnnotateOptions(workers=2), print), LocalEngine)
    assert isinstance(choose_engine(DASK, print), DaskEngine)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (AnnotateOptions(scheduler="tcp://host:8786"), "--scheduler is only used with --engine"),
        (AnnotateOptions(send_pixels=True), "--send-pixels is only used with --engine dask"),
        (AnnotateOptions(engine="spark"), "expected the engine processes or dask, got 'spark'"),
    ],
)
def test_options_that_contradict_each_other(options: AnnotateOptions, said: str):
    with pytest.raises(UsageError, match=said):
        check_engine(options)


@pytest.mark.parametrize("name", ["dask", "distributed"])
def test_without_dask_it_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ClusterError, match=rf"needs {name}, which .* install trephine\[dask\]"):
        check_engine(DASK)
    check_engine(AnnotateOptions())


def test_workers_need_images_and_models(tmp_path: Path):
    settings, weights = Settings(), tmp_path / "vit_b.pth"
    pixels = SuperpixelSource(settings.superpixel)
    sam = SamSource(settings.sam, Checkpoint(weights, "0" * 64, "vit_b", "official"), "cpu")
    images = [tmp_path / "a.png"]
    with Study.create(tmp_path / "study", replace(settings)) as study:
        assert needed_files(study, images, pixels).models == ()
        for source in (sam, JoinedSource(pixels, sam, settings.join)):
            needed = needed_files(study, images, source)
            assert needed.models == (weights,)
            assert needed.images == (tmp_path / "a.png",)
            assert needed.study == tmp_path / "study"
