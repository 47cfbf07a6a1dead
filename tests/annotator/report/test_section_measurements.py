"""The data table in the report: adipocytes in microns only where the scale is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.measured_studies import add, field
from support.report_html import ReportHtml

from annotator.core.progress import silent
from annotator.measurements.adipocyte_sizes import PUBLISHED_DIAMETER_UM, PUBLISHED_PER_MM2
from annotator.report.make import ReportOptions, report
from annotator.settings.images import PatientSettings
from annotator.settings.study import Settings
from annotator.study.study import Study

pytestmark = pytest.mark.slow

BY_PATIENT = Settings(patients=PatientSettings(pattern="^([a-z]+)_"))


def page(path: Path, scales: dict[str, float | None]) -> ReportHtml:
    with Study.create(path, BY_PATIENT) as study:
        for bone, (name, scale) in enumerate(scales.items()):
            add(study, f"{name}.png", field(bone=bone), um_per_px=scale)
        result = report(study, ReportOptions(time="2026-01-01 12:00:00 UTC"), silent)
    found = ReportHtml(result.path.read_text("utf-8"))
    assert found.faults == []
    return found


def test_diameters_stand_beside_published_ones_with_their_source(tmp_path: Path) -> None:
    found = page(tmp_path / "study", {"ann_1": 0.5, "bob_1": 1.0, "cy_1": None})
    assert "Microns per pixel: 2 from the file, 1 not known, sizes in pixels." in found.text
    assert "2 images of known scale, 2 patients; 95 % intervals over patients" in found.text
    # Squares of 10 px at 0.5 and 1 um: 5.64 and 11.28 um.
    assert "8.5 (5.6 to 11.3)" in found.text
    assert "76.3 ± 4.9 (Motomura 2005)" in found.text
    for one in (PUBLISHED_DIAMETER_UM, PUBLISHED_PER_MM2):
        assert one.source in found.text


def test_without_a_scale_there_is_no_micron(tmp_path: Path) -> None:
    found = page(tmp_path / "study", {"ann_1": None})
    assert "Microns per pixel: 1 not known, sizes in pixels." in found.text
    assert "Motomura" not in found.text


def test_what_is_excluded_is_told(tmp_path: Path) -> None:
    with Study.create(tmp_path / "study") as study:
        image = add(study, "a.png", field(), um_per_px=0.5)
        mask = np.zeros(image.shape, bool)
        mask[:, :10] = True
        study.excluded_regions.exclude(image.id, [mask], "pen", "pen.geojson", "eva")
        result = report(study, ReportOptions(time="2026-01-01 12:00:00 UTC"), silent)
    text = ReportHtml(result.path.read_text("utf-8")).text
    assert "Excluded regions: 400 px (0.0001 mm²), 20.0 % of all images, in 1 of 1: a." in text
