"""The adapter over the real SDK, against the HTTP server of the tests."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.answering import Asked, Reply, answering
from support.cvat_http.faults import ALL, DELAY, RESET_AFTER, RESET_BEFORE, TRUNCATED, TWICE
from support.cvat_http.server import CvatHttp, serving

from annotator.core.errors import CvatError, CvatUnreachable
from export.cvat.client.rest_server import Password, RestServer, Token, log_in
from export.cvat.client.retries import RetryPolicy
from export.cvat.client.server import (
    Attribute,
    CvatJob,
    CvatLabel,
    CvatProject,
    CvatShape,
    CvatTask,
)

LABELS = (
    CvatLabel(
        "fat",
        "#800000",
        (Attribute("object", "text"), Attribute("confidence", "number", ("0", "100", "1"), "0")),
    ),
    CvatLabel("cell", "#808000"),
)
HASTE = RetryPolicy(timeout_s=60, attempts=4, pause_s=0.0, poll_s=0.0, longest_poll_s=0.0)
PATIENT = RetryPolicy(timeout_s=60, attempts=12, pause_s=0.0, poll_s=0.0, longest_poll_s=0.0)


@pytest.fixture
def http() -> Iterator[CvatHttp]:
    with serving(lag=2) as running:
        yield running
        assert not running.crashes


def opened(http: CvatHttp, retries: RetryPolicy = HASTE, user: str = "admin") -> RestServer:
    return log_in(http.url, Password(user, http.users[user].password), retries).server


@pytest.fixture
def server(http: CvatHttp) -> RestServer:
    return opened(http)


@pytest.fixture
def project(server: RestServer) -> CvatProject:
    return server.create_project("marrow", LABELS)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Pictures whose order is not that of their names."""
    paths = [tmp_path / f"{name}.png" for name in ("c", "a", "b")]
    for k, path in enumerate(paths):
        Image.new("RGB", (40 + k, 30), (k, k, k)).save(path)
    return paths


@pytest.fixture
def task(server: RestServer, project: CvatProject, pictures: list[Path]) -> CvatTask:
    made = server.create_task(project.id, "batch", 2)
    server.upload(made.id, pictures)
    return made


@pytest.fixture
def job(server: RestServer, task: CvatTask) -> CvatJob:
    return server.task_jobs(task.id)[0]


def a_mask(server: RestServer, project: CvatProject, frame: int = 0, **more: object) -> CvatShape:
    fat = server.labels(project.id)[0]
    values = {fat.attributes[0].id: "17", fat.attributes[1].id: "93"}
    points = (0.0, 2.0, 3.0, 4.0, 4.0, 4.0)
    return CvatShape(frame, fat.id or 0, "mask", points, attributes=values, **more)


# Who we are


def test_says_which_server_and_who_we_are(http: CvatHttp, server: RestServer) -> None:
    assert server.info.url == http.url
    assert (server.info.version, server.info.user) == ("2.73.0", "admin")


def test_a_password_gives_a_key_that_is_a_token(http: CvatHttp) -> None:
    done = log_in(http.url, Password("admin", http.users["admin"].password), HASTE)
    assert done.key is not None
    assert log_in(http.url, done.key, HASTE).server.info.user == "admin"
    assert done.key.value not in repr(done)


def test_an_address_with_a_slash_at_its_end_is_the_same(http: CvatHttp) -> None:
    password = http.users["admin"].password
    assert log_in(http.url + "/", Password("admin", password), HASTE).server.info.url == http.url


def test_a_wrong_password_is_told_and_not_repeated(http: CvatHttp) -> None:
    with pytest.raises(CvatError, match="Unable to log in") as caught:
        log_in(http.url, Password("admin", "geheim!"), HASTE)
    assert "geheim!" not in str(caught.value)
    assert [one.path for one in http.log].count("/api/auth/login") == 1


def test_an_expired_token_says_what_to_do(http: CvatHttp) -> None:
    with pytest.raises(CvatError, match="trephine cvat login") as caught:
        log_in(http.url, Token("0" * 40), HASTE)
    assert "0" * 40 not in str(caught.value)


