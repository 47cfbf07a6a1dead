"""The command itself over an annotated study: two people in two servers, and learning."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from conftest import Opened
from learning_studies import give_truth, make_study
from playwright.sync_api import expect

from annotator.label_files import export_labels
from annotator.store import Study

At = Callable[[str], str]


@contextmanager
def _at_work(study: Path, author: str, environ: dict[str, str]) -> Iterator[str]:
    script = Path(__file__).with_name("serve_study.py")
    command = [sys.executable, str(script), "review", str(study), "--no-browser"]
    process = subprocess.Popen(
        [*command, "--author", author], stdout=subprocess.PIPE, text=True, env=environ
    )
    with process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None, "the command did not say where it serves"
            yield found[0]
        finally:
            process.terminate()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    made = make_study(tmp_path, 8)
    give_truth(made, tmp_path / "masks", *range(6))
    return made


@pytest.fixture
def at(study: Path, environ: dict[str, str]) -> Iterator[At]:
    """Starts a server of the study for a person, and gives its address."""
    with ExitStack() as stack:
        yield lambda author: stack.enter_context(_at_work(study, author, environ))


def exported(study: Path, target: Path) -> list[tuple[str, str]]:
    """Author and class of each label of a person, as ``labels export`` writes them."""
    with Study.open(study) as opened:
        export_labels(opened, target)
    with target.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["author"], row["class"]) for row in rows if row["source"] == "person"]


def test_two_people_in_two_servers(at: At, study: Path, opened: Opened, tmp_path: Path):
    eva, otto = opened.page(at("eva")), opened.page(at("otto"))
    for page in (eva, otto):
        page.locator("#queue").select_option("image")
        expect(page.locator("#grid")).to_have_attribute("aria-label", re.compile("^One image"))
        page.locator("#grid").focus()
    eva.keyboard.press("4")
    expect(otto.locator("#tile-0")).to_have_attribute("aria-label", re.compile("labelled by eva"))
    otto.keyboard.press("2")
    expect(eva.locator("#tile-0")).to_have_attribute("aria-label", re.compile("labelled by otto"))
    # What another person said since stays, and the page says so.
    eva.keyboard.press("u")
    expect(eva.locator("#live")).to_contain_text("1 object keeps what otto said")
    expect(eva.locator("#tile-0 .badge")).to_have_text("F")
    # Of each author the last word that stands.
    assert exported(study, tmp_path / "labels.csv") == [("otto", "fat")]


def test_a_round_of_learning_from_the_page(at: At, opened: Opened):
    page = opened.page(at("eva"))
    page.keyboard.press("1")
    page.get_by_role("button", name="Retrain").click()
    expect(page.get_by_role("progressbar", name="Training")).to_be_visible()
    expect(page.locator("#train-text")).to_contain_text("Round 1: accuracy", timeout=60_000)
    expect(page.locator("#train-text")).to_contain_text("changed class")
    expect(page.locator("#rounds")).to_contain_text("1 (in use)")
    page.get_by_role("button", name="Next queue from the new model").click()
    expect(page.locator("#queue")).to_have_value("uncertain")
    expect(page.locator("#tile-0")).to_be_visible()
