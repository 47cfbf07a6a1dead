"""A batch killed at random, again and again, ends as one that nobody disturbed.

The real line runs on synthetic fields in a process of its own. It is killed with SIGKILL
ten times, a seeded moment after a step of each pass; then it is left to finish.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import shutil
from pathlib import Path

import pytest
from support.pipeline_fakes import annotate_and_tell, write_field

from annotator.core.files import sha256
from annotator.study.study import Study

pytestmark = pytest.mark.slow

IMAGES = 12
# After how many steps of which pass a run is killed: ten runs, every pass several times.
KILLS = (
    ("reading", 3),
    ("outlining", 1),
    ("reading", 11),
    ("outlining", 2),
    ("outlining", 2),
    ("classifying", 1),
    ("reading", 13),
    ("classifying", 2),
    ("classifying", 1),
    ("classifying", 2),
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(IMAGES):
        # Three folders with the same names, and one picture twice: names must not waver.
        write_field(folder / f"slide {number % 3}" / f"field{number // 3}.png", number)
    shutil.copy(folder / "slide 0" / "field0.png", folder / "again.png")
    return folder


class AnnotateProcess:
    """A process that annotates and tells how far it is."""

    def __init__(self, study: Path, images: Path) -> None:
        # Forked from a server that has the imports behind it: starting takes milliseconds.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["annotator.pipeline.annotate"])
        self.hear, tell = context.Pipe(duplex=False)
        self.process = context.Process(target=annotate_and_tell, args=(study, images, tell))
        self.process.start()
        tell.close()

    def hear_out(self) -> list[object]:
        """All that it tells until its end."""
        heard: list[object] = []
        with contextlib.suppress(EOFError):
            while True:
                heard.append(self.hear.recv())
        return heard

    def hear_steps(self, stage: str, count: int) -> None:
        """Wait for so many steps of a stage."""
        with contextlib.suppress(EOFError):
            while count > 0:
                count -= self.hear.recv() == stage

    def kill_after(self, seconds: float) -> bool:
        """Kill it so much later, wherever it is then; whether it was still at work."""
        self.process.join(seconds)
        at_work = self.process.is_alive()
        self.process.kill()
        self.process.join()
        return at_work


def contents(study: Path) -> dict[str, str | None]:
    """Hash of every file of the result."""
    return {
        str(path.relative_to(study)): sha256(path)
        for folder in ("objects", "rough", "models")
        for path in (study / folder).rglob("*")
        if path.is_file()
    }


def test_ten_kills_change_nothing(images: Path, tmp_path: Path):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    for study in (undisturbed, disturbed):
        Study.create(study).close()
    assert AnnotateProcess(undisturbed, images).hear_out()[-1] == (IMAGES, 0)

    rng = random.Random(20261120)
    killed_in = []
    for stage, steps in KILLS:
        run = AnnotateProcess(disturbed, images)
        run.hear_steps(stage, steps)
        if run.kill_after(rng.uniform(0.0, 0.03)):
            killed_in.append(stage)
    assert len(killed_in) >= 8
    assert set(killed_in) == {"reading", "outlining", "classifying"}
    assert AnnotateProcess(disturbed, images).hear_out()[-1] == (IMAGES, 0)

    assert contents(disturbed) == contents(undisturbed)
    with Study.open(disturbed) as one, Study.open(undisturbed) as two:
        assert [(i.id, i.name) for i in one.images()] == [(i.id, i.name) for i in two.images()]
        for image in one.images():
            mine, other = one.rough.annotation(image), two.rough.annotation(image)
            assert mine is not None
            assert other is not None
            assert (mine.areas_px, mine.annotation_key) == (other.areas_px, other.annotation_key)
            assert one.rough.edited(image) == ()