def test_a_login_that_ends_in_between_says_what_to_do(http: CvatHttp, server: RestServer) -> None:
    http.state.sessions.clear()
    with pytest.raises(CvatError, match=http.url):
        server.projects("marrow")


def test_personal_tokens_of_newer_servers_are_sent_as_such() -> None:
    def reply(asked: Asked) -> Reply:
        if asked.path == "/api/server/about":
            return 200, {}, b'{"version": "2.60.0"}'
        good = asked.headers["authorization"] == "Bearer abc.def"
        return (200, {}, b'{"username": "eva"}') if good else (401, {}, b"{}")

    with answering(reply) as (url, seen):
        assert log_in(url, Token("abc.def"), HASTE).server.info.user == "eva"
        assert len(seen) == 2


def test_a_session_without_a_key_serves_too() -> None:
    def reply(asked: Asked) -> Reply:
        if asked.path == "/api/server/about":
            return 200, {}, b'{"version": "2.60.0"}'
        if asked.path == "/api/auth/login":
            return 200, {"Set-Cookie": "sessionid=abc; Path=/"}, b"{}"
        good = asked.headers.get("cookie") == "sessionid=abc"
        return (200, {}, b'{"username": "eva"}') if good else (401, {}, b"{}")

    with answering(reply) as (url, _):
        done = log_in(url, Password("eva", "x"), HASTE)
    assert (done.server.info.user, done.key) == ("eva", None)


@pytest.mark.parametrize("version", ["2.81.0", "3.0.1", "2.41.9", "dev", "2"])
def test_an_unknown_version_is_a_warning(
    http: CvatHttp, caplog: pytest.LogCaptureFixture, version: str
) -> None:
    http.api.views.version = version
    assert opened(http).info.version == version
    assert f"CVAT {version}" in caplog.text and "2.42 to 2.80" in caplog.text


@pytest.mark.parametrize("version", ["2.42.0", "2.59.1", "2.80.3"])
def test_a_known_version_is_none(
    http: CvatHttp, caplog: pytest.LogCaptureFixture, version: str
) -> None:
    http.api.views.version = version
    opened(http)
    assert not caplog.records


NO_CVAT = [
    (200, {"Content-Type": "text/html"}, b"<!doctype html>"),
    (404, {"Content-Type": "text/html"}, b"<h1>Not Found</h1>"),
    (200, {}, b'{"status": "ok"}'),
    (200, {}, b"[1, 2]"),
]


@pytest.mark.parametrize("reply", NO_CVAT)
def test_what_is_no_cvat_is_named(reply: Reply) -> None:
    with (
        answering(lambda _: reply) as (url, seen),
        pytest.raises(CvatError, match="localhost:8080"),
    ):
        log_in(url, Password("eva", "geheim!"), HASTE)
    assert not any(b"geheim!" in asked.body for asked in seen)


def test_a_redirect_is_named_before_anything_secret_is_sent() -> None:
    moved = (308, {"Location": "https://user:pw@cvat.example.org/api/server/about"}, b"")
    with (
        answering(lambda _: moved) as (url, seen),
        pytest.raises(CvatError, match=r"https://cvat\.example\.org"),
    ):
        log_in(url, Token("a" * 40), HASTE)
    assert all("authorization" not in asked.headers for asked in seen)


@pytest.mark.parametrize("secret", [Token("geheim!"), Password("eva", "geheim!")])
def test_credentials_are_not_part_of_a_repr(secret: Token | Password) -> None:
    assert "geheim!" not in f"{secret!r} {secret}"


def test_nothing_is_logged_but_addresses(http: CvatHttp, caplog: pytest.LogCaptureFixture) -> None:
    opened(http)  # the SDK sets levels of its own
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "urllib3.connectionpool", "cvat_sdk"):
        caplog.set_level(logging.DEBUG, name)
    server = opened(http)
    server.create_project("marrow", LABELS)
    user = http.users["admin"]
    for secret in (user.password, str(user.token), *http.state.sessions):
        assert secret not in caplog.text
        assert secret not in repr(server)
    assert caplog.text


