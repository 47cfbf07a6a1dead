"""The commands that talk to a CVAT server, from the first push to the report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cvat_ends import small_study
from support.cvat_places import CvatPlace, http_place
from support.cvat_studies import roughs, same_map, truths
from typer.testing import CliRunner, Result

from annotator.cli.main import app


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[CvatPlace]:
    """A server that the environment names."""
    for name in ("CVAT_TOKEN", "CVAT_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with http_place(lag=1) as found:
        for name, value in found.environ.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return small_study(tmp_path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def told(*arguments: object) -> Any:
    """The JSON that a command prints; it has to succeed."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.slow
def test_push_status_pull(place: CvatPlace, study: Path) -> None:
    planned = told("push", study, "--dry-run")
    assert (planned["dry_run"], len(place.held(study))) == (True, 0)
    pushed = told("push", study, "--assignee", "patho1")
    assert [one["status"] for task in pushed["tasks"] for one in task["images"]] == ["sent"] * 3
    for job in place.jobs(study):
        place.expert.complete(job["id"])
    shown = told("status", study)
    assert json.dumps(shown).count('"completed"') == 3
    assert "trephine pull" in run("status", study).output
    pulled = told("pull", study)
    assert [one["status"] for one in pulled["images"]] == ["new"] * 3
    found = truths(study)
    assert all(same_map(found[name], rough) for name, rough in roughs(study).items())


def test_what_went_wrong_is_said_and_fails(place: CvatPlace, study: Path) -> None:
    assert place.http is not None
    place.http.users["admin"].password = "another one by now"
    result = run("push", study)
    assert result.exit_code == 1
    assert "password are wrong" in str(result.exception)
    assert place.environ["CVAT_PASSWORD"] not in f"{result.output} {result.exception}"


@pytest.mark.slow
def test_another_server_than_before_is_refused(
    place: CvatPlace, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told("push", study)
    with http_place() as other:
        for name, value in other.environ.items():
            monkeypatch.setenv(name, value)
        result = run("push", study)
        assert result.exit_code != 0
        assert f"expected {place.url}" in str(result.exception)
        assert not other.held(study)
        assert f"expected {place.url}" in str(run("pull", study).exception)
