"""What push and pull cost the client: seconds of its processor and requests, then and now.

``python tests/bench/bench_cvat_client.py --before TREE``, where TREE is a checkout of an earlier
commit (``git worktree add TREE COMMIT``). The server of the tests runs in a process of its own.
Both trees push and pull the same fields in turn, each time as the command line, in a process
whose time (user and system) is that of the client alone. The lowest of the rounds counts: other
work on the machine only adds to it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import urllib3

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "bench")]

from bench_cvat import CvatProcess, rough, running  # noqa: E402

SHAPE, OBJECTS = (1200, 1200), 230
"""Of a field; so many ellipses leave about 200 objects, as many as get a shape of their own."""
NAMED = "[cvat]\nproject = 'bench'\n"
BARE = [{"name": name, "attributes": []} for name in ("bg", "fat", "cell", "bone")]


@dataclass(frozen=True, slots=True)
class ClientCost:
    """Seconds of the client's processor, and its requests, for one command."""

    seconds: float
    requests: int

    def __str__(self) -> str:
        return f"{self.seconds:5.1f} s, {self.requests:3d} requests"


def make_fields(folder: Path, images: int, settings: str) -> Path:
    """A study of drawn fields, each with a rough map of about 200 objects."""
    from support.cvat_studies import add_picture

    from annotator.study.study import Study
    from annotator.synthetic.field import make_phantom
    from annotator.synthetic.settings import PhantomSettings

    field = np.asarray(make_phantom(PhantomSettings(seed=1, shape=SHAPE)).image.pixels)
    path = folder / "study"
    Study.create(path).close()
    (path / "study.toml").write_text(settings, "utf-8")
    with Study.open(path) as study:
        for number in range(images):
            # One field, moved: as hard to compress as another one, and quicker to draw.
            moved = np.roll(field, (37 * number, 61 * number), (0, 1))
            cv2.imwrite(str(folder / f"{number:03d}.png"), moved[..., ::-1])
            add_picture(study, folder / f"{number:03d}.png", rough(number, OBJECTS, SHAPE))
    return path


def commands_alone(tree: Path, study: Path, images: int) -> dict[str, ClientCost]:
    """Push and pull with the code of a tree, on a server that holds nothing before."""
    with running() as server, tempfile.TemporaryDirectory() as place:
        copy = Path(shutil.copytree(study, Path(place) / "study"))
        person = _Person(server.environ)
        if "bench" in (copy / "study.toml").read_text("utf-8"):
            person.ask("POST", "projects", {"name": "bench", "labels": BARE})
        push = client_cost(server, tree, "push", str(copy), "--count", str(images))
        person.complete_all()
        pull = client_cost(server, tree, "pull", str(copy))
    return {"push": push, "pull": pull}


def client_cost(server: CvatProcess, tree: Path, *command: str) -> ClientCost:
    """Run a command of the command line and wait for it."""
    environ = {**os.environ, **server.environ, "PYTHONPATH": str(tree)}
    before = server.so_far()[1]
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "annotator", *command, "--json"],
        env=environ,
        stdout=subprocess.DEVNULL,
        cwd=tree,
    )
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{tree}: {' '.join(command)} ended with {status}")
    return ClientCost(used.ru_utime + used.ru_stime, server.so_far()[1] - before)


class _Person:
    """Somebody on the server, who finishes all jobs."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._url, self._pool = environ["CVAT_URL"], urllib3.PoolManager()
        self._headers = {"Content-Type": "application/json"}
        login = {"username": environ["CVAT_USER"], "password": environ["CVAT_PASSWORD"]}
        self._headers["Authorization"] = f"Token {self.ask('POST', 'auth/login', login)['key']}"

    def ask(self, method: str, target: str, value: object = None) -> Any:
        body = b"" if value is None else json.dumps(value).encode()
        url = f"{self._url}/api/{target}"
        answer = self._pool.request(method, url, body=body, headers=self._headers)
        if answer.status >= 300:
            raise SystemExit(f"{method} {target}: {answer.status} {answer.data[:200]!r}")
        return json.loads(answer.data)

    def complete_all(self) -> None:
        """Finish all jobs; paint a square of cell in every second one before."""
        labels = self.ask("GET", "labels?page_size=100")["results"]
        (cell,) = (one["id"] for one in labels if one["name"] == "cell")
        for job in self.ask("GET", "jobs?page_size=1000")["results"]:
            if job["id"] % 2:
                square = {"type": "mask", "label_id": cell, "points": [0, 900, 50, 50, 79, 79]}
                shape = square | {"frame": job["start_frame"], "z_order": 500}
                target = f"jobs/{job['id']}/annotations?action=create"
                self.ask("PATCH", target, {"shapes": [shape]})
            self.ask("PATCH", f"jobs/{job['id']}", {"state": "completed"})


def lowest(costs: Sequence[ClientCost]) -> ClientCost:
    """The least seconds and requests of several rounds."""
    return ClientCost(min(one.seconds for one in costs), min(one.requests for one in costs))


def rows(before: Path, rounds: int, images: int) -> Iterator[tuple[str, str, str, str]]:
    """What was done, its cost in both trees, and the ratios."""
    for what, settings in (("with attributes", ""), ("without attributes", NAMED)):
        with tempfile.TemporaryDirectory() as place:
            study = make_fields(Path(place), images, settings)
            try:
                commands_alone(before, study, 1)
            except SystemExit as end:
                yield what, f"the earlier tree cannot do this: {end}", "", ""
                continue
            found: dict[tuple[str, Path], list[ClientCost]] = {}
            for _ in range(rounds):
                for tree in (before, ROOT):
                    for command, cost in commands_alone(tree, study, images).items():
                        found.setdefault((command, tree), []).append(cost)
        for command in ("push", "pull"):
            then, now = (lowest(found[command, tree]) for tree in (before, ROOT))
            ratios = f"{now.seconds / then.seconds:.2f}, {now.requests / then.requests:.2f}"
            yield f"{command}, {what}", str(then), str(now), ratios


def main() -> None:
    """Print a line for each command."""
    parser = argparse.ArgumentParser(description="push and pull beside those of another tree")
    parser.add_argument("--before", type=Path, required=True, help="checkout of an earlier commit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=50)
    asked = parser.parse_args()
    for row in rows(asked.before.resolve(), asked.rounds, asked.images):
        print(*row, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