# Projects, tasks, jobs


def test_a_project_has_the_labels_that_were_asked_for(
    server: RestServer, project: CvatProject
) -> None:
    server.create_project("marrow 2", LABELS)
    assert server.projects("marrow") == (project,)
    labels = server.labels(project.id)
    assert [(one.name, one.colour) for one in labels] == [("fat", "#800000"), ("cell", "#808000")]
    plain = [(a.name, a.kind, a.values, a.default) for a in labels[0].attributes]
    assert plain == [(a.name, a.kind, a.values, a.default) for a in LABELS[0].attributes]
    numbers = [a.id for a in labels[0].attributes] + [one.id for one in labels]
    assert all(isinstance(number, int) for number in numbers)


def test_images_keep_their_order_names_and_sizes(server: RestServer, task: CvatTask) -> None:
    assert [(f.name, f.width, f.height) for f in server.frames(task.id)] == [
        ("c.png", 40, 30),
        ("a.png", 41, 30),
        ("b.png", 42, 30),
    ]


def test_only_names_of_files_are_sent(pictures: list[Path]) -> None:
    strict = Strict(set())
    with answering(lambda asked: _about(asked) or strict(asked)) as (url, seen):
        log_in(url, Token("a" * 40), HASTE).server.upload(1, pictures)
    sent = b"".join(asked.body for asked in seen)
    assert b'filename="a.png"' in sent
    assert pictures[0].parent.name.encode() not in sent


def test_a_task_without_images_has_no_frames(server: RestServer, project: CvatProject) -> None:
    made = server.create_task(project.id, "batch", 5)
    assert (made.name, made.project_id, made.frames) == ("batch", project.id, 0)
    assert server.tasks(project.id) == (made,)


def test_jobs_of_a_task_and_of_a_project(
    server: RestServer, project: CvatProject, task: CvatTask
) -> None:
    jobs = server.task_jobs(task.id)
    assert [(one.start, one.stop, one.kind) for one in jobs] == [
        (0, 1, "annotation"),
        (2, 2, "annotation"),
    ]
    assert jobs == server.jobs(project.id)
    assert {(one.state, one.stage, one.assignee) for one in jobs} == {("new", "annotation", None)}


def test_lists_go_over_all_pages(http: CvatHttp, server: RestServer, project: CvatProject) -> None:
    made = [server.create_task(project.id, f"t{k}", 1).id for k in range(23)]
    assert [one.id for one in server.tasks(project.id)] == made


def test_a_deleted_task_may_be_deleted_again(server: RestServer, project: CvatProject) -> None:
    made = server.create_task(project.id, "batch", 5)
    server.delete_task(made.id)
    server.delete_task(made.id)
    assert server.tasks(project.id) == ()


def test_a_job_is_given_to_a_user(server: RestServer, job: CvatJob) -> None:
    server.assign(job.id, server.user("patho2"))
    assert server.task_jobs(job.task_id)[0].assignee == "patho2"


def test_an_unknown_user_is_named(server: RestServer) -> None:
    with pytest.raises(CvatError, match="'Patho1'"):
        server.user("Patho1")


def test_what_is_gone_is_named(server: RestServer) -> None:
    with pytest.raises(CvatError, match="task 99"):
        server.frames(99)


# Shapes


def test_shapes_come_back_as_they_were_put(
    server: RestServer, project: CvatProject, job: CvatJob
) -> None:
    sent = [a_mask(server, project, z_order=k, frame=k % 2, group=k) for k in range(4)]
    sent.append(
        CvatShape(
            1, server.labels(project.id)[1].id or 0, "ellipse", (9.5, 8.0, 7.25, 1.0), 9, 0, 30.5
        )
    )
    server.put_shapes(job.id, sent)
    found = server.shapes(job.id)
    assert (found.tracks, found.tags) == (0, 0)
    bare = [
        (s.frame, s.label, s.kind, s.points, s.z_order, s.group, s.rotation, dict(s.attributes))
        for s in sorted(found.shapes, key=lambda s: s.id or 0)
    ]
    assert bare == [
        (s.frame, s.label, s.kind, s.points, s.z_order, s.group, s.rotation, dict(s.attributes))
        for s in sent
    ]
    assert len({s.id for s in found.shapes}) == 5


