"""Recorded exports of a real server: every format, pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
from support.cvat_archives import FRAME, read_all, recorded, server_shapes, zip_of

from annotator.core.errors import UsageError
from export.readers.detect import reading

EXACT = (
    "tiny_CVAT_for_images_1.1",
    "project_tiny_CVAT_for_images_1.1",
    "job_tiny_CVAT_for_images_1.1",
    "tiny_COCO_1.0",
    "tiny_Segmentation_mask_1.1",
    "project_tiny_Segmentation_mask_1.1",
)
EMPTY = ("CVAT_for_images_1.1", "COCO_1.0", "Segmentation_mask_1.1", "PASCAL_VOC_1.1")


@pytest.mark.parametrize("name", EXACT)
def test_an_export_is_painted_as_the_server_holds_it(name: str) -> None:
    truth, found = server_shapes(), read_all(recorded(name))
    assert found.keys() == truth.keys() == {"tile_001", "tile_002"}
    for image, expected in truth.items():
        differ = found[image].painted.classes != expected.classes
        # In tile_002 two masks of one z_order overlap: the server itself painted them reversed.
        assert np.count_nonzero(differ) == expected.tied_px
        assert np.array_equal(
            found[image].painted.instances[~differ] > 0, expected.instances[~differ] > 0
        )
    assert [truth[image].tied_px for image in sorted(truth)] == [0, 225]


@pytest.mark.parametrize("name", EXACT)
def test_all_exports_of_a_task_agree(name: str) -> None:
    pictures, found = read_all(recorded("tiny_Segmentation_mask_1.1")), read_all(recorded(name))
    for image, painted in pictures.items():
        assert np.array_equal(found[image].painted.classes, painted.painted.classes)
        assert len(np.unique(found[image].painted.instances)) == len(
            np.unique(painted.painted.instances)
        )


def test_ties_are_counted_where_the_file_has_z_order() -> None:
    found = read_all(recorded("tiny_CVAT_for_images_1.1"))
    assert [found[name].painted.tied_px for name in sorted(found)] == [0, 225]


def test_voc_is_read_with_a_warning_of_what_cvat_dropped() -> None:
    truth = server_shapes()
    with reading(recorded("tiny_PASCAL_VOC_1.1"), lambda _: FRAME) as archive:
        images = {image.name: image.painted for image in archive.images}
        assert archive.format == "PASCAL VOC 1.1"
        assert "leaves every polygon" in archive.notes[0]
    differ = [np.count_nonzero(images[n].classes != truth[n].classes) for n in sorted(truth)]
    assert differ == [376, 190 + 225]  # the polygon; the rectangle, and the tie


@pytest.mark.parametrize("form", EMPTY)
def test_images_without_shapes_are_empty_and_not_background(form: str) -> None:
    found = read_all(recorded(f"empty_{form}"))
    assert found.keys() == {"tile_001", "tile_002"}
    assert all(image.painted.is_empty for image in found.values())


@pytest.mark.parametrize("name", ["tiny_CVAT_for_images_1.1", "tiny_COCO_1.0"])
def test_images_that_are_not_ours_are_named_only(name: str) -> None:
    with reading(recorded(name), lambda n: FRAME if n == "tile_002.png" else None) as archive:
        found = {image.name: image.painted is None for image in archive.images}
    assert found == {"tile_001.png": True, "tile_002.png": False}


@pytest.mark.parametrize("name", [*EXACT, "tiny_PASCAL_VOC_1.1"])
def test_another_size_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"121 x 90 .*120 x 90"):
        read_all(recorded(name), (90, 121))


def test_an_archive_of_another_format_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", {"task_1/annotations.xml": "<annotations/>"})
    with pytest.raises(UsageError, match=r"task_1/annotations\.xml"):
        read_all(path)
