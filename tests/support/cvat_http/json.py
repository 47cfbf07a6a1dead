"""How the API shows what the server knows: keys and values as recorded from CVAT 2.42,
with what 2.73 has besides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from support.cvat_http.rows import (
    AccessTokenRow,
    Issue,
    JobRow,
    Json,
    OrganizationRow,
    ProjectRow,
    RequestRow,
    TaskRow,
    User,
)
from support.cvat_http.state import State

ABOUT = {
    "name": "Computer Vision Annotation Tool",
    "description": "CVAT is a tool for annotation.",
    "version": "2.73.0",
    "logo_url": "/static/logo.svg",
    "subtitle": "Open Data Annotation Platform",
}


class Views:
    """JSON of what a state holds, with addresses on one server.

    Attributes
    ----------
    version : str
        What the server says it is.
    """

    def __init__(self, state: State, url: str) -> None:
        self.state, self.url = state, url
        self.version = ABOUT["version"]

    def about(self) -> Json:
        """GET server/about."""
        return ABOUT | {"version": self.version, "logo_url": f"{self.url}/static/logo.svg"}

    def owner(self, number: int | None) -> Json | None:
        """A user as others name it."""
        if number is None:
            return None
        return {
            "url": f"{self.url}/api/users/{number}",
            "id": number,
            "username": self.state.users[number].username,
            "first_name": "",
            "last_name": "",
        }

    def user(self, user: User) -> Json:
        """One of GET users."""
        shown = self.owner(user.id) or {}
        return shown | {
            "email": f"{user.username}@example.org",
            "groups": ["admin" if user.staff else "user"],
            "is_staff": user.staff,
            "is_superuser": user.staff,
            "is_active": True,
            "last_login": None if user.token is None else "2026-11-20T15:48:03.222842Z",
            "date_joined": "2026-11-20T15:27:41.551158Z",
            "has_analytics_access": user.staff,
        }

    def project(self, project: ProjectRow) -> Json:
        """GET projects/ID."""
        tasks = [t for t in self.state.tasks.values() if t.project_id == project.id]
        of = f"project_id={project.id}"
        return {
            "url": f"{self.url}/api/projects/{project.id}",
            "id": project.id,
            "name": project.name,
            "owner": self.owner(project.owner),
            "assignee": self.owner(project.assignee),
            "guide_id": None,
            "bug_tracker": "",
            "created_date": project.created,
            "updated_date": project.updated,
            "status": "annotation",
            "dimension": "2d" if tasks else None,
            "organization": project.organization,
            "target_storage": None,
            "source_storage": None,
            "tasks": {"count": len(tasks), "url": f"{self.url}/api/tasks?{of}"},
            "labels": {"url": f"{self.url}/api/labels?{of}"},
            "assignee_updated_date": None,
            "task_subsets": [],
        }

    def task(self, task: TaskRow) -> Json:
        """GET tasks/ID; what tells of its data is missing while it has none."""
        jobs = self.state.jobs_of(task.id)
        shown = {
            "url": f"{self.url}/api/tasks/{task.id}",
            "id": task.id,
            "name": task.name,
            "project_id": task.project_id,
            "mode": "annotation" if task.pictures else "",
            "owner": self.owner(task.owner),
            "assignee": self.owner(task.assignee),
            "bug_tracker": "",
            "created_date": task.created,
            "updated_date": task.updated,
            "overlap": 0 if task.pictures else None,
            "segment_size": task.segment_size,
            "status": "annotation",
            "guide_id": None,
            "dimension": "2d",
            "subset": "",
            "organization": task.organization,
            "target_storage": None,
            "source_storage": None,
            "jobs": {
                "count": len(jobs),
                # Not the jobs whose state is completed: those that were accepted.
                "completed": sum(j.stage == "acceptance" for j in jobs),
                "validation": sum(j.stage == "validation" for j in jobs),
                "url": f"{self.url}/api/jobs?task_id={task.id}",
            },
            "labels": {"url": f"{self.url}/api/labels?task_id={task.id}"},
            "assignee_updated_date": None,
            "validation_mode": None,
            "consensus_enabled": False,
        }
        return shown | ({} if task.data is None else self._data(task))

    def _data(self, task: TaskRow) -> Json:
        return {
            "data_chunk_size": 72 if task.pictures else None,
            "data_compressed_chunk_type": "imageset",
            "data_original_chunk_type": "imageset",
            "size": len(task.pictures),
            "image_quality": task.image_quality,
            "data": task.data,
        }

    def job(self, job: JobRow) -> Json:
        """GET jobs/ID."""
        issues = sum(i.job_id == job.id for i in self.state.issues.values())
        return {
            "url": f"{self.url}/api/jobs/{job.id}",
            "id": job.id,
            "task_id": job.task_id,
            "project_id": self.state.tasks[job.task_id].project_id,
            "assignee": self.owner(job.assignee),
            "guide_id": None,
            "dimension": "2d",
            "bug_tracker": "",
            "status": "annotation",
            "stage": job.stage,
            "state": job.state,
            "mode": "annotation",
            "frame_count": job.stop - job.start + 1,
            "start_frame": job.start,
            "stop_frame": job.stop,
            "data_chunk_size": 72,
            "data_compressed_chunk_type": "imageset",
            "data_original_chunk_type": "imageset",
            "created_date": job.created,
            "updated_date": job.updated,
            "issues": {"url": f"{self.url}/api/issues?job_id={job.id}", "count": issues},
            "labels": {"url": f"{self.url}/api/labels?job_id={job.id}"},
            "type": job.type,
            "organization": self.state.tasks[job.task_id].organization,
            "target_storage": None,
            "source_storage": None,
            "assignee_updated_date": job.assigned,
            "parent_job_id": job.parent,
        } | self._replicas(job)

    def _replicas(self, job: JobRow) -> Json:
        """How many replicas a job has, under both names; 2.42 has the first alone."""
        count = sum(one.parent == job.id for one in self.state.jobs.values())
        is_old = self.version.startswith("2.42")
        return {"consensus_replicas": count} | ({} if is_old else {"replicas_count": count})

    def token(self, token: AccessTokenRow) -> Json:
        """GET auth/access_tokens/self."""
        return {
            "id": token.id,
            "name": token.name,
            "created_date": "2026-11-01T08:00:00Z",
            "updated_date": "2026-11-01T08:00:00Z",
            "expiry_date": token.expires,
            "last_used_date": None,
            "read_only": token.read_only,
            "owner": self.owner(token.user),
        }

    def organization(self, organization: OrganizationRow) -> Json:
        """GET organizations/ID."""
        return {
            "id": organization.id,
            "slug": organization.slug,
            "name": organization.slug,
            "description": "",
        }

    def meta(self, task: TaskRow, start: int, stop: int) -> Json:
        """GET data/meta, for the frames from `start` to `stop` inclusive."""
        frames = [
            {
                "width": one.width,
                "height": one.height,
                "name": one.name,
                "related_files": 0,
                "has_related_context": False,
            }
            for one in task.pictures[start : stop + 1]
        ]
        return {
            "chunks_updated_date": task.updated,
            "chunk_size": 72,
            "size": len(frames),
            "image_quality": task.image_quality,
            "start_frame": start,
            "stop_frame": stop,
            "frame_filter": "",
            "frames": frames,
            "deleted_frames": sorted(n for n in task.deleted if start <= n <= stop),
            "included_frames": None,
        }

    def request(self, request: RequestRow) -> Json:
        """GET requests/ID."""
        task = self.state.tasks.get(request.task_id)
        done = request.finished
        exported = request.kind.startswith("export") and request.status == "finished"
        return {
            "status": request.status,
            "message": request.shown_message,
            "id": request.id,
            "operation": {
                "type": request.kind,
                "target": "task",
                "project_id": None if task is None else task.project_id,
                "task_id": request.task_id,
                "job_id": None,
                "format": request.format,
            },
            "progress": 0.0,
            "created_date": request.created,
            "started_date": request.started,
            "finished_date": done,
            "expiry_date": done,
            "owner": {"id": request.owner, "username": self.state.users[request.owner].username},
            "result_url": self._download(request) if exported else None,
            "result_id": None,
        }

    def _download(self, request: RequestRow) -> str:
        quoted = request.id.replace("=", "%3D").replace("&", "%26")
        return f"{self.url}/api/tasks/{request.task_id}/dataset/download?rq_id={quoted}"

    def issue(self, issue: Issue) -> Json:
        """One of GET issues."""
        return {
            "id": issue.id,
            "frame": issue.frame,
            "position": issue.position,
            "job": issue.job_id,
            "owner": self.owner(issue.owner),
            "assignee": None,
            "created_date": issue.created,
            "updated_date": issue.created,
            "resolved": issue.resolved,
            "comments": {
                "count": len(issue.comments),
                "url": f"{self.url}/api/comments?issue_id={issue.id}",
            },
        }

    def comment(self, issue: Issue, index: int) -> Json:
        """One of GET comments."""
        number, author, text, time = issue.comments[index]
        return {
            "id": number,
            "issue": issue.id,
            "owner": self.owner(author),
            "message": text,
            "created_date": time,
            "updated_date": time,
        }

    def annotations(self, jobs: Iterable[JobRow]) -> Json:
        """GET annotations: in no order that means anything, attributes with their defaults."""
        found: list[Json] = []
        tracks: list[Json] = []
        tags: list[Json] = []
        for job in jobs:
            task = self.state.tasks[job.task_id]
            attributes = {one["id"]: one["attributes"] for one in task.labels}
            found += [_with_defaults(s, attributes[s["label_id"]]) for s in job.shapes.values()]
            tracks += job.tracks
            tags += job.tags
        return data_of(sorted(found, key=_scrambled), tracks, tags)


def data_of(shapes: list[Json], tracks: list[Json] = (), tags: list[Json] = ()) -> Json:  # type: ignore[assignment]
    """The body of all answers about annotations."""
    return {"version": 0, "tags": list(tags), "shapes": shapes, "tracks": list(tracks)}


def _scrambled(shape: Json) -> bytes:
    return hashlib.blake2b(str(shape["id"]).encode(), digest_size=4).digest()


def _with_defaults(shape: Json, attributes: list[Json]) -> Json:
    """A shape as it is given out; an attribute that it came without has its default."""
    given = {one["spec_id"]: one["value"] for one in shape["attributes"]}
    values = [
        {"spec_id": one["id"], "value": given.get(one["id"], one["default_value"])}
        for one in attributes
    ]
    return shape | {"attributes": values}
