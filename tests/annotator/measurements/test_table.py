"""The data table of drawn studies: sources, patients, flags, what is kept, what is at fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest
from support.labelled_studies import only_readable
from support.measured_studies import add, field, paint

from annotator.core.errors import UsageError
from annotator.core.label_maps import LabelMaps
from annotator.imaging.codecs import encode_png
from annotator.measurements.flags import FLAGS, Flag
from annotator.measurements.morphometry import Adipocytes
from annotator.measurements.summary import (
    Row,
    Source,
    histogram,
    over_patients,
    patient_rows,
    spread,
    summarise,
)
from annotator.measurements.table import dataset, source_of
from annotator.settings.images import PatientSettings
from annotator.settings.study import Settings
from annotator.study.study import Study

BY_PATIENT = Settings(patients=PatientSettings(pattern="^([a-z]+)_"))


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study", BY_PATIENT) as made:
        add(made, "ann_1.png", field(), um_per_px=0.5)
        add(made, "ann_2.png", field(bone=10), truth=field(bone=5))
        add(made, "bob_1.png", field(unlabelled=10))
        add(made, "cy_1.png", None)
        yield made


def row(name: str, cellularity: float | None, patient: str = "p") -> Row:
    return Row(
        name=name,
        image_id=name,
        patient=patient,
        source="rough",
        areas_pct={"bg": 10.0, "fat": 20.0, "cell": 30.0, "bone": 40.0, "unlabelled": 0.0},
        cellularity=cellularity,
        cellularity_band=None,
        second=cellularity,
        second_band=None,
        adipocytes=Adipocytes(0, 0, "px", None, None, None),
        flags={flag: Flag(0.0) for flag in FLAGS},
        um_per_px=None,
        width=10,
        height=10,
    )


def test_rows_of_a_drawn_study(study: Study) -> None:
    found = dataset(study)
    assert [(r.name, r.patient, r.source) for r in found.rows] == [
        ("ann_1", "ann", "rough"),
        ("ann_2", "ann", "truth"),
        ("bob_1", "bob", "rough"),
    ]
    first, second, third = found.rows
    assert first.areas_pct == {"bg": 0, "fat": 6.0, "cell": 94.0, "bone": 0, "unlabelled": 0}
    assert first.cellularity == first.second == 0.94
    assert first.adipocytes.mean_area == 25.0
    # 2,000 px of 0.5 um, no background; one square of 10 x 10 px is whole, another is cut.
    assert first.tissue_mm2 == pytest.approx(2000 * 0.25 / 1e6)
    assert first.adipocytes_per_mm2 == pytest.approx(2 / 0.0005)
    assert first.adipocyte_diameters is not None
    assert first.adipocyte_diameters.mean == pytest.approx(2 * (25 / np.pi) ** 0.5)
    assert [r.scale_source for r in found.rows] == ["file", "none", "none"]
    assert (second.tissue_mm2, second.adipocytes_per_mm2) == (None, None)
    assert second.adipocyte_diameters is None
    assert (found.adipocyte_sizes.images, found.adipocyte_sizes.count) == (1, 2)
    assert (second.areas_pct["bone"], second.adipocytes.unit) == (10.0, "px")
    assert third.cellularity == 1480 / 1600
    assert third.second == 1480 / 2000
    assert found.without == ("cy_1",)
    assert found.faults == ()


def test_one_source_can_be_asked_for(study: Study) -> None:
    rough, truth = dataset(study, "rough"), dataset(study, "truth")
    assert [r.areas_pct["bone"] for r in rough.rows] == [0, 20.0, 0]
    assert {r.source for r in rough.rows} == {"rough"}
    assert [r.name for r in truth.rows] == ["ann_2"]
    assert truth.without == ("ann_1", "bob_1", "cy_1")


@pytest.mark.parametrize(("word", "source"), [(None, None), ("truth", "truth"), ("rough", "rough")])
def test_a_source_by_its_name(word: str | None, source: Source | None) -> None:
    assert source_of(word) == source


def test_another_source_is_refused() -> None:
    with pytest.raises(UsageError, match=r"truth .*rough.* 'model'"):
        source_of("model")


def test_a_second_run_reads_no_picture(study: Study) -> None:
    told: list[tuple[str, int, int]] = []
    first = dataset(study, on_step=lambda *step: told.append(step))
    assert told == [("measuring", n, 3) for n in (1, 2, 3)]
    told.clear()
    second = dataset(study, on_step=lambda *step: told.append(step))
    assert told == []
    assert second == first


def test_a_stopped_run_goes_on_where_it_stopped(study: Study) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dataset(study, on_step=stop)
    told: list[int] = []
    assert len(dataset(study, on_step=lambda what, done, total: told.append(done)).rows) == 3
    assert told == [3]


def test_changed_labels_are_measured_anew(study: Study) -> None:
    before = dataset(study).rows[0]
    classes = field(bone=25).classes
    (study.path / "rough" / "ann_1.png").write_bytes(encode_png(classes))
    after = dataset(study).rows[0]
    assert (before.areas_pct["bone"], after.areas_pct["bone"]) == (0, 50.0)


def test_damaged_keeping_is_measured_anew(study: Study) -> None:
    first = dataset(study)
    path = study.path / "report" / "measured.json"
    body = json.loads(path.read_text())
    for broken in (
        "{",
        "[]",
        json.dumps(dict.fromkeys(body, 7)),
        json.dumps({k: {} for k in body}),
    ):
        path.write_text(broken)
        assert dataset(study) == first


def test_a_missing_picture_costs_bands_and_scores_alone(study: Study) -> None:
    whole = dataset(study).rows[0]
    (study.path.parent / "pictures" / "ann_1.png").unlink()
    bare = dataset(study).rows[0]
    assert bare.notes == ("its picture is not where it was: no bands, no scores",)
    assert bare.cellularity_band is None
    assert [flag.score for flag in bare.flags.values()] == [None] * len(FLAGS)
    assert bare.cellularity == whole.cellularity
    assert whole.cellularity_band is not None


def test_other_pixels_under_the_name_are_noticed(study: Study) -> None:
    path = study.path.parent / "pictures" / "ann_1.png"
    path.write_bytes((path.parent / "bob_1.png").read_bytes())
    assert dataset(study).rows[0].notes == ("its file holds other pixels now: no bands, no scores",)


def test_one_bad_mask_is_named_and_the_others_go_on(study: Study) -> None:
    (study.path / "truth" / "ann_2.png").write_bytes(encode_png(np.zeros((5, 5), np.uint8)))
    (study.path / "rough" / "bob_1.png").write_bytes(b"no picture")
    found = dataset(study)
    assert [r.name for r in found.rows] == ["ann_1"]
    assert [fault.name for fault in found.faults] == ["ann_2", "bob_1"]
    # Without folders: it may stand in a report that is given away.
    assert found.faults[0].reason.startswith("ann_2.png: expected (40, 50) uint8, got (5, 5) uint8")
    assert "expected a grey PNG" in found.faults[1].reason


def test_strange_codes_are_a_fault(study: Study) -> None:
    (study.path / "truth" / "ann_2.png").write_bytes(encode_png(np.full((40, 50), 9, np.uint8)))
    assert "expected codes 0-3 and 255" in dataset(study).faults[0].reason


@pytest.mark.slow
def test_workers_change_nothing(study: Study) -> None:
    for number in range(10):
        add(study, f"dan_{number}.png", field(bg=number))
    alone = dataset(study)
    (study.path / "report" / "measured.json").unlink()
    assert dataset(study, workers=2) == alone


def test_a_study_that_can_only_be_read_keeps_nothing(study: Study) -> None:
    expected = dataset(study)
    (study.path / "report" / "measured.json").unlink()
    study.close()
    with only_readable(study.path) as folder, Study.open(folder) as apart:
        # This process may not read the pictures then, which lie elsewhere.
        areas = [row.areas_pct for row in dataset(apart).rows]
        assert areas == [row.areas_pct for row in expected.rows]
        assert not (folder / "report" / "measured.json").exists()


def test_patients_and_the_whole_set(study: Study) -> None:
    found = dataset(study)
    ann, bob = found.patients
    assert (ann.patient, ann.images, bob.images) == ("ann", ("ann_1", "ann_2"), ("bob_1",))
    assert ann.summary.from_truth == 1
    values = [r.cellularity or 0 for r in found.rows]
    assert found.whole.cellularity.mean == pytest.approx(mean(values))
    assert found.whole.cellularity.sd == pytest.approx(stdev(values))
    of_patients = [mean(values[:2]), values[2]]
    assert found.over_patients.cellularity.mean == pytest.approx(mean(of_patients))
    assert found.over_patients.cellularity.n == 2
    assert sum(s.mean or 0 for s in found.whole.areas_pct.values()) == pytest.approx(100)
    assert found.whole.adipocyte_area_um2.n == 1


def test_the_order_of_the_images_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    rows = [row(f"{n:02d}", n / 20, f"p{n % 3}") for n in range(20)]
    for _ in range(5):
        shuffled = [rows[k] for k in rng.permutation(20)]
        assert summarise(shuffled) == summarise(rows)


def test_an_image_twice_changes_the_weight_of_its_patient_nowhere() -> None:
    rows = [row("a", 0.2, "p"), row("b", 0.8, "q")]
    twice = [*rows, replace(rows[0], name="c")]
    assert over_patients(patient_rows(twice)).cellularity.mean == pytest.approx(0.5)
    assert summarise(twice).whole.cellularity.mean == pytest.approx(0.4)


def test_undefined_cellularity_is_left_out() -> None:
    found = summarise([row("a", None), row("b", 0.4)])
    assert (found.whole.cellularity.n, found.whole.cellularity.mean) == (1, 0.4)
    assert found.whole.cellularity.sd is None
    assert sum(one.images for one in found.histogram) == 1
    assert spread([None]).mean is None


@pytest.mark.parametrize(("value", "place"), [(0.0, 0), (0.0999, 0), (0.3, 3), (0.7, 7), (1.0, 9)])
def test_a_value_falls_into_its_tenth(value: float, place: int) -> None:
    counts = [one.images for one in histogram([value])]
    assert counts.index(1) == place
    assert sum(counts) == 1


def test_json_holds_null_for_what_is_undefined(study: Study) -> None:
    bone = LabelMaps(np.full((40, 50), 3, np.uint8), np.ones((40, 50), np.int32))
    add(study, "eve_1.png", bone)
    body = json.loads(json.dumps(dataset(study).to_dict(), allow_nan=False))
    assert body["rows"][3]["name"] == "eve_1"
    assert body["rows"][3]["cellularity"] is None
    assert body["rows"][3]["adipocytes"]["mean_area"] is None
    assert body["rows"][0]["flags"]["artefact"]["raised"] is False


def test_an_empty_study_has_an_empty_table(tmp_path: Path) -> None:
    with Study.create(tmp_path / "empty") as made:
        found = dataset(made)
    assert (found.rows, found.patients, found.whole.images) == ((), (), 0)
    assert found.whole.cellularity.mean is None


def test_pictures_of_the_tests_differ() -> None:
    assert not np.array_equal(paint(field().classes, 0), paint(field().classes, 1))


def test_black_is_left_out_of_the_tissue() -> None:
    plain = replace(row("a", 0.6), um_per_px=2.0)
    black = replace(plain, black_pct=25.0)
    assert plain.tissue_mm2 == pytest.approx(0.9 * 100 * 4e-6)
    assert black.tissue_mm2 == pytest.approx(0.65 * 100 * 4e-6)


def test_a_cellularity_is_doubtful_where_white_is() -> None:
    flags = {**row("a", 0.6).flags, "doubtful_white": Flag(1.0)}
    assert replace(row("a", 0.6), flags=flags).is_cellularity_doubtful
    # A person who has looked has the last word.
    looked = {**flags, "doubtful_white": Flag(1.0, False, "Eva")}
    assert not replace(row("a", 0.6), flags=looked).is_cellularity_doubtful
    assert not replace(row("a", None), flags=flags).is_cellularity_doubtful
    assert not row("a", 0.6).is_cellularity_doubtful
