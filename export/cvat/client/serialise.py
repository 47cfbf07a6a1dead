"""Convert between the JSON records of CVAT's API and plain values; what comes is checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from annotator.core.errors import CvatError
from export.cvat.client.server import (
    AccessToken,
    Attribute,
    Comment,
    CvatFrame,
    CvatJob,
    CvatLabel,
    CvatProject,
    CvatShape,
    CvatTask,
    Shapes,
)

Record = Mapping[str, Any]
_T = TypeVar("_T")


def take(record: Any, name: str, kind: type[_T], what: str) -> _T:
    """A field of a record that the server sent.

    Parameters
    ----------
    record : object
        JSON; anything but a mapping is refused.
    name : str
    kind : type
        What the field must be. A whole number serves as a float, a boolean not as a number.
    what : str
        What the record is, for the message.

    Raises
    ------
    CvatError
        When it is missing or of another kind.

    Examples
    --------
    >>> take({"id": 5}, "id", int, "a job")
    5
    """
    value = record.get(name) if isinstance(record, Mapping) else None
    if kind is float and type(value) is int:
        return float(value)  # type: ignore[return-value]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise CvatError(
            f"expected {what} of the server with {name!r} as {kind.__name__}, got "
            f"{type(value).__name__}: this version of CVAT may be one that Trephine does not know"
        )
    return value


def label_record(label: CvatLabel) -> dict[str, Any]:
    """A label as a new project needs it, of type ``any``, which allows all kinds of shapes."""
    record: dict[str, Any] = {"name": label.name, "color": label.colour, "type": "any"}
    record["attributes"] = [
        {
            "name": a.name,
            "mutable": False,
            "input_type": a.kind,
            "default_value": a.default,
            # A text has no choice of values; CVAT's own page sends one empty string then.
            "values": list(a.values) or [""],
        }
        for a in label.attributes
    ]
    return record


def label_of(record: Record) -> CvatLabel:
    """A label of the server."""
    return CvatLabel(
        take(record, "name", str, "a label"),
        take(record, "color", str, "a label").lower(),
        tuple(_attribute_of(a) for a in record.get("attributes") or ()),
        take(record, "id", int, "a label"),
    )


def _attribute_of(record: Record) -> Attribute:
    kind = take(record, "input_type", str, "an attribute")
    values = tuple(str(v) for v in record.get("values") or ())
    return Attribute(
        take(record, "name", str, "an attribute"),
        kind,
        () if kind == "text" else values,
        str(record.get("default_value") or ""),
        take(record, "id", int, "an attribute"),
    )


def project_of(record: Record) -> CvatProject:
    """A project of the server."""
    return CvatProject(
        take(record, "id", int, "a project"),
        take(record, "name", str, "a project"),
        _name(record.get("owner")),
    )


def organization_of(record: Record) -> int | None:
    """Number of the organisation that a project lies in; None for none."""
    # Versions differ in the name of the field, and in whether a number or a record stands there.
    found = record.get("organization", record.get("organization_id"))
    number = found.get("id") if isinstance(found, Mapping) else found
    return number if type(number) is int else None


def task_of(record: Record) -> CvatTask:
    """A task of the server; without data it has no frames."""
    project = record.get("project_id")
    return CvatTask(
        take(record, "id", int, "a task"),
        take(record, "name", str, "a task"),
        project if isinstance(project, int) else None,
        int(record.get("size") or 0),
    )


def frames_of(record: Any) -> tuple[CvatFrame, ...]:
    """The frames of a task, of what is said of its data."""
    deleted = set(record.get("deleted_frames") or ()) if isinstance(record, Mapping) else set()
    frames = take(record, "frames", list, "a task")
    return tuple(frame_of(frame, number in deleted) for number, frame in enumerate(frames))


def frame_of(record: Record, deleted: bool = False) -> CvatFrame:
    """A frame of a task."""
    return CvatFrame(
        take(record, "name", str, "a frame"),
        take(record, "width", int, "a frame"),
        take(record, "height", int, "a frame"),
        deleted,
    )


def job_of(record: Record) -> CvatJob:
    """A job of the server."""
    assignee = record.get("assignee")
    return CvatJob(
        id=take(record, "id", int, "a job"),
        task_id=take(record, "task_id", int, "a job"),
        kind=str(record.get("type") or "annotation"),
        state=take(record, "state", str, "a job"),
        stage=take(record, "stage", str, "a job"),
        assignee=_name(assignee) or None,
        start=take(record, "start_frame", int, "a job"),
        stop=take(record, "stop_frame", int, "a job"),
        updated=str(record.get("updated_date") or ""),
        # Older versions have another name for the same.
        replicas=int(record.get("replicas_count") or record.get("consensus_replicas") or 0),
        issues=_count(record.get("issues")),
    )


def token_of(record: Any) -> AccessToken:
    """A personal access token, as the server describes it; never its value."""
    expires = record.get("expiry_date") if isinstance(record, Mapping) else None
    return AccessToken(
        take(record, "name", str, "a token"),
        take(record, "read_only", bool, "a token"),
        str(expires) if expires else None,
    )


def _count(summary: Any) -> int | None:
    """How many there are, by the short account of a list that stands in another record."""
    count = summary.get("count") if isinstance(summary, Mapping) else None
    return count if type(count) is int else None


def _name(user: Any) -> str:
    return str(user.get("username") or "") if isinstance(user, Mapping) else ""


def shape_record(shape: CvatShape) -> dict[str, Any]:
    """A shape as a write needs it.

    Examples
    --------
    >>> record = shape_record(CvatShape(0, 1, "mask", (0.0, 1.0, 5.0, 3.0, 5.0, 3.0)))
    >>> record["points"], record["label_id"]
    ([0, 1, 5, 3, 5, 3], 1)
    """
    return {
        "type": shape.kind,
        "frame": shape.frame,
        "label_id": shape.label,
        "points": _numbers(shape),
        "z_order": shape.z_order,
        "group": shape.group,
        "rotation": shape.rotation,
        "occluded": False,
        "outside": False,
        "source": shape.source,
        "attributes": [{"spec_id": k, "value": str(v)} for k, v in shape.attributes.items()],
    }


def _numbers(shape: CvatShape) -> list[float]:
    """Points as plain numbers; whole ones without ``.0``, which halves the bytes that are sent."""
    try:
        whole: list[float] = list(map(int, shape.points))
    except (ValueError, OverflowError):
        # Not finite.
        return list(map(float, shape.points))
    return whole if whole == list(shape.points) else list(map(float, shape.points))


def annotations_record(shapes: Sequence[CvatShape]) -> dict[str, Any]:
    """All annotations of a job, as a write that replaces them needs them."""
    return {
        "version": 0,
        "tags": [],
        "shapes": [shape_record(shape) for shape in shapes],
        "tracks": [],
    }


def shapes_of(record: Any) -> Shapes:
    """The annotations of a job as the server sends them.

    Raises
    ------
    CvatError
        When a field is missing or of another kind, or a coordinate is no number.
    """
    what = "annotations"
    return Shapes(
        tuple(shape_of(r) for r in take(record, "shapes", list, what)),
        tracks=len(take(record, "tracks", list, what)),
        tags=len(take(record, "tags", list, what)),
    )


def shape_of(record: Record) -> CvatShape:
    """A shape of the server."""
    what = "a shape"
    kind = record.get("type") if type(record) is dict else None
    return CvatShape(
        frame=_whole(record, "frame", what),
        label=_whole(record, "label_id", what),
        kind=kind if type(kind) is str else take(record, "type", str, what),
        points=_points(record),
        z_order=int(record.get("z_order") or 0),
        group=int(record.get("group") or 0),
        rotation=float(record.get("rotation") or 0.0),
        source=str(record.get("source") or ""),
        attributes=_values(record),
        id=_whole(record, "id", what),
    )


def _whole(record: Any, name: str, what: str) -> int:
    """A whole number of a record, as `take` has it; sooner, since there are thousands."""
    value = record.get(name) if type(record) is dict else None
    return value if type(value) is int else take(record, name, int, what)


def _points(record: Record) -> tuple[float, ...]:
    # A skeleton has its points in its elements, and null here.
    points = record.get("points")
    if points is None:
        return ()
    try:
        # There may be millions of numbers: adding them up is the quickest way to see that all
        # are numbers and none is infinite.
        plain = isinstance(points, list) and math.isfinite(sum(points))
    except TypeError:
        plain = False
    if not plain:
        raise CvatError(
            f"expected numbers as the points of shape {record.get('id')} on the server, got "
            "others: delete it in CVAT, or draw it again"
        )
    return tuple(points)


def _values(record: Record) -> dict[int, str]:
    return {
        _whole(a, "spec_id", "an attribute"): str(a.get("value", ""))
        for a in record.get("attributes") or ()
    }


def _position(points: object) -> tuple[float, ...]:
    """Where an issue lies; empty where that cannot be read, since its text matters more."""
    if not isinstance(points, list) or not all(type(v) in (int, float) for v in points):
        return ()
    return tuple(map(float, points))


def comments_of(issue: Record, records: Sequence[Record]) -> list[Comment]:
    """The comments of an issue; those of other issues among the records are left out."""
    number = take(issue, "id", int, "an issue")
    frame = take(issue, "frame", int, "an issue") if issue.get("frame") else 0
    position = _position(issue.get("position"))
    return [
        Comment(
            issue=number,
            frame=frame,
            position=position,
            author=_name(record.get("owner")),
            text=str(record.get("message") or ""),
            time=str(record.get("created_date") or ""),
            resolved=bool(issue.get("resolved")),
        )
        for record in records
        if record.get("issue") == number
    ]
