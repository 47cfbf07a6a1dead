"""The command itself over an annotated study: two people in two servers, and learning."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Opened
from playwright.sync_api import expect
from support.learning_studies import give_truth, make_study

from active_learning.rounds.label_csv import export_labels
from annotator.study.study import Study

PEOPLE = ("eva", "otto")


@dataclass(frozen=True)
class AtWork:
    """A study, and the address of each person's own server of it."""

    study: Path
    addresses: dict[str, str]


def _start(study: Path, author: str, environ: dict[str, str]) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("serve_study.py")
    command = [sys.executable, str(script), "review", str(study), "--no-browser"]
    return subprocess.Popen(
        [*command, "--author", author], stdout=subprocess.PIPE, text=True, env=environ
    )


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found is not None, "the command did not say where it serves"
    return found[0]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> Iterator[AtWork]:
    folder = tmp_path_factory.mktemp("work")
    study = make_study(folder, 8)
    give_truth(study, folder / "masks", *range(6))
    with ExitStack() as stack:
        started = [stack.enter_context(_start(study, author, environ)) for author in PEOPLE]
        for process in started:
            stack.callback(process.terminate)
        addresses = [_address(process) for process in started]
        yield AtWork(study, dict(zip(PEOPLE, addresses, strict=True)))


def exported(study: Path, target: Path) -> list[tuple[str, str]]:
    """Author and class of each label of a person, as ``labels export`` writes them."""
    with Study.open(study) as opened:
        export_labels(opened, target)
    with target.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["author"], row["class"]) for row in rows if row["source"] == "person"]


def test_two_people_in_two_servers(work: AtWork, opened: Opened, tmp_path: Path):
    eva, otto = (opened.page(work.addresses[author]) for author in PEOPLE)
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
    assert exported(work.study, tmp_path / "labels.csv") == [("otto", "fat")]


def test_a_round_of_learning_from_the_page(work: AtWork, opened: Opened):
    page = opened.page(work.addresses["eva"])
    page.keyboard.press("1")
    page.get_by_role("button", name="Retrain").click()
    expect(page.get_by_role("progressbar", name="Training")).to_be_visible()
    expect(page.locator("#train-text")).to_contain_text("Round 1: accuracy", timeout=60_000)
    expect(page.locator("#train-text")).to_contain_text("changed class")
    expect(page.locator("#rounds")).to_contain_text("1 (in use)")
    page.get_by_role("button", name="Next queue from the new model").click()
    expect(page.locator("#queue")).to_have_value("uncertain")
    expect(page.locator("#tile-0")).to_be_visible()
