"""The SDK of CVAT itself through the HTTP server of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cvat_sdk import models
from cvat_sdk.core.client import Client, Config
from cvat_sdk.core.helpers import get_paginated_collection
from cvat_sdk.core.proxies.tasks import Task
from cvat_sdk.exceptions import ApiException
from cvat_sdk.masks import decode_mask, encode_mask
from support.cvat_http.client import png
from support.cvat_http.server import CvatHttp, serving

VOC = Path(__file__).parents[3] / "data" / "accepted_voc.zip"


@pytest.fixture
def server() -> Iterator[CvatHttp]:
    with serving(lag=2) as running:
        yield running
        assert not running.crashes


@pytest.fixture
def client(server: CvatHttp) -> Iterator[Client]:
    admin = server.users["admin"]
    with Client(server.url, config=Config(status_check_period=0.01)) as made:
        made.login((admin.username, admin.password))
        yield made


@pytest.fixture
def task(client: Client, tmp_path: Path) -> Task:
    """Two frames of 120 x 90, a job each."""
    labels = [
        models.PatchedLabelRequest(name=name, color=colour, type="any")
        for name, colour in (("bg", "#008000"), ("fat", "#800000"), ("bone", "#000080"))
    ]
    number = [models.AttributeRequest("confidence", False, "number", ["0", "100", "1"])]
    labels.append(
        models.PatchedLabelRequest(name="cell", color="#808000", type="any", attributes=number)
    )
    project = client.projects.create(models.ProjectWriteRequest(name="marrow", labels=labels))
    files = [tmp_path / "tile_001.png", tmp_path / "tile_002.png"]
    for file in files:
        file.write_bytes(png())
    return client.tasks.create_from_data(
        models.TaskWriteRequest(name="batch", project_id=project.id, segment_size=1),
        files,
        data_params={"image_quality": 100, "sorting_method": "predefined"},
    )


def test_makes_a_task_from_images(task: Task) -> None:
    assert (task.size, task.jobs.count) == (2, 2)
    assert [one.name for one in task.get_frames_info()] == ["tile_001.png", "tile_002.png"]
    assert [one.color for one in task.get_labels()] == ["#008000", "#800000", "#000080", "#808000"]
    assert sorted(job.start_frame for job in task.get_jobs()) == [0, 1]


def test_masks_come_back_to_the_pixel(task: Task) -> None:
    mask = np.random.default_rng(0).random((90, 120)) < 0.3
    label = task.get_labels()[1].id
    shape = models.LabeledShapeRequest(
        type="mask", frame=1, label_id=label, points=encode_mask(mask), z_order=3, source="auto"
    )
    task.set_annotations(models.LabeledDataRequest(shapes=[shape]))
    (found,) = task.get_annotations().shapes
    assert np.array_equal(decode_mask(found.points, image_width=120, image_height=90), mask)
    by_frame = {job.start_frame: job for job in task.get_jobs()}
    assert [len(by_frame[k].get_annotations().shapes) for k in (0, 1)] == [0, 1]


def test_imports_an_archive_that_the_real_server_took(task: Task) -> None:
    task.import_annotations("PASCAL VOC 1.1", VOC, conv_mask_to_poly=False)
    shapes = task.get_annotations().shapes
    assert {shape.type.value for shape in shapes} == {"mask"}
    assert len(shapes) > 10


def test_lists_finished_jobs_over_pages(server: CvatHttp, client: Client, task: Task) -> None:
    for _ in range(23):
        server.expert.complete(server.state.add_job(task.id, 0, 0).id)
    found = get_paginated_collection(
        client.api_client.jobs_api.list_endpoint, state="completed", project_id=task.project_id
    )
    assert len(found) == len({job.id for job in found}) == 23


def test_reads_issues(server: CvatHttp, task: Task) -> None:
    job = task.get_jobs()[0]
    server.expert.comment(job.id, "look here", (2.0, 3.0))
    (issue,) = job.get_issues()
    (comment,) = issue.get_comments()
    assert (comment.message, comment.owner.username) == ("look here", "patho1")
    assert issue.position == [2.0, 3.0]


def test_refuses_as_the_real_server(server: CvatHttp, client: Client) -> None:
    with pytest.raises(ApiException) as caught:
        client.tasks.retrieve(999999)
    assert caught.value.status == 404
    with Client(server.url) as other, pytest.raises(ApiException) as caught:
        other.login(("admin", "nope"))
    assert caught.value.status == 400
    assert "non_field_errors" in str(caught.value.body)
