"""Our annotation as a function of CVAT's own tool, through that tool's own checks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cvat_sdk.auto_annotation import BadFunctionError, DetectionFunctionSpec, annotate_task
from cvat_sdk.core.client import Client, Config
from numpy.typing import NDArray
from PIL import Image as PillowImage
from support.cvat_http.server import CvatHttp, serving
from support.learning_studies import copy_of, make_pictures

from annotator.core.classes import CLASS_NAMES, DEFAULT_SCHEMA
from annotator.core.errors import ImageError, ModelError, StudyError, UsageError
from annotator.cvat_function import CvatDetection, create
from annotator.pipeline.annotate import annotate
from annotator.pipeline.results import AnnotateOptions
from annotator.study.rounds import OutOfFold, Round, RoundFiles
from annotator.study.study import Study
from export.cvat.client.labels import LabelIds, labels_of, with_ids
from export.cvat.client.rest_server import Password, log_in
from export.cvat.client.retries import RetryPolicy
from export.cvat.client.server import CvatLabel, CvatShape
from export.cvat.client.shapes import paint_frame
from export.readers.painting import Painted


@dataclass(frozen=True)
class Context:
    """What CVAT's tool tells of a frame."""

    frame_name: str = "0.png"
    conf_threshold: float | None = None
    conv_mask_to_poly: bool = False


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three drawn fields."""
    return sorted((make_pictures(tmp_path_factory.mktemp("drawn"), 3) / "in").iterdir())


@pytest.fixture(scope="module")
def study(pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study in which they are annotated."""
    path = tmp_path_factory.mktemp("made") / "study"
    with Study.create(path) as made:
        names = [str(picture) for picture in pictures]
        assert not annotate(made, names, AnnotateOptions(), lambda _: None).failures
    return path


@pytest.fixture(scope="module")
def of_study(study: Path) -> CvatDetection:
    return create(study=str(study))


def opened(path: Path) -> PillowImage.Image:
    with PillowImage.open(path) as found:
        found.load()
    return found


def painted(requests: Any, size: tuple[int, int]) -> Painted:
    """The shapes as the server paints them."""
    labels = LabelIds(with_ids(labels_of(DEFAULT_SCHEMA)))
    shapes = [
        CvatShape(r.frame, r.label_id, r.type.value, tuple(r.points), r.z_order, id=k)
        for k, r in enumerate(requests)
    ]
    return paint_frame(shapes, 0, size, labels)


