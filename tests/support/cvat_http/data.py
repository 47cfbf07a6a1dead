"""The part of the API that carries data: images, annotations, requests, issues."""

from __future__ import annotations

import base64
import email.parser
import email.policy
import io
import json
import zipfile
from collections.abc import Container, Iterator

from support.cvat_http.api import Api, ApiResponse, Call, Route
from support.cvat_http.imports import FORMATS, import_into, picture
from support.cvat_http.json import data_of
from support.cvat_http.rows import Issue, JobRow, Json, Refused, RequestRow, TaskRow

TUS = [
    ("tus-resumable", "1.0.0"),
    ("tus-version", "1.0.0"),
    ("tus-max-size", "26843545600"),
    ("cache-control", "no-store"),
]


# Images


def _send_data(api: Api, call: Call, number: int) -> ApiResponse:
    """An upload begins, brings files, or is complete."""
    task = api.task(call, number)
    if task.pictures:
        raise Refused(400, "Adding more data is not supported")
    if "upload-start" in call.headers:
        if task.data is None:
            task.data = api.state.next_id("data")
        return ApiResponse(202)
    if "upload-multiple" in call.headers:
        return _keep_files(task, list(_files(call)))
    if "upload-finish" in call.headers:
        return _work_data(api, call, task)
    return _begin_tus(api, call, task.files)


def _keep_files(task: TaskRow, sent: list[tuple[str, bytes]]) -> ApiResponse:
    """Keep files, unless one of such a name is there, or comes twice: then none of them."""
    names = [name for name, _ in sent]
    if len(set(names)) < len(names) or task.files.keys() & set(names):
        return ApiResponse(500, b"<h1>Server Error (500)</h1>", [("content-type", "text/html")])
    task.files |= dict(sent)
    return ApiResponse(200)


def _files(call: Call) -> Iterator[tuple[str, bytes]]:
    """Names without their folders, and contents, of the files in a form."""
    head = f"Content-Type: {call.headers['content-type']}\r\n\r\n".encode()
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + call.body)
    for part in form.iter_parts():
        name = part.get_filename()
        if name is not None:
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            yield name.rsplit("/", 1)[-1], content


def _work_data(api: Api, call: Call, task: TaskRow) -> ApiResponse:
    sent = call.json
    order = sent.get("upload_file_order") or sorted(task.files)
    task.image_quality = sent.get("image_quality", 70)

    if sorted(order) != sorted(task.files) or not order:
        named = ", ".join(sorted(set(order) ^ set(task.files)))
        what = "Uploaded files do not match the 'upload_file_order' field contents."
        raise Refused(400, [f"{what} Mismatching files: {named}"])

    def work() -> None:
        api.state.give_pictures(task, [picture(name, task.files[name]) for name in order])

    key = f"action=create&target=task&target_id={task.id}"
    return _enqueue(api, call, RequestRow(key, "create:task", task.id, "", 0, 0, work))


def _enqueue(api: Api, call: Call, request: RequestRow) -> ApiResponse:
    request.created, request.owner = api.state.now(), call.who().id
    request.wait = api.state.lag
    api.state.enqueue(request)
    return ApiResponse(202, {"rq_id": request.id})


def _task_meta(api: Api, call: Call, number: int) -> ApiResponse:
    task = api.task(call, number)
    if task.data is None:
        raise Refused(404, {"detail": "The task has no data."})
    return ApiResponse(200, api.views.meta(task, 0, max(0, len(task.pictures) - 1)))


def _job_meta(api: Api, call: Call, number: int) -> ApiResponse:
    job = api.job(call, number)
    return ApiResponse(200, api.views.meta(api.state.tasks[job.task_id], job.start, job.stop))


def _change_task_meta(api: Api, call: Call, number: int) -> ApiResponse:
    task = api.task(call, number)
    numbers = call.json.get("deleted_frames", task.deleted)
    api.state.delete_frames(task, numbers, 0, len(task.pictures) - 1)
    return _task_meta(api, call, number)


def _change_job_meta(api: Api, call: Call, number: int) -> ApiResponse:
    job = api.job(call, number)
    task = api.state.tasks[job.task_id]
    numbers = call.json.get("deleted_frames", task.deleted)
    api.state.delete_frames(task, numbers, job.start, job.stop)
    return _job_meta(api, call, number)


def _data(api: Api, call: Call, number: int) -> ApiResponse:
    """A frame as it was sent, or all of them in one chunk."""
    pictures = api.task(call, number).pictures
    if call.query.get("type") == "frame":
        data = pictures[int(call.query["number"])].data
        return ApiResponse(200, data, [("content-type", "image/png")])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for index, one in enumerate(pictures):
            archive.writestr(f"{index:06d}.png", one.data)
    return ApiResponse(200, packed.getvalue(), [("content-type", "application/zip")])


# Files that come in pieces