def test_putting_replaces(server: RestServer, project: CvatProject, job: CvatJob) -> None:
    server.put_shapes(job.id, [a_mask(server, project)] * 3)
    server.put_shapes(job.id, [a_mask(server, project)])
    assert len(server.shapes(job.id).shapes) == 1
    server.put_shapes(job.id, [])
    assert server.shapes(job.id).shapes == ()


def test_scalars_of_numpy_are_sent_as_numbers(
    server: RestServer, project: CvatProject, job: CvatJob
) -> None:
    label = server.labels(project.id)[1].id
    points = tuple(np.array([0, 2, 3, 4, 4, 4]))
    server.put_shapes(job.id, [CvatShape(np.int64(0), np.int32(label), "mask", points, np.int8(3))])  # type: ignore[arg-type]
    (shape,) = server.shapes(job.id).shapes
    assert (shape.points, shape.z_order) == ((0.0, 2.0, 3.0, 4.0, 4.0, 4.0), 3)


@pytest.mark.parametrize(
    "change",
    [
        {"frame": None},
        {"frame": True},
        {"points": ["1"]},
        {"points": [1, None]},
        {"points": [float("inf")]},
        {"points": "1"},
    ],
)
def test_a_shape_of_another_form_is_refused(
    http: CvatHttp,
    server: RestServer,
    project: CvatProject,
    job: CvatJob,
    change: dict[str, object],
) -> None:
    server.put_shapes(job.id, [a_mask(server, project)])
    for shape in http.state.jobs[job.id].shapes.values():
        shape.update(change)
    with pytest.raises(CvatError):
        server.shapes(job.id)


def test_what_people_draw_is_read(http: CvatHttp, server: RestServer, job: CvatJob) -> None:
    http.expert.paint(job.id, "cell", [1.25, 2, 3, 4, 5, 6], "polygon")
    (shape,) = server.shapes(job.id).shapes
    assert (shape.kind, shape.points) == ("polygon", (1.25, 2.0, 3.0, 4.0, 5.0, 6.0))
    assert shape.source == "manual"


def test_comments_of_a_job(http: CvatHttp, server: RestServer, job: CvatJob) -> None:
    assert server.comments(job.id) == ()
    http.expert.comment(job.id, "is this fat?", (1.0, 2.0, 3.0, 4.0))
    (comment,) = server.comments(job.id)
    assert (comment.text, comment.author) == ("is this fat?", "patho1")
    assert (comment.frame, comment.position, comment.resolved) == (0, (1.0, 2.0, 3.0, 4.0), False)


# Imports


def voc(path: Path, objects: bool = True) -> Path:
    """A VOC archive with a 2 x 2 object of fat in the frame ``c``."""
    classes = np.zeros((30, 40, 3), np.uint8)
    classes[5:7, 8:10] = (128, 0, 0)
    numbers = np.zeros((30, 40, 3), np.uint8)
    numbers[5:7, 8:10] = (128, 0, 0)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labelmap.txt", "background:0,0,0::\nfat:128,0,0::\n")
        archive.writestr("ImageSets/Segmentation/default.txt", "c\n")
        for folder, pixels in (("SegmentationClass", classes), ("SegmentationObject", numbers)):
            packed = io.BytesIO()
            Image.fromarray(pixels).save(packed, "PNG")
            if objects or folder == "SegmentationClass":
                archive.writestr(f"{folder}/c.png", packed.getvalue())
    return path


def test_a_voc_archive_is_imported_as_masks(
    server: RestServer, task: CvatTask, job: CvatJob, tmp_path: Path
) -> None:
    server.import_voc(task.id, voc(tmp_path / "a.zip"))
    (shape,) = server.shapes(job.id).shapes
    assert (shape.kind, shape.points) == ("mask", (0.0, 4.0, 8.0, 5.0, 9.0, 6.0))


