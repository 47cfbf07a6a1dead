"""The command ``trephine review``: what it takes, and what it refuses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import typer
from support.learning_studies import make_study

from annotator.cli.main import run
from annotator.cli.options import DONE, USAGE
from annotator.cli.review import FirstQueue, register
from annotator.review.session import QUEUES
from annotator.study.study import Study

app = typer.Typer()
app.callback()(lambda: None)
register(app)

CODE = (
    "import typer; from annotator.cli.main import run; from annotator.cli.review import register\n"
    "app = typer.Typer(); app.callback()(lambda: None); register(app)\n"
    "import sys; raise SystemExit(run(sys.argv[1:], app))"
)

MORE = ("--author", "Eva", "--queue", "random")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Study.create(tmp_path / "study").close()
    return tmp_path / "study"


def test_the_queues_are_those_of_the_desk() -> None:
    assert sorted(FirstQueue) == sorted(QUEUES)


def test_help_loads_no_server() -> None:
    code = "import sys, annotator.cli.review; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"fastapi", "uvicorn", "jinja2", "numpy", "sqlalchemy"} & set(done.stdout.split())


def test_help_tells_of_hosts_and_passwords(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["review", "--help"], app) == DONE
    out = " ".join(capsys.readouterr().out.split())
    assert "browser" in out and "TREPHINE_REVIEW_PASSWORD" in out
    assert "--password" not in out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--queue", "nothing"], "--queue"),
        (["--port", "70000"], "--port"),
        (["--host", "0.0.0.0"], "TREPHINE_REVIEW_PASSWORD"),
        (["--host", "192.0.2.1"], "TREPHINE_REVIEW_PASSWORD"),
        (["--author", "a\nb"], "expected a name"),
    ],
)
def test_what_cannot_be_served_is_said(
    folder: Path,
    more: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TREPHINE_REVIEW_PASSWORD", raising=False)
    assert run(["review", str(folder), "--no-browser", *more], app) == USAGE
    assert words in capsys.readouterr().err


def test_what_is_no_study_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["review", str(tmp_path), "--no-browser"], app) == USAGE
    assert "not a study" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("heard_signals")
def test_it_serves_until_ctrl_c(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", 1)
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "review", folder, "--no-browser", *MORE],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path)},
    )
    try:
        assert process.stdout is not None
        address = re.search(r"http://127\.0\.0\.1:\S+", process.stdout.readline())
        assert address is not None
        with httpx.Client(base_url=address[0].partition("?")[0], timeout=300) as client:
            page = client.get(address[0], follow_redirects=True)
            assert page.status_code == 200 and 'data-queue="random"' in page.text
            assert client.get("/api/summary").json()["author"] == "Eva"
            items = client.get("/api/queue", params={"name": "random"}).json()["items"]
            tile = client.get(f"/tile/{items[0]['id']}")
            assert tile.headers["content-type"] == "image/jpeg" and len(tile.content) > 200
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == DONE
    finally:
        process.kill()
        process.communicate()