def _begin_tus(api: Api, call: Call, there: Container[str] = ()) -> ApiResponse:
    pairs = [one.split(" ") for one in call.headers.get("upload-metadata", "").split(",")]
    named = {pair[0]: base64.b64decode(pair[1]).decode() for pair in pairs if len(pair) == 2}
    if "upload-length" not in call.headers or "filename" not in named:
        raise Refused(400, ["Expected the start or the end of an upload"])
    if named["filename"] in there:
        raise Refused(409, "File with same name already exists")
    length = int(call.headers["upload-length"])
    key = api.state.begin_upload(named["filename"], length, call.who().id)
    place = f"{api.views.url}{call.path.rstrip('/')}/{key}"
    return ApiResponse(201, None, [*TUS, ("location", place), ("upload-filename", key)])


def _tus_offset(api: Api, call: Call, number: int, key: str) -> ApiResponse:
    if key not in api.state.uploads:
        raise Refused(404, {"detail": "Not found."})
    found = api.state.uploads[key]
    sizes = [("upload-offset", str(len(found.data))), ("upload-length", str(found.length))]
    return ApiResponse(200, None, [*TUS, *sizes])


def _tus_piece(api: Api, call: Call, number: int, key: str) -> ApiResponse:
    if key not in api.state.uploads:
        raise Refused(404, {"detail": "Not found."})
    found = api.state.uploads[key]
    offset = [("upload-offset", str(len(found.data)))]
    if int(call.headers.get("upload-offset", -1)) != len(found.data):
        return ApiResponse(409, None, [*TUS, *offset])
    found.data += call.body
    if "/data/" in call.path and len(found.data) == found.length:
        api.task(call, number).files[found.name] = bytes(found.data)
    return ApiResponse(204, None, [*TUS, ("upload-offset", str(len(found.data)))])


# Annotations


def _task_shapes(api: Api, call: Call, number: int) -> ApiResponse:
    task = api.task(call, number)
    return ApiResponse(200, api.views.annotations(api.state.jobs_of(task.id)))


def _job_shapes(api: Api, call: Call, number: int) -> ApiResponse:
    return ApiResponse(200, api.views.annotations([api.job(call, number)]))


def _put_task_shapes(api: Api, call: Call, number: int) -> ApiResponse:
    task = api.task(call, number)
    api.state.put_task(task, call.json)
    return _without_defaults(api.state.jobs_of(task.id))


def _put_job_shapes(api: Api, call: Call, number: int) -> ApiResponse:
    job = api.job(call, number)
    api.state.put_job(job, call.json)
    return _without_defaults([job])


def _without_defaults(jobs: list[JobRow]) -> ApiResponse:
    return ApiResponse(200, data_of([shape for job in jobs for shape in job.shapes.values()]))


def _change_task_shapes(api: Api, call: Call, number: int) -> ApiResponse:
    return _change(api, call, api.state.jobs_of(api.task(call, number).id))


def _change_job_shapes(api: Api, call: Call, number: int) -> ApiResponse:
    return _change(api, call, [api.job(call, number)])


def _change(api: Api, call: Call, jobs: list[JobRow]) -> ApiResponse:
    actions = {"create": api.state.create, "update": api.state.update, "delete": api.state.delete}
    action = call.query.get("action", "")
    if action not in actions:
        raise Refused(400, ["Please specify a correct 'action' for the request"])
    shapes: list[Json] = call.json.get("shapes", [])
    return ApiResponse(200, data_of([one for job in jobs for one in actions[action](job, shapes)]))


def _no_task_shapes(api: Api, call: Call, number: int) -> ApiResponse:
    api.state.put_task(api.task(call, number), {})
    return ApiResponse(204)


def _no_job_shapes(api: Api, call: Call, number: int) -> ApiResponse:
    api.state.put_job(api.job(call, number), {})
    return ApiResponse(204)


def _import(api: Api, call: Call, number: int) -> ApiResponse:
    """An archive begins, or is complete."""
    task = api.task(call, number)
    if "upload-start" in call.headers:
        return ApiResponse(202)
    if "upload-finish" not in call.headers:
        return _begin_tus(api, call)
    kind, key = call.query.get("format", ""), call.query.get("filename", "")
    if kind not in FORMATS or key not in api.state.uploads:
        raise Refused(400, [f"Unknown format or file: {kind}, {key}"])
    to_polygons = call.query.get("conv_mask_to_poly", "true") != "false"

    def work() -> None:
        import_into(api.state, task, kind, bytes(api.state.uploads[key].data), to_polygons)

    name = f"action=import&target=task&target_id={task.id}&subresource=annotations"
    return _enqueue(api, call, RequestRow(name, "import:annotations", task.id, "", 0, 0, work))


# Requests and exports


def _request(api: Api, call: Call, key: str) -> ApiResponse:
    call.who()
    if key not in api.state.requests:
        raise Refused(404, {"detail": "Not found."})
    never = "max-age=0, no-cache, no-store, must-revalidate, private"
    shown = api.views.request(api.state.requests[key])
    return ApiResponse(200, shown, [("cache-control", never)])


