"""The commands ``trephine pull`` and ``trephine status``: exit codes, tables, JSON."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from support.fake_cvat import BEFORE, FakeCvat
from support.pulled_studies import RECORDED, add_image, field
from support.served_studies import edit, jobs_of, serve

from annotator.cli.cvat import register
from annotator.cli.main import run
from annotator.cli.options import DONE, INCOMPLETE, USAGE
from annotator.settings.cvat import CvatSettings
from annotator.study.study import Study

CVAT = str(RECORDED / "tiny_CVAT_for_images_1.1.zip")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CVAT_URL", raising=False)
    with Study.create(tmp_path / "study") as study:
        add_image(study)
    return tmp_path / "study"


def test_pull_says_what_was_corrected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pull", str(folder), "--from", CVAT]) == DONE
    out = capsys.readouterr().out
    assert "1 image(s) from CVAT for images 1.1: 1 new." in out
    assert "not in the study: 'tile_002.png'" in out
    assert f"trephine retrain {folder} --from truth" in out
    assert "relabelled" in out
    assert "15.7 %" in out


def test_pull_tells_what_was_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["pull", str(folder), "--from", CVAT])
    voc = str(RECORDED / "tiny_PASCAL_VOC_1.1.zip")
    assert run(["pull", str(folder), "--from", voc]) == DONE
    out = capsys.readouterr().out
    assert "1 earlier mask(s) kept in" in out
    assert "warning: PASCAL VOC 1.1: CVAT leaves every polygon" in out


def test_pull_says_why_an_outline_without_a_class_is_not_used(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ring = [[0, 0], [9, 0], [9, 9], [0, 0]]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"classification": {"name": name}} if name else {},
        }
        for name in ("fat", "")
    ]
    with Study.open(folder) as study:
        (image,) = study.images()
    file = tmp_path / f"{image.name}.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert run(["pull", str(folder), "--from", str(file)]) == DONE
    out = capsys.readouterr().out
    assert "not used: 1 object without a class; they have no class, or no area in an image" in out


def test_pull_prints_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pull", str(folder), "--from", CVAT, "--json"]) == DONE
    document = json.loads(capsys.readouterr().out)
    assert document["images"][0]["areas_px"]["unlabelled"] == 1696
    assert Path(document["report"]).is_file()


def test_pull_refuses_what_it_cannot_use(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.zip").write_bytes(b"no zip")
    assert run(["pull", str(folder), "--from", str(tmp_path / "x.zip")]) == USAGE
    assert "expected a zip as CVAT exports it" in capsys.readouterr().err


def test_pull_of_an_image_without_shapes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = str(RECORDED / "empty_COCO_1.0.zip")
    assert run(["pull", str(folder), "--from", empty]) == DONE
    assert "1 empty" in capsys.readouterr().out


# The server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCvat:
    monkeypatch.delenv("CVAT_URL", raising=False)
    with Study.create(tmp_path / "sent") as study:
        return serve(study, tmp_path, [field(), field()])


def commands(server: FakeCvat, turns: int = 0) -> typer.Typer:
    """The commands, connected to this server; a watch is stopped after so many turns."""
    app = typer.Typer()
    left = iter(range(turns))

    def sleep(seconds: float) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    def connect(settings: CvatSettings) -> FakeCvat:
        assert settings.url == server.url
        return server

    register(app, connect, sleep)
    return app


def test_pull_from_the_server(
    tmp_path: Path, server: FakeCvat, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "sent")
    for job in jobs_of(server):
        edit(server, job.id)
        server.comment(job.id, "well done")
    assert run(["pull", folder], commands(server)) == DONE
    out = capsys.readouterr().out
    assert "2 image(s) from https://cvat.test, project Trephine: 2 new." in out
    assert "2 job(s): 2 taken." in out
    assert "tile_001: eva wrote: well done" in out
    assert run(["pull", folder], commands(server)) == DONE
    out = capsys.readouterr().out
    assert "0 image(s)" in out
    assert "2 job(s): 2 unchanged." in out
    assert "Report" not in out


def test_pull_of_something_broken_is_incomplete(
    tmp_path: Path, server: FakeCvat, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = jobs_of(server)
    edit(server, first.id, lambda shapes: [replace(shapes[0], points=())])
    edit(server, second.id)
    assert run(["pull", str(tmp_path / "sent")], commands(server)) == INCOMPLETE
    out = capsys.readouterr().out
    assert f"could not be used: tile_001 (job {first.id}, frame 0): mask" in out
    assert "1 image(s) from" in out


def test_pull_of_all_as_json(
    tmp_path: Path, server: FakeCvat, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["pull", str(tmp_path / "sent"), "--only", "all", "--json"]
    assert run(arguments, commands(server)) == DONE
    document = json.loads(capsys.readouterr().out)
    assert document["report"] is None
    assert [job["outcome"] for job in document["jobs"]] == ["as pushed"] * 2


def test_pull_from_a_file_goes_alone(tmp_path: Path, server: FakeCvat) -> None:
    arguments = ["pull", str(tmp_path / "sent"), "--from", CVAT, "--watch", "5"]
    assert run(arguments, commands(server)) == USAGE


def test_a_watch_goes_on_until_it_is_stopped(
    tmp_path: Path, server: FakeCvat, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(server, jobs_of(server)[0].id)
    server.calls.clear()
    # project, labels, jobs, frames, shapes, comments; then the second turn breaks off at once.
    server.faults = {6: BEFORE}
    app = commands(server, turns=2)
    assert run(["pull", str(tmp_path / "sent"), "--watch", "5"], app) == DONE
    found = capsys.readouterr()
    assert "1 image(s) from" in found.out
    assert "the server is away: project" in found.err
    assert "nothing new in 1 job(s)" in found.err
    assert "stopped watching" in found.err
    assert len(list((tmp_path / "sent" / "report").glob("pull-*.json"))) == 1


def test_a_watch_as_json_is_a_line_a_turn(
    tmp_path: Path, server: FakeCvat, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(server, jobs_of(server)[0].id)
    arguments = ["pull", str(tmp_path / "sent"), "--watch", "5", "--json"]
    assert run(arguments, commands(server, turns=1)) == DONE
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert len(first["images"]) == 1
    assert second["images"] == []


def test_status_is_a_row_a_task(
    tmp_path: Path, server: FakeCvat, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = jobs_of(server)
    edit(server, first.id)
    server.set_job(second.id, assignee="eva", state="rejected")
    folder = str(tmp_path / "sent")
    assert run(["status", folder], commands(server)) == DONE
    out = capsys.readouterr().out
    assert "eva 1" in out
    assert f"job {second.id} (tile_002): rejected" in out
    assert f"Next     trephine pull {folder}" in out
    assert run(["status", folder, "--json", "--shapes"], commands(server)) == DONE
    document = json.loads(capsys.readouterr().out)
    assert document["jobs"] == {"to pull": 1, "rejected": 1}


def test_status_without_the_server_tells_what_is_known(
    tmp_path: Path, server: FakeCvat, capsys: pytest.CaptureFixture[str]
) -> None:
    server.calls.clear()
    server.faults = {0: BEFORE}
    assert run(["status", str(tmp_path / "sent")], commands(server)) == INCOMPLETE
    out = capsys.readouterr().out
    assert "the server was not asked, this is what is known: project" in out
    assert "2026-01-02 00:00" in out


def test_status_of_a_study_that_was_never_pushed(
    folder: Path, server: FakeCvat, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", str(folder)], commands(server)) == DONE
    assert f"Next     trephine push {folder}" in capsys.readouterr().out
    assert run(["pull", str(folder)], commands(server)) == USAGE
    assert "run trephine push first" in capsys.readouterr().err


def test_status_without_access_says_so_and_what_to_do(
    tmp_path: Path, server: FakeCvat, capsys: pytest.CaptureFixture[str]
) -> None:
    server.hidden.add(server.project_named("Trephine").id)
    for command in ("status", "pull"):
        assert run([command, str(tmp_path / "sent")], commands(server)) == USAGE
        said = "".join(capsys.readouterr())
        assert "logged in as 'trephine', who may not see project" in said
        assert "no longer on the server" not in said
        assert "push again" not in said
        assert "Next     trephine push" not in said


def test_status_of_a_task_that_is_not_seen(
    tmp_path: Path, server: FakeCvat, capsys: pytest.CaptureFixture[str]
) -> None:
    server.hidden.add(jobs_of(server)[0].task_id)
    assert run(["status", str(tmp_path / "sent")], commands(server)) == INCOMPLETE
    said = "".join(capsys.readouterr())
    assert "not to be seen by 'trephine'" in said.replace("\n", " ")
    assert "no longer on the server" not in said
    assert "trephine push" not in said


def test_status_counts_deleted_frames(
    tmp_path: Path, server: FakeCvat, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = jobs_of(server)
    server.delete_frames(first.task_id, first.start)
    assert run(["status", str(tmp_path / "sent")], commands(server)) == DONE
    assert "1 frame(s) deleted in CVAT, so no truth: tile_001" in capsys.readouterr().out
    edit(server, first.id)
    assert run(["pull", str(tmp_path / "sent")], commands(server)) == DONE
    out = capsys.readouterr().out.replace("\n", " ")
    assert f"deleted in CVAT, so no truth: tile_001 (job {first.id}, frame 0)" in out
