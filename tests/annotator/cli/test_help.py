"""Help texts: every command in a section, in whole sentences, and no slow imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

from annotator.cli.help import SECTIONS
from annotator.cli.main import run


def test_every_command_stands_in_one_section(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert "More:" not in text and "..." not in text.partition("\n")[2]
    named = [name for names in SECTIONS.values() for name in names]
    assert len(named) == len(set(named))
    assert all(f"\n  {name} " in text for name in named)


def test_examples_are_not_wrapped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert run(["annotate", "--help"]) == 0
    long = "    trephine annotate marrow slides/ --proposals sam --checkpoint vit_b\n"
    assert long in capsys.readouterr().out


def test_a_subgroup_lists_its_commands_in_whole_sentences(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["network", "--help"]) == 0
    assert "..." not in capsys.readouterr().out.partition("\n")[2]


def test_help_imports_nothing_slow() -> None:
    slow = ("numpy", "torch", "cv2", "rich", "sqlalchemy", "tempfile")
    code = (
        "import sys; from annotator.cli.main import run; code = run(['--help']); "
        f"sys.exit(','.join(n for n in {slow!r} if n in sys.modules) or code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
