"""A mask in truth/ that cannot be what it says is refused by name in all that reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.measured_studies import SHAPE, add, field

from annotator.core.errors import TrephineError
from annotator.doctor import check_study
from annotator.evaluation.evaluate import evaluate_study
from annotator.imaging.codecs import encode_png, encode_rgb_png
from annotator.measurements.table import dataset
from annotator.pipeline.network.corrected_fields import corrected_fields
from annotator.study.study import Study
from annotator.study.truth import TruthStore
from export.dataset.export import export_study
from export.shapes import ExportOptions

BLACK_AND_WHITE = np.where(field().classes == 1, 255, 0).astype(np.uint8)
UNUSABLE = {
    "black and white": (encode_png(BLACK_AND_WHITE), "got 0 and 255 alone"),
    "three channels": (encode_rgb_png(np.zeros((*SHAPE, 3), np.uint8)), "got (40, 50, 3) uint8"),
    "another size": (encode_png(np.ones((20, 25), np.uint8)), "got (20, 25) uint8"),
    "codes without a class": (encode_png(np.full(SHAPE, 7, np.uint8)), "got 7"),
}


def by_measuring(study: Study) -> str:
    (fault,) = dataset(study).faults
    return f"{fault.name}: {fault.reason}"


def by_exporting(study: Study) -> str:
    report = export_study(study, "labelmap", study.path.parent / "set", ExportOptions())
    assert report.incomplete == ("a",)
    return " ".join(report.notes)


def by_evaluating(study: Study) -> str:
    ((name, reason),) = evaluate_study(study).faults
    return f"{name}: {reason}"


def by_learning(study: Study) -> str:
    image = study.images()[0]
    with pytest.raises(TrephineError) as caught:
        study.labels.truth(image.name, image.shape)
    return str(caught.value)


def by_reading(study: Study) -> str:
    image = study.images()[0]
    with pytest.raises(TrephineError) as caught:
        TruthStore(study.path).read(image.name, image.shape)
    return str(caught.value)


def by_doctor(study: Study) -> str:
    checks = [check for check in check_study(study.path) if check.name == "truth"]
    assert [check.status for check in checks] == ["missing"]
    return checks[0].found


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as made:
        add(made, "a.png", field())
        add(made, "b.png", field(bone=5), truth=field(bone=5))
        yield made


@pytest.mark.parametrize("kind", UNUSABLE)
@pytest.mark.parametrize(
    "read", [by_measuring, by_exporting, by_evaluating, by_learning, by_reading, by_doctor]
)
def test_it_is_named_and_the_others_go_on(
    study: Study, kind: str, read: Callable[[Study], str]
) -> None:
    data, why = UNUSABLE[kind]
    (study.path / "truth" / "a.png").write_bytes(data)
    said = read(study)
    assert "a.png" in said or said.startswith("a: ")
    assert why in said


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_network_learns_from_none_of_them(study: Study, kind: str) -> None:
    data, why = UNUSABLE[kind]
    (study.path / "truth" / "a.png").write_bytes(data)
    with pytest.raises(TrephineError, match=rf"a\.png: .*{re.escape(why)}"):
        corrected_fields(study)


def test_background_alone_is_believed_with_its_instances(study: Study) -> None:
    store = TruthStore(study.path)
    store.path("a").write_bytes(encode_png(BLACK_AND_WHITE))
    store.instances_path("a").parent.mkdir(exist_ok=True)
    store.instances_path("a").write_bytes(encode_png(np.zeros(SHAPE, np.uint16)))
    found = store.read("a", SHAPE)
    assert found is not None
    assert np.array_equal(found.classes, BLACK_AND_WHITE)


def test_doctor_tells_masks_of_no_image(study: Study) -> None:
    (study.path / "truth" / "A (1).png").write_bytes(encode_png(field().classes))
    checks = [check for check in check_study(study.path) if check.name == "truth"]
    assert [check.status for check in checks] == ["note"]
    assert "A (1).png" in checks[0].found
