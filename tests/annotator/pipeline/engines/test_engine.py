"""The engine of this machine: what :class:`annotator.core.workers.Workers` does, and no check."""

from __future__ import annotations

from pathlib import Path

from annotator.core.workers import Done
from annotator.pipeline.engines.engine import LocalEngine, NeededFiles


def test_this_process_works_and_needs_no_check(tmp_path: Path):
    with LocalEngine(1) as engine:
        assert engine.check(NeededFiles(tmp_path, (tmp_path / "gone.png",))) == ()
        assert list(engine.run(abs, [-1, 2])) == [(-1, Done(1)), (2, Done(2))]
        assert list(engine.here.run(abs, [-3])) == [(-3, Done(3))]