def rough(study: Path, picture: Path) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The class and the instance map of a picture in the study."""
    with Study.open(study) as found:
        (image,) = (one for one in found.images() if Path(one.source) == picture)
        label_maps = found.rough.read(image)
    return label_maps.classes, label_maps.instances


def same_instances(first: NDArray[np.int32], second: NDArray[np.int32]) -> bool:
    """Whether the numbers are those of the same objects."""
    own = first > 0
    pairs = np.unique(np.stack([first[own], second[own]]), axis=1)
    return all(len(np.unique(row)) == len(row) for row in pairs)


@pytest.mark.slow
def test_it_gives_what_the_study_has(
    of_study: CvatDetection, study: Path, pictures: list[Path]
) -> None:
    for picture in pictures:
        classes, instances = rough(study, picture)
        found = painted(of_study.detect(Context(), opened(picture)), classes.shape)
        assert np.array_equal(found.classes, classes)
        assert same_instances(instances, found.instances)
        assert instances.any()


@pytest.mark.slow
def test_it_asks_the_network_of_the_study(pictures: list[Path], tmp_path: Path) -> None:
    with Study.create(tmp_path / "study") as made:
        options = AnnotateOptions(network="starter")
        result = annotate(made, [str(pictures[0])], options, lambda _: None)
        assert result.named_by == "starter"
    classes, _ = rough(tmp_path / "study", pictures[0])
    detection = create(study=str(tmp_path / "study"))
    found = painted(detection.detect(Context(), opened(pictures[0])), classes.shape)
    assert np.array_equal(found.classes, classes)


def test_without_a_study_each_frame_is_grouped_alone(pictures: list[Path]) -> None:
    image = opened(pictures[0])
    found = painted(create().detect(Context(), image), image.size[::-1])
    assert len(np.unique(found.classes)) > 1


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_frames_of_other_modes_are_read(
    of_study: CvatDetection, pictures: list[Path], mode: str
) -> None:
    assert of_study.detect(Context(), opened(pictures[0]).convert(mode))


@pytest.mark.slow
def test_a_frame_of_one_colour_is_no_fault(of_study: CvatDetection) -> None:
    for colour in ("white", "black", (180, 60, 140)):
        of_study.detect(Context(), PillowImage.new("RGB", (80, 60), colour))
        create().detect(Context(), PillowImage.new("RGB", (80, 60), colour))


def test_frames_that_are_too_small_or_large_are_refused(of_study: CvatDetection) -> None:
    with pytest.raises(ImageError):
        of_study.detect(Context(), PillowImage.new("RGB", (8, 8)))
    with pytest.raises(UsageError, match="8001"):
        of_study.detect(Context(), PillowImage.new("1", (8001, 8001)))


def test_unsure_objects_are_left_out_regions_stay(
    of_study: CvatDetection, pictures: list[Path]
) -> None:
    image = opened(pictures[0])
    every, sure = (of_study.detect(Context(conf_threshold=c), image) for c in (None, 1.0))
    assert len(sure) < len(every)
    regions = {CLASS_NAMES.index(name) for name in ("bg", "cell")}
    names = {one.id: one.name for one in of_study.spec.labels}
    kept = [CLASS_NAMES.index(names[r.label_id]) for r in sure]
    assert set(kept) & regions


def test_polygons_are_refused(of_study: CvatDetection) -> None:
    with pytest.raises(BadFunctionError):
        of_study.detect(Context(conv_mask_to_poly=True), PillowImage.new("RGB", (80, 60)))


def test_a_study_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError):
        create(study=str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="superpixel, sam"):
        create(proposals="magic")


def test_a_model_of_other_features_is_refused(study: Path, tmp_path: Path) -> None:
    path = copy_of(study, tmp_path / "study")
    made = Round(
        1,
        None,
        "now",
        "truth",
        "first",
        True,
        "others",
        "0" * 64,
        None,
        {},
        CLASS_NAMES,
        (),
        (),
        {},
    )
    no_names = np.zeros(0, np.str_)
    files = RoundFiles(b"", {}, OutOfFold(no_names, no_names, np.zeros((0, 4))))
    with Study.open(path) as opened, opened.writing():
        opened.rounds.add(made, files)
    with pytest.raises(ModelError, match="round"):
        create(study=str(path))


def test_the_labels_pass_the_tools_own_checks(of_study: CvatDetection) -> None:
    assert isinstance(of_study.spec, DetectionFunctionSpec)
    assert [label.name for label in of_study.spec.labels] == list(CLASS_NAMES)
    assert all(not label.attributes for label in of_study.spec.labels)
    more = create(attributes=True).spec.labels[0].attributes
    assert [(a.name, a.input_type.value) for a in more] == [
        ("object", "text"),
        ("confidence", "number"),
    ]


@pytest.mark.slow
def test_importing_it_loads_neither_the_sdk_nor_torch() -> None:
    code = (
        "import sys, annotator.cvat_function as f; print({'cvat_sdk', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# Through CVAT's own tool


@pytest.fixture
def http() -> Iterator[CvatHttp]:
    with serving() as running:
        yield running
        assert not running.crashes


def a_task(http: CvatHttp, pictures: list[Path], labels: tuple[CvatLabel, ...]) -> tuple[Any, int]:
    """A server with a task of these pictures."""
    credentials = Password("admin", http.users["admin"].password)
    server = log_in(http.url, credentials, RetryPolicy(5.0, 60.0, poll_s=0.0)).server
    project = server.create_project("anybody's", labels)
    task = server.create_task(project.id, "batch", 100)
    server.upload(task.id, pictures)
    return server, task.id


@pytest.fixture
def client(http: CvatHttp, tmp_path: Path) -> Iterator[Client]:
    with Client(url=http.url, config=Config(cache_dir=tmp_path / "cache")) as made:
        made.login(("admin", http.users["admin"].password))
        yield made


def bare(*names: str) -> tuple[CvatLabel, ...]:
    return tuple(CvatLabel(name, f"#0000{k:02x}") for k, name in enumerate(names, start=16))


@pytest.mark.slow
def test_any_task_with_our_labels_is_annotated(
    http: CvatHttp, client: Client, of_study: CvatDetection, study: Path, pictures: list[Path]
) -> None:
    server, task = a_task(http, pictures, bare("cell", "bone", "other", "fat", "bg"))
    annotate_task(client, task, of_study)
    (job,) = server.task_jobs(task)
    shapes = server.shapes(job.id).shapes
    (project,) = server.projects("anybody's")
    labels = LabelIds(one for one in server.labels(project.id) if one.name != "other")
    for frame, picture in enumerate(pictures):
        classes, instances = rough(study, picture)
        found = paint_frame(shapes, frame, (classes.shape[0], classes.shape[1]), labels)
        assert np.array_equal(found.classes, classes)
        assert same_instances(instances, found.instances)
    assert {shape.source for shape in shapes} == {"auto"}


def test_objects_and_confidence_go_along_where_the_task_has_them(
    http: CvatHttp, client: Client, study: Path, pictures: list[Path]
) -> None:
    server, task = a_task(http, pictures[:1], labels_of(DEFAULT_SCHEMA))
    annotate_task(client, task, create(study=str(study), attributes=True))
    (job,) = server.task_jobs(task)
    values = [tuple(shape.attributes.values()) for shape in server.shapes(job.id).shapes]
    assert len([number for number, _ in values if number]) > 3
    assert all(0 <= int(percent) <= 100 for _, percent in values)


def test_a_task_without_our_labels_is_refused_before_any_work(
    http: CvatHttp, client: Client, of_study: CvatDetection, pictures: list[Path]
) -> None:
    server, task = a_task(http, pictures[:1], bare("fat", "bone"))
    with pytest.raises(BadFunctionError, match="'bg'"):
        annotate_task(client, task, of_study)
    annotate_task(client, task, of_study, allow_unmatched_labels=True)
    (job,) = server.task_jobs(task)
    assert server.shapes(job.id).shapes
