"""Pictures that are to be turned: ours are upright, and who takes outlines elsewhere is told."""

from __future__ import annotations

from pathlib import Path

from PIL import Image as Picture
from support.measured_studies import field, paint

from annotator.core.label_maps import compact
from annotator.imaging.codecs import encode_png
from annotator.imaging.read import read_image
from annotator.study.rough import Annotation, RoughFiles
from annotator.study.study import Study
from export.cvat.pull_archive import pull_file
from export.dataset.export import export_study
from export.shapes import ExportOptions
from export.source_pictures import TURNED_ADVICE


def test_outlines_of_a_turned_picture_are_told_on_both_ways(tmp_path: Path) -> None:
    with Study.create(tmp_path / "study") as study:
        for orientation in (1, 6):
            picture = Picture.fromarray(paint(field().classes, orientation))
            exif = picture.getexif()
            exif[0x0112] = orientation
            path = tmp_path / f"field_{orientation}.png"
            picture.save(path, exif=exif)
            found = read_image(path, study.settings.read)
            image = study.register(found.id, str(path), found.shape, None, found.notes)
            maps = field() if orientation == 1 else None
            classes = field().classes if maps else field().classes.T.copy()
            numbers = compact(field().instances) if maps else compact(field().instances.T.copy())
            files = RoughFiles(encode_png(classes), encode_png(numbers), b"x")
            said = Annotation("look", "judge", "seed", "none", {}, None, 2, {}, (), 0.0)
            study.rough.save(image, files, said)
        report = export_study(study, "geojson", tmp_path / "out", ExportOptions())
        assert report.notes == (f"field_6: {TURNED_ADVICE}",)
        pulled = pull_file(study, tmp_path / "out")
    assert [TURNED_ADVICE in one.notes for one in pulled.images] == [False, True]