def test_a_failed_import_says_why(server: RestServer, task: CvatTask, tmp_path: Path) -> None:
    with pytest.raises(CvatError, match=r"importing .*'background'"):
        server.import_voc(task.id, voc(tmp_path / "a.zip", objects=False))


@pytest.mark.slow
@pytest.mark.parametrize("fault", [RESET_BEFORE, RESET_AFTER, TRUNCATED, TWICE, "500", "502"])
def test_an_import_goes_on_after_any_fault(
    http: CvatHttp, server: RestServer, task: CvatTask, job: CvatJob, tmp_path: Path, fault: str
) -> None:
    archive = voc(tmp_path / "a.zip")
    for number in range(5):
        http.faults.at({number: fault})
        server.import_voc(task.id, archive)
        assert len(server.shapes(job.id).shapes) == 1


# Uploads


@pytest.mark.slow
@pytest.mark.parametrize("fault", [kind for kind in ALL if kind != DELAY])
def test_an_upload_goes_on_after_any_fault(
    http: CvatHttp, server: RestServer, project: CvatProject, pictures: list[Path], fault: str
) -> None:
    for number in range(7):
        made = server.create_task(project.id, "batch", 1)
        http.faults.at({number: fault})
        server.upload(made.id, pictures)
        http.faults.clear()
        assert [f.name for f in server.frames(made.id)] == ["c.png", "a.png", "b.png"]
        assert len(server.task_jobs(made.id)) == 3


def test_an_upload_that_is_done_is_not_done_again(
    http: CvatHttp, server: RestServer, task: CvatTask, pictures: list[Path]
) -> None:
    before = len(http.log)
    server.upload(task.id, pictures)
    assert {one.method for one in http.log[before:]} == {"GET"}


def test_an_upload_takes_up_what_a_broken_one_left(
    http: CvatHttp, server: RestServer, project: CvatProject, pictures: list[Path]
) -> None:
    made = server.create_task(project.id, "batch", 1)
    http.faults.down(3, done=True)
    with pytest.raises(CvatUnreachable):
        server.upload(made.id, pictures)
    http.faults.clear()
    server.upload(made.id, pictures)
    assert len(server.frames(made.id)) == 3


@pytest.mark.slow
def test_large_images_go_in_pieces(
    server: RestServer, project: CvatProject, pictures: list[Path], tmp_path: Path
) -> None:
    large = tmp_path / "large.png"
    noise = np.random.default_rng(0).integers(0, 256, (1700, 1750, 3), np.uint8)
    Image.fromarray(noise).save(large, compress_level=0)
    assert large.stat().st_size > 8 << 20
    made = server.create_task(project.id, "batch", 9)
    server.upload(made.id, [pictures[0], large, pictures[1]])
    assert [f.name for f in server.frames(made.id)] == ["c.png", "large.png", "a.png"]