def _export(api: Api, call: Call, number: int) -> ApiResponse:
    task, kind = api.task(call, number), call.query["format"]
    tail = kind.replace(" ", "_").replace(".", "~")
    key = (
        f"action=export&target=task&target_id={task.id}&user_id={call.who().id}"
        f"&format={tail}&subresource=annotations"
    )
    made = RequestRow(key, "export:annotations", task.id, "", 0, 0, lambda: None, kind)
    return _enqueue(api, call, made)


def _download(api: Api, call: Call, number: int) -> ApiResponse:
    """A zip of the task's annotations as the API has them: no format that CVAT exports.

    As in every export, deleted frames are left out.
    """
    task = api.task(call, number)
    shapes = api.views.annotations(api.state.jobs_of(task.id))
    shapes["shapes"] = [one for one in shapes["shapes"] if one["frame"] not in task.deleted]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.json", json.dumps(shapes))
    name = f'attachment; filename="task_{number}.zip"'
    headers = [("content-type", "application/zip"), ("content-disposition", name)]
    return ApiResponse(200, packed.getvalue(), headers)


# Issues


def _seen_issues(api: Api, call: Call) -> list[Issue]:
    """The issues of the jobs that a user sees."""
    jobs = api.state.jobs
    return [
        one for one in api.state.issues.values() if api.state.sees_job(call.who(), jobs[one.job_id])
    ]


def _issues(api: Api, call: Call) -> ApiResponse:
    rows = [api.views.issue(one) | {"job_id": one.job_id} for one in _seen_issues(api, call)]
    answer = api.listed(call, rows, ("job_id", "resolved"))
    for row in answer.body["results"]:
        del row["job_id"]
    return answer


def _new_issue(api: Api, call: Call) -> ApiResponse:
    sent, state = call.json, api.state
    job = api.job(call, sent["job"])
    made = Issue(
        state.next_id("issue"), job.id, sent["frame"], sent["position"], call.who().id, state.now()
    )
    made.comments.append((state.next_id("comment"), call.who().id, sent["message"], state.now()))
    state.issues[made.id] = made
    return ApiResponse(201, api.views.issue(made))


def _comments(api: Api, call: Call) -> ApiResponse:
    rows = [
        api.views.comment(issue, index) | {"issue_id": issue.id, "job_id": issue.job_id}
        for issue in _seen_issues(api, call)
        for index in range(len(issue.comments))
    ]
    answer = api.listed(call, rows, ("issue_id", "job_id"))
    for row in answer.body["results"]:
        del row["issue_id"], row["job_id"]
    return answer


def _new_comment(api: Api, call: Call) -> ApiResponse:
    sent, user, state = call.json, call.who(), api.state
    if sent["issue"] not in state.issues:
        raise Refused(400, {"issue": [f'Invalid pk "{sent["issue"]}" - object does not exist.']})
    issue = state.issues[sent["issue"]]
    issue.comments.append((state.next_id("comment"), user.id, sent["message"], state.now()))
    return ApiResponse(201, api.views.comment(issue, -1))


DATA_ROUTES: tuple[Route, ...] = (
    ("POST", r"tasks/(\d+)/data", _send_data),
    ("GET", r"tasks/(\d+)/data", _data),
    ("GET", r"tasks/(\d+)/data/meta", _task_meta),
    ("GET", r"jobs/(\d+)/data/meta", _job_meta),
    ("PATCH", r"tasks/(\d+)/data/meta", _change_task_meta),
    ("PATCH", r"jobs/(\d+)/data/meta", _change_job_meta),
    ("HEAD", r"tasks/(\d+)/(?:data|annotations)/([^/]+)", _tus_offset),
    ("PATCH", r"tasks/(\d+)/(?:data|annotations)/([^/]+)", _tus_piece),
    ("GET", r"tasks/(\d+)/annotations", _task_shapes),
    ("PUT", r"tasks/(\d+)/annotations", _put_task_shapes),
    ("PATCH", r"tasks/(\d+)/annotations", _change_task_shapes),
    ("DELETE", r"tasks/(\d+)/annotations", _no_task_shapes),
    ("POST", r"tasks/(\d+)/annotations", _import),
    ("GET", r"jobs/(\d+)/annotations", _job_shapes),
    ("PUT", r"jobs/(\d+)/annotations", _put_job_shapes),
    ("PATCH", r"jobs/(\d+)/annotations", _change_job_shapes),
    ("DELETE", r"jobs/(\d+)/annotations", _no_job_shapes),
    ("GET", r"requests/([^/]+)", _request),
    ("POST", r"tasks/(\d+)/dataset/export", _export),
    ("GET", r"tasks/(\d+)/dataset/download", _download),
    ("GET", "issues", _issues),
    ("POST", "issues", _new_issue),
    ("GET", "comments", _comments),
    ("POST", "comments", _new_comment),
)
