"""README and docs: their links lead somewhere, their commands exist, and the workflow runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import cv2
import pytest
import typer
from support.learning_studies import QUICK

from annotator.cli.main import app, run
from annotator.doctor import OWN_PACKAGES
from annotator.synthetic.field import make_phantom
from annotator.synthetic.settings import PhantomSettings

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, ROOT / "CHANGELOG.md", ROOT / "sam_weights.md", *DOCS]
OURS = re.compile(r"(make|trephine|\.venv/bin/trephine) ")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(text: str) -> list[str]:
    """Every line of the shell blocks that runs something of ours, without its remark."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    lines = [line.split("  #")[0].strip() for line in "".join(blocks).splitlines()]
    return [line for line in lines if OURS.match(line)]


def section(heading: str) -> str:
    """The part of the README under a heading."""
    _, found = README.read_text("utf-8").split(f"\n## {heading}\n")
    return found.split("\n## ")[0]


def prose(page: Path) -> str:
    """A page without its blocks of commands."""
    return re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)


SHOWN = sorted({(named(p), line) for p in PAGES for line in commands(p.read_text("utf-8"))})


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 150
    assert {"make demo", "make test"} <= set(commands(text))
    assert len(DOCS) > 5
    assert [named(p) for p in DOCS if f"({named(p)})" not in text] == []


@pytest.mark.parametrize(("page", "line"), SHOWN)
def test_a_command_that_is_shown_exists(page: str, line: str) -> None:
    program, *words = shlex.split(line.split(" > ")[0])
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
        assert words[0] in targets
        return
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
    assert not hasattr(command, "commands") or words[0].startswith("-"), line
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        place, _, anchor = target.partition("#")
        there = (page.parent / place).resolve() if place else page
        assert there.exists(), target
        assert ROOT in there.parents
        assert not anchor or anchor in anchors(there), target


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_file_that_is_named_exists(page: Path) -> None:
    ours = "|".join((*OWN_PACKAGES, "tests", "docs"))
    for name in re.findall(rf"`((?:{ours})/[\w./-]*)`", prose(page)):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_pictures_are_small_and_said_in_words(page: Path) -> None:
    for words, picture in re.findall(r"!\[([^]]*)\]\(([^)]+)\)", prose(page)):
        assert words
        assert 0 < (page.parent / picture).stat().st_size < 700_000


@pytest.mark.slow
def test_the_workflow_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The very commands, in their order, on two drawn fields."""
    monkeypatch.chdir(tmp_path)
    draw_slides(tmp_path / "slides", 2)
    asked = [line for line in commands(section("Your own images")) if "doctor" not in line]
    assert [shlex.split(line)[1] for line in asked] == [
        "init",
        "annotate",
        "export",
        "stats",
        "report",
    ]
    for line in asked:
        assert run(shlex.split(line)[1:]) == 0, (line, capsys.readouterr().err)
    marrow = tmp_path / "marrow"
    assert (tmp_path / "marrow-voc.zip").stat().st_size > 0
    assert len([*(marrow / "rough").glob("*.png")]) == 2
    for place in ("rough/contact-sheet.jpg", "report/index.html", "report/dataset.csv"):
        assert (marrow / place).is_file()


@pytest.mark.slow
def test_the_readme_leads_from_draft_to_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_slides(tmp_path / "slides", 4)
    assert run(["init", "marrow"]) == 0
    (tmp_path / "marrow" / "study.toml").write_text(QUICK, "utf-8")
    assert run(["annotate", "marrow", "slides/"]) == 0
    block = section("From draft to classifier").split("```")[1]
    asked = commands(f"```{block}```")
    assert [shlex.split(line)[1] for line in asked[:3]] == ["seed", "seed", "retrain"]
    for line in asked:
        assert run(shlex.split(line)[1:]) == 0, (line, capsys.readouterr().err)
    assert (tmp_path / "marrow" / "models" / "round-01.skops").is_file()


def draw_slides(folder: Path, count: int) -> None:
    folder.mkdir()
    for seed in range(count):
        field = PhantomSettings(seed=seed, shape=(160, 240), um_per_px=1.0)
        pixels = make_phantom(field).image.pixels
        cv2.imwrite(str(folder / f"slide_{seed}.png"), pixels[..., ::-1])