def test_an_image_that_is_none_fails_with_the_reason(
    server: RestServer, project: CvatProject, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    made = server.create_task(project.id, "batch", 9)
    with pytest.raises(CvatError, match=r"unpacking.*bad\.png"):
        server.upload(made.id, [bad])


def test_two_images_of_one_name_are_refused_before_sending(
    http: CvatHttp, server: RestServer, task: CvatTask, tmp_path: Path
) -> None:
    before = len(http.log)
    with pytest.raises(CvatError, match=r"a\.png"):
        server.upload(task.id, [tmp_path / "a.png", tmp_path / "x" / "a.png"])
    assert len(http.log) == before


class Strict:
    """Uploads as a real server takes them: a name that it has noted is a failure of its own.

    ``lost`` are the numbers of the requests whose answer never arrives.
    """

    def __init__(self, lost: set[int]) -> None:
        self.lost, self.names, self.size, self.count = lost, set[str](), 0, -1

    def __call__(self, asked: Asked) -> Reply:
        answer = self._answer(asked)
        self.count += asked.method == "POST"
        if asked.method == "POST" and self.count in self.lost:
            return 502, {}, b""
        return answer

    def _answer(self, asked: Asked) -> Reply:
        if asked.path.startswith("/api/requests/"):
            return (200, {}, b'{"status": "finished"}') if self.size else (404, {}, b"{}")
        if asked.method == "GET":
            return 200, {}, json.dumps({"id": 1, "name": "t", "size": self.size}).encode()
        if "upload-multiple" in asked.headers:
            return self._note({n for n in ("a", "b", "c") if f'"{n}.png"'.encode() in asked.body})
        if "upload-finish" in asked.headers:
            return self._finish(json.loads(asked.body)["upload_file_order"])
        return 202, {}, b""

    def _note(self, names: set[str]) -> Reply:
        if names & self.names:
            return 500, {"Content-Type": "text/html"}, b"<h1>Server Error (500)</h1>"
        self.names |= names
        return 200, {}, b""

    def _finish(self, order: list[str]) -> Reply:
        if self.size:
            return 400, {}, b'["Adding more data is not supported"]'
        if {name.removesuffix(".png") for name in order} != self.names:
            return 400, {}, b'["Uploaded files do not match"]'
        self.size = len(order)
        return 202, {}, b'{"rq_id": "action=create&target=task&target_id=1"}'


@pytest.mark.parametrize("lost", [set(), {0}, {1}, {2}, {1, 5}, {1, 3, 5}, {0, 2}])
def test_images_that_the_server_noted_are_no_hindrance(
    http: CvatHttp, server: RestServer, pictures: list[Path], lost: set[int]
) -> None:
    strict = Strict(lost)
    with answering(lambda asked: _about(asked) or strict(asked)) as (url, _):
        log_in(url, Token("a" * 40), HASTE).server.upload(1, pictures)
    assert (strict.size, strict.names) == (3, {"a", "b", "c"})


def _about(asked: Asked) -> Reply | None:
    if asked.path == "/api/server/about":
        return 200, {}, b'{"version": "2.42.0"}'
    return (200, {}, b'{"username": "eva"}') if asked.path == "/api/users/self" else None


# Faults


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_reads_and_repeats_outlast_faults(
    http: CvatHttp, project: CvatProject, job: CvatJob, seed: int
) -> None:
    server = opened(http, PATIENT)
    mask = a_mask(server, project)
    http.faults.random(seed, 0.4)
    for k in range(12):
        server.put_shapes(job.id, [mask] * k)
        assert len(server.shapes(job.id).shapes) == k
        assert len(server.jobs(project.id)) == 2
    assert len(http.faults.log) > 10


@pytest.mark.parametrize("fault", [RESET_AFTER, TRUNCATED, "502 after"])
def test_a_task_is_not_made_twice_when_its_answer_is_lost(
    http: CvatHttp, server: RestServer, project: CvatProject, fault: str
) -> None:
    http.faults.at({0: fault})
    with pytest.raises(CvatUnreachable, match="making a task"):
        server.create_task(project.id, "batch", 1)
    assert len(server.tasks(project.id)) == 1


def test_an_import_that_runs_already_is_waited_for(tmp_path: Path) -> None:
    finishes: list[Asked] = []

    def reply(asked: Asked) -> Reply:
        if asked.method == "GET":
            return 200, {}, b'{"status": "finished"}'
        if "upload-finish" in asked.headers:
            finishes.append(asked)
            return (409, {}, b'"busy"') if len(finishes) == 1 else (202, {}, b'{"rq_id": "r"}')
        if "upload-length" in asked.headers:
            return 201, {"Location": "/api/tasks/1/annotations/x", "Upload-Filename": "x"}, b""
        return 202, {}, b""

    with answering(lambda asked: _about(asked) or reply(asked)) as (url, seen):
        log_in(url, Token("a" * 40), HASTE).server.import_voc(1, voc(tmp_path / "a.zip"))
    assert len(finishes) == 2
    assert "conv_mask_to_poly=false" in finishes[0].path
    assert any("subresource%3Dannotations" in asked.path for asked in seen)
