"""Two people, two servers, one study; one server is killed. Nothing that was stored is lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from support.learning_studies import make_study

from annotator.study.study import Study

pytestmark = pytest.mark.slow

CODE = (
    "import sys, typer; from annotator.cli.main import run\n"
    "from annotator.cli.review import register\n"
    "app = typer.Typer(); app.callback()(lambda: None); register(app)\n"
    "raise SystemExit(run(sys.argv[1:], app))"
)


class Reviewer:
    """Somebody at a page of their own server."""

    def __init__(self, process: subprocess.Popen[str], client: httpx.Client) -> None:
        self.process = process
        self.client = client
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        page = client.get(found[0], follow_redirects=True)
        client.base_url = httpx.URL(found[0].partition("?")[0])
        value = re.search(r'name="csrf" content="([0-9a-f]+)"', page.text)
        assert value is not None
        client.headers["X-Trephine"] = value[1]

    def objects(self) -> list[str]:
        items = self.client.get("/api/queue", params={"name": "random"}).json()["items"]
        return sorted(item["id"] for item in items)

    def say(self, object_id: str, code: str) -> None:
        answer = self.client.post("/api/labels", json={"ids": [object_id], "code": code})
        assert answer.status_code == 200, answer.text

    def seen(self, since: int) -> dict[str, tuple[str, str]]:
        """What others said, by object: the class, and who says so."""
        items = self.client.get("/api/changes", params={"since": since}).json()["items"]
        return {item["id"]: (item["label"], item["author"]) for item in items}


@contextmanager
def at_work(study: Path, author: str) -> Iterator[Reviewer]:
    arguments = ["review", str(study), "--no-browser", "--author", author]
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CONFIG_HOME": str(study.parent)},
    )
    try:
        with httpx.Client(timeout=300) as client:
            yield Reviewer(process, client)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("two"), 3)


def said(study: Path) -> list[tuple[str, str, int]]:
    """Author, object and class of every label, in the order of arrival."""
    with Study.open(study) as opened:
        return [
            (one.author, f"{one.image_id}:{one.object_id}", one.code) for one in opened.labels.all()
        ]


def test_nothing_is_lost_between_two_servers_or_by_a_kill(study: Path) -> None:
    with ExitStack() as stack:
        with ThreadPoolExecutor(2) as pool:
            people = [at_work(study, author) for author in ("eva", "otto")]
            eva, otto = pool.map(stack.enter_context, people)
        ids = eva.objects()
        assert ids == otto.objects() and len(ids) >= 6

        def work(person: Reviewer, code: str) -> None:
            for object_id in ids:
                person.say(object_id, code)

        # Both say something of every object at the same time.
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, (eva, otto), ("fat", "cell")))
        labels = said(study)
        assert len(labels) == 2 * len(ids)
        assert {one for one in labels if one[0] == "eva"} == {("eva", i, 1) for i in ids}
        assert {one for one in labels if one[0] == "otto"} == {("otto", i, 2) for i in ids}

        # Each page learns what the other's server stored, and both agree on what counts.
        assert eva.seen(0) == otto.seen(0)
        last = {object_id: author for author, object_id, _ in labels}
        assert {i: author for i, (_, author) in eva.seen(0).items()} == last

        # Killed right after an answer: what was answered is stored.
        eva.say(ids[0], "bone")
        eva.process.kill()
        assert said(study)[-1] == ("eva", ids[0], 3)
        assert otto.seen(0)[ids[0]] == ("bone", "eva")
        otto.say(ids[1], "bone")
        assert len(said(study)) == 2 * len(ids) + 2
