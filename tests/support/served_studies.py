"""Studies whose rough annotations lie on a server in memory, for tests of pulling from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from annotator.core.label_maps import LabelMaps
from annotator.imaging.codecs import encode_png
from annotator.study.cvat import Binding, Sent, map_digest
from annotator.study.rough import KnownImage
from annotator.study.study import Study
from export.cvat.client.labels import LabelIds, labels_of
from export.cvat.client.server import COMPLETED, CvatJob, CvatLabel, CvatShape
from export.cvat.client.shapes import digest, draw
from export.readers.rle import encode_points
from support.fake_cvat import FakeCvat
from support.pulled_studies import add_image, field

Edit = Callable[[list[CvatShape]], Iterable[CvatShape]]


def serve(
    study: Study, folder: Path, maps: Sequence[LabelMaps], per_job: int = 1, budget: int = 200
) -> FakeCvat:
    """A server that holds these maps as a push leaves them; the study knows of it."""
    server = FakeCvat()
    project = server.add_project("Trephine", labels_of(study.settings.classes))
    key = study.cvat.study_key()
    study.cvat.bind(Binding(server.url, project.id, project.name, key))
    labels = LabelIds(server.labels(project.id))
    task = server.add_task(project.id, f"{key} batch", per_job)
    images = [
        add_image(study, f"in/tile_{number:03d}.png", rough, number)
        for number, rough in enumerate(maps, start=1)
    ]
    server.upload(task.id, [_picture(folder, image) for image in images])
    for job in server.task_jobs(task.id):
        numbers = range(job.start, job.stop + 1)
        drawn = {n: draw(maps[n], {}, labels, n, budget) for n in numbers}
        server.annotate(job.id, [shape for n in numbers for shape in drawn[n].shapes])
        for n in numbers:
            sent = _sent(server, job, images[n], n, maps[n])
            study.cvat.note_sent(replace(sent, merged=len(drawn[n].merged_ids)), maps[n])
    server.calls.clear()
    return server


def _picture(folder: Path, image: KnownImage) -> Path:
    path = folder / f"{image.id}.png"
    path.write_bytes(encode_png(np.zeros(image.shape, np.uint8)))
    return path


def _sent(server: FakeCvat, job: CvatJob, image: KnownImage, frame: int, sent: LabelMaps) -> Sent:
    held = [shape for shape in server.shapes_of(job.id) if shape.frame == frame]
    name = server.task_table[job.task_id].task.name
    return Sent(
        image.id,
        job.task_id,
        name,
        job.id,
        frame,
        f"{image.id}.png",
        map_digest(sent),
        digest(held),
        len(held),
        0,
        "2026-01-02T00:00:00+00:00",
    )


def jobs_of(server: FakeCvat) -> list[CvatJob]:
    """All jobs, by id."""
    return [server.job_table[number] for number in sorted(server.job_table)]


def edit(server: FakeCvat, job: int, change: Edit | None = None) -> None:
    """A person changes the shapes of a job and says that it is done."""
    if change is not None:
        server.annotate(job, list(change(list(server.shapes_of(job)))))
    server.set_job(job, state=COMPLETED)


def label(server: FakeCvat, name: str) -> CvatLabel:
    """A label of the project."""
    (found,) = (one for one in server.labels(_project(server)) if one.name == name)
    return found


def label_id(server: FakeCvat, name: str) -> int:
    """Id of a label of the project."""
    number = label(server, name).id
    assert number is not None
    return number


def block(
    server: FakeCvat, name: str, box: tuple[int, int, int, int], z_order: int = 50, frame: int = 0
) -> CvatShape:
    """A filled mask ``x0 y0 x1 y1`` that a person draws."""
    points = encode_points(box, np.ones((box[3] - box[1], box[2] - box[0]), np.bool_))
    return CvatShape(
        frame, label_id(server, name), "mask", tuple(map(float, points)), z_order, source="manual"
    )


def said(server: FakeCvat, shape: CvatShape) -> str:
    """The attribute by which a shape names its object."""
    ids = {a.id for one in server.labels(_project(server)) for a in one.attributes}
    by_name = {a.id: a.name for one in server.labels(_project(server)) for a in one.attributes}
    return next(v for k, v in shape.attributes.items() if k in ids and by_name[k] == "object")


def _project(server: FakeCvat) -> int:
    return server.project_named("Trephine").id


def dots(count: int = 6) -> LabelMaps:
    """Cell with small fat squares in a row."""
    made = field((40, 90))
    classes = np.full_like(made.classes, 2)
    instances = np.zeros_like(made.instances)
    for k in range(count):
        classes[4 : 8 + k, 12 * k + 2 : 12 * k + 10] = 1
        instances[4 : 8 + k, 12 * k + 2 : 12 * k + 10] = k + 1
    return LabelMaps(classes, instances)
