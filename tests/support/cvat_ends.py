"""Pushes and pulls through a network that fails, and the state in which they have to end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from annotator.core.errors import CvatError
from annotator.study.study import Study
from export.cvat.client.retries import RetryPolicy
from export.cvat.pull_report import PullReport
from export.cvat.pull_server import pull_server
from export.cvat.push import push_images
from export.cvat.push_report import PushReport, PushRequest
from support.cvat_places import CvatPlace, http_place
from support.cvat_studies import crowded, make_study, roughs, truths

ONCE = RetryPolicy(attempts=1)
"""Try no push twice."""
FAULTS = int(os.environ.get("CVAT_FAULTS", "100"))
"""Faults that are asked for: a hundred, or 1,000 where somebody has a minute or two."""
IMPATIENT = RetryPolicy(5.0, 60.0, 1, poll_s=0.0, longest_poll_s=0.0)
"""Nothing is repeated."""
HASTE = RetryPolicy(5.0, 60.0, 3, 0.0, 0.0, 0.0, 0.0)
SMALL = (32, 40)


def push(place: CvatPlace, path: Path, tries: RetryPolicy = ONCE, **asked: Any) -> PushReport:
    """Push a study."""
    with Study.open(path) as study:
        server = place.connect(study.settings.cvat.organization)
        return push_images(study, PushRequest(**asked), server, retries=tries)


def pull(place: CvatPlace, path: Path, only: str = "completed") -> PullReport:
    """Pull into a study."""
    with Study.open(path) as study:
        return pull_server(study, place.connect(study.settings.cvat.organization), only)


def attempt(action: Callable[[], PushReport | PullReport]) -> tuple[bool, str]:
    """Whether it came to its end, and else what a person is told."""
    try:
        report = action()
    except CvatError as error:
        return False, str(error)
    if isinstance(report, PushReport):
        said = [report.stopped, *(f"{one.image}: {one.note}" for one in report.images if one.note)]
        return report.is_complete, "; ".join(filter(None, said))
    return not report.failed, "; ".join(f"{one.what}: {one.why}" for one in report.failed)


def until_done(action: Callable[[], PushReport | PullReport], most: int = 60) -> list[str]:
    """Run it until it comes to its end; what a person was told at each failure."""
    messages = []
    for _ in range(most):
        done, message = attempt(action)
        if done:
            return messages
        messages.append(message)
    raise AssertionError(f"not done after {most} tries: {messages[-3:]}")


@contextmanager
def copied(study: Path, folder: Path) -> Iterator[Path]:
    """A copy of a study that goes again."""
    path = Path(shutil.copytree(study, folder / "study"))
    try:
        yield path
    finally:
        shutil.rmtree(folder)


def small_study(folder: Path, images: int = 3, organization: str = "") -> Path:
    """Some small images, in tasks of two, for a project in an organisation or in none."""
    maps = [crowded(seed, SMALL, 25) for seed in range(images)]
    return make_study(folder, maps, _settings(organization))


def _settings(organization: str) -> str:
    return f'[cvat]\nbatch_size = 2\norganization = "{organization}"\n'


def become_somebody(place: CvatPlace, path: Path, rng: np.random.Generator) -> None:
    """Log in as an administrator, as a plain user, or as a member of one of two organisations."""
    logins = [("admin", ""), ("patho2", ""), ("member", "lab"), ("member", "clinic")]
    name, organization = logins[int(rng.integers(len(logins)))]
    place.log_in_as(name)
    (path / "study.toml").write_text(_settings(organization), "utf-8")


def end_of_push(study: Path, folder: Path) -> list[tuple[Any, ...]]:
    """What a server holds after a push that nothing disturbed."""
    with http_place() as quiet, copied(study, folder) as path:
        push(quiet, path)
        return quiet.held(path)


# People at work, and what has to be there in the end


def correct(place: CvatPlace, path: Path, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Somebody corrects some jobs and finishes all; the classes that are right, by image."""
    expected = {}
    for name, rough in roughs(path).items():
        job, frame = place.place_of(path, name)
        classes = rough.classes.copy()
        for _ in range(int(rng.integers(3))):
            height, width = (int(k) for k in rng.integers(1, 20, 2))
            y = int(rng.integers(classes.shape[0] - height))
            x = int(rng.integers(classes.shape[1] - width))
            code, label = [(0, "bg"), (1, "fat"), (2, "cell"), (3, "bone")][int(rng.integers(4))]
            box = [x, y, x + width - 1, y + height - 1]
            place.expert.paint(job, label, [0, height * width, *box], frame=frame)
            classes[y : y + height, x : x + width] = code
        place.expert.complete(job)
        expected[name] = classes
    return expected


def wrong_masks(path: Path, expected: dict[str, np.ndarray]) -> list[str]:
    """Names of the images whose corrected mask is missing or another."""
    found = truths(path)
    return [
        name
        for name, classes in expected.items()
        if name not in found or not np.array_equal(found[name].classes, classes)
    ]
