"""The study folder: made once, opened with care, written whole, and never over a person's work."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from annotator.core.errors import SettingsError, StorageError, StudyError
from annotator.core.files import TEMPORARY, write_atomic
from annotator.core.objects import objects_from_masks
from annotator.imaging.codecs import encode_jpeg, encode_png
from annotator.settings.study import Settings
from annotator.study.objects_file import ImageFeatures, Proposals, pack
from annotator.study.rough import Annotation, KnownImage, RoughFiles
from annotator.study.study import Study, is_study
from features.table import FeatureTable

ID, OTHER = "0123456789abcdef", "fedcba9876543210"
CODES = np.array([[1, 1, 2], [0, 255, 3]], np.uint8)
INSTANCES = np.array([[1, 1, 0], [0, 0, 2]], np.uint16)
FILES = RoughFiles(
    encode_png(CODES), encode_png(INSTANCES), encode_jpeg(np.zeros((2, 3, 3), np.uint8))
)
ANNOTATION = Annotation(
    "look", "judge", "seed", "groups", {"fat": 2}, 1 / 3, 4, {"0": 1.0}, ("note",), 1.5, (0.5, 1.0)
)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as made:
        yield made


def known(study: Study, source: str = "in/a.png", image_id: str = ID) -> KnownImage:
    return study.register(image_id, source, (2, 3), None, ("palette expanded",))


def listing(folder: Path) -> dict[str, bytes]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


# Making and opening


def test_a_new_study_has_its_settings_and_folders(tmp_path: Path):
    with Study.create(tmp_path / "deep" / "study", Settings(um_per_px=0.5)) as study:
        assert study.settings.um_per_px == 0.5
    found = {p.name for p in (tmp_path / "deep" / "study").iterdir()}
    assert {"study.toml", "study.db", "objects", "rough", "models", "truth"} <= found


def test_an_empty_folder_becomes_a_study(tmp_path: Path):
    Study.create(tmp_path).close()
    assert is_study(tmp_path)


def test_a_second_init_says_so_and_changes_nothing(study: Study):
    before = listing(study.path)
    with pytest.raises(StudyError, match=str(study.path)):
        Study.create(study.path)
    assert listing(study.path) == before


def test_a_folder_with_other_things_is_refused_untouched(tmp_path: Path):
    (tmp_path / "thesis.docx").write_bytes(b"x")
    with pytest.raises(StudyError, match=r"thesis\.docx"):
        Study.create(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.docx"]


def test_a_file_in_the_way_is_refused(tmp_path: Path):
    (tmp_path / "study").write_bytes(b"x")
    with pytest.raises(StudyError, match=str(tmp_path / "study")):
        Study.create(tmp_path / "study")


def test_a_killed_init_can_be_repeated(tmp_path: Path):
    Study.create(tmp_path).close()
    (tmp_path / "study.toml").unlink()
    Study.create(tmp_path).close()
    assert is_study(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_what_is_no_study_says_how_to_make_one(tmp_path: Path, name: str):
    with pytest.raises(StudyError, match=str(tmp_path / name)):
        Study.open(tmp_path / name)


def test_a_study_of_a_newer_version_is_refused(study: Study):
    with sqlite3.connect(study.path / "study.db") as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(StudyError, match=r"\b8\b"):
        Study.open(study.path)


def test_settings_of_a_newer_version_are_refused(study: Study):
    (study.path / "study.toml").write_text("format = 7\n")
    with pytest.raises(SettingsError, match=r"\b7\b"):
        Study.open(study.path)


def test_a_damaged_database_is_said_to_be_one(tmp_path: Path):
    Study.create(tmp_path).close()
    (tmp_path / "study.db").write_bytes(b"not a database, although long enough" * 99)
    with pytest.raises(StudyError, match=r"study\.db"):
        Study.open(tmp_path)


def test_a_moved_study_still_knows_its_images(study: Study, tmp_path: Path):
    image = known(study)
    study.rough.save(image, FILES, ANNOTATION)
    study.close()
    shutil.move(study.path, tmp_path / "moved")
    with Study.open(tmp_path / "moved") as moved:
        (found,) = moved.images()
        assert found.name == "a"
        assert moved.rough.edited(found) == ()
        assert moved.rough.annotation(found) == ANNOTATION


# Who may write


@pytest.mark.slow
def test_two_runs_at_once_are_refused(study: Study):
    script = (
        "import sys, pathlib; from annotator.study.study import Study\n"
        f"with Study.open(pathlib.Path({str(study.path)!r})) as s, s.writing():\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StudyError, match=str(other.pid)), study.writing():
            pytest.fail("the study was held twice")
        other.kill()
    with study.writing():
        assert (study.path / "study.lock").read_text() == str(os.getpid())


def test_leftovers_of_killed_writes_are_removed_by_the_next_run(study: Study):
    leftover = study.path / "rough" / f".a.png.7{TEMPORARY}"
    leftover.write_bytes(b"half")
    with study.writing():
        assert not leftover.exists()


@pytest.fixture
def read_only_study() -> Iterator[Path]:
    """A study that this process, also when it is root, may only read."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "study"
        with Study.create(path) as study:
            study.rough.save(known(study), FILES, ANNOTATION)
        for place in (path, *path.rglob("*")):
            place.chmod(0o555 if place.is_dir() else 0o444)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield path
        finally:
            if root:
                os.seteuid(0)
            for place in (path, *(p for p in path.rglob("*") if p.is_dir())):
                place.chmod(0o755)


def test_a_read_only_study_can_be_read(read_only_study: Path):
    with Study.open(read_only_study) as study:
        (image,) = study.images()
        assert np.array_equal(study.rough.read(image).classes, CODES)


def test_a_read_only_study_is_refused_before_any_work(read_only_study: Path):
    with (
        Study.open(read_only_study) as study,
        pytest.raises(StudyError, match=str(read_only_study)),
        study.writing(),
    ):
        pytest.fail("a read-only study was held for writing")


def test_a_study_in_a_read_only_place_is_not_made(read_only_study: Path):
    with pytest.raises(StorageError, match="inner"):
        Study.create(read_only_study / "inner")


def test_a_full_disk_under_the_database_is_a_storage_error(study: Study):
    with sqlite3.connect(study.path / "study.db") as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.close()
    study.close()
    with (
        Study.open(study.path) as small,
        pytest.raises(StorageError, match=r"study\.db"),
        small._database.session() as session,
    ):
        session.connection().exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        session.connection().exec_driver_sql(
            "INSERT INTO written_files VALUES (?, ?)", ("a", "x" * 1_000_000)
        )


# Images


def test_names_are_given_once_and_kept(study: Study):
    first = known(study, "one/Field.png", ID)
    second = known(study, "two/field.tif", OTHER)
    assert (first.name, second.name) == ("Field", "field-fedcba98")
    again = known(study, "renamed/other.png", OTHER)
    assert again.name == "field-fedcba98"
    assert again.source == str(Path("renamed/other.png").absolute())
    assert [image.name for image in study.images()] == ["Field", "field-fedcba98"]


def test_the_scale_of_the_file_goes_before_that_of_the_settings(tmp_path: Path):
    with Study.create(tmp_path, Settings(um_per_px=0.5)) as study:
        assert study.register(ID, "a.png", (2, 3), None, ()).um_per_px == 0.5
        assert study.register(ID, "a.png", (2, 3), 0.25, ()).um_per_px == 0.25
        assert study.images()[0].um_per_px == 0.25


# Objects


def packed() -> bytes:
    objects = objects_from_masks(ID, (2, 3), [((0, 0), np.ones((1, 2), bool))])
    table = FeatureTable(np.array([ID]), objects.ids, np.ones((1, 1)), ("a",), "f" * 16)
    return pack(
        Proposals("p", objects),
        ImageFeatures("k", objects, table, (0.5, 0.5, 0.0), 0, np.ones(objects.shape, bool)),
    )


def test_objects_are_kept_with_what_they_cost(study: Study):
    image = known(study)
    assert study.described(image) is None
    study.save_objects(image, packed(), 2.5)
    described = study.described(image)
    assert described is not None
    assert described.key == "k"
    assert study.images()[0].objects_seconds == 2.5


def test_damaged_objects_are_noticed(study: Study):
    image = known(study)
    study.save_objects(image, packed()[:-30], 1.0)
    with pytest.raises(ValueError):
        study.described(image)


def test_models_are_kept_and_damaged_ones_are_none(study: Study):
    assert study.read_model("seed") is None
    study.save_model("seed", {"größe": [1, 2.5]})
    assert study.read_model("seed") == {"größe": [1, 2.5]}
    (study.path / "models" / "seed.json").write_text('{"a": ')
    assert study.read_model("seed") is None


# Rough annotations


def test_a_rough_annotation_is_written_whole(study: Study):
    image = known(study)
    assert study.rough.annotation(image) is None
    assert not study.rough.is_complete(image)
    study.rough.save(image, FILES, ANNOTATION)
    assert study.rough.is_complete(image)
    assert study.rough.edited(image) == ()
    assert study.rough.annotation(image) == ANNOTATION
    label_maps = study.rough.read(image)
    assert np.array_equal(label_maps.classes, CODES)
    assert np.array_equal(label_maps.instances, INSTANCES)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_file_that_a_person_changed_is_known(study: Study, which: int):
    image = known(study)
    study.rough.save(image, FILES, ANNOTATION)
    path = study.rough.paths(image)[which]
    path.write_bytes(b"mine")
    assert study.rough.edited(image) == (path,)


def test_a_file_that_was_never_ours_is_known(study: Study):
    image = known(study)
    path = study.rough.paths(image)[0]
    path.write_bytes(FILES.codes)
    assert study.rough.edited(image) == (path,)


def test_what_a_kill_left_between_file_and_ledger_is_ours(tmp_path: Path):
    def killed_after_the_first(path: Path, data: bytes) -> None:
        write_atomic(path, data)
        raise StorageError("the power went")

    Study.create(tmp_path).close()
    with Study.open(tmp_path, killed_after_the_first) as study:
        image = known(study)
        with pytest.raises(StorageError, match="power"):
            study.rough.save(image, FILES, ANNOTATION)
        assert study.rough.paths(image)[0].exists()
        assert study.rough.edited(image) == ()
        assert study.rough.annotation(image) is None


def test_edited_files_are_moved_aside_not_lost(study: Study):
    image = known(study)
    study.rough.save(image, FILES, ANNOTATION)
    codes, _, overlay = study.rough.paths(image)
    for round_ in (b"first", b"second"):
        codes.write_bytes(round_)
        overlay.write_bytes(round_)
        place = study.rough.set_aside(study.rough.edited(image))
        assert (place / "a.png").read_bytes() == round_
        assert (place / "overlays" / "a.jpg").read_bytes() == round_
        study.rough.save(image, FILES, ANNOTATION)
    assert len(list((study.path / "rough" / "replaced").iterdir())) == 2


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (np.array([[1, 1, 2], [0, 7, 3]], np.uint8), "0-3 .*255, got 7"),
        (np.zeros((3, 2), np.uint8), r"\(2, 3\) uint8"),
        (CODES.astype(np.uint16), "uint8, .*uint16"),
    ],
)
def test_codes_that_cannot_be_used_are_named(study: Study, codes, said):
    image = known(study)
    study.rough.save(image, FILES, ANNOTATION)
    study.rough.paths(image)[0].write_bytes(encode_png(codes))
    with pytest.raises(StudyError, match=said):
        study.rough.read(image)


def test_missing_codes_are_said_to_be_missing(study: Study):
    with pytest.raises(StudyError, match=r"a\.png"):
        study.rough.read(known(study))


def test_edited_codes_are_read_with_instances_that_fit(study: Study):
    image = known(study)
    study.rough.save(image, FILES, ANNOTATION)
    edited = np.array([[1, 2, 2], [3, 255, 3]], np.uint8)
    study.rough.paths(image)[0].write_bytes(encode_png(edited))
    label_maps = study.rough.read(image)
    assert np.array_equal(label_maps.classes, edited)
    assert label_maps.instances.tolist() == [[1, 0, 0], [3, 0, 2]]


def test_the_machine_is_sure_only_of_what_nobody_changed(study: Study):
    image = known(study)
    assert study.rough.confidence(image) == {}
    study.rough.save(image, FILES, ANNOTATION)
    assert study.rough.confidence(image) == {1: 0.5, 2: 1.0}
    study.rough.paths(image)[0].write_bytes(encode_png(np.flip(CODES)))
    assert study.rough.confidence(image) == {}


def test_a_shorter_contact_sheet_takes_the_old_pages_with_it(study: Study):
    names = [p.name for p in study.rough.save_contact_sheets([b"1", b"2", b"3"])]
    assert names == ["contact-sheet.jpg", "contact-sheet-2.jpg", "contact-sheet-3.jpg"]
    study.rough.save_contact_sheets([b"only"])
    assert [p.name for p in (study.path / "rough").glob("contact*")] == ["contact-sheet.jpg"]


# The ledger


def test_runs_and_their_failures_are_kept(study: Study):
    study.record_run("s" * 16, 3.0, {"done": 2}, {"reading": 0.5}, [("a.png", "empty")])
    with sqlite3.connect(study.path / "study.db") as connection:
        run = connection.execute("SELECT settings, seconds, counts FROM runs").fetchall()
        failed = connection.execute("SELECT run_id, path, reason FROM failures").fetchall()
    connection.close()
    assert run == [("s" * 16, 3.0, '{"done": 2}')]
    assert failed == [(1, "a.png", "empty")]


def test_traces_are_added_to_the_log(study: Study):
    study.log_error("a.png", "Traceback one")
    study.log_error("b.png", "Traceback two")
    text = study.error_log.read_text()
    assert text.index("a.png\nTraceback one") < text.index("b.png\nTraceback two")


def test_many_threads_may_read_at_once(tmp_path: Path) -> None:
    with Study.create(tmp_path / "study") as study:
        for number in range(8):
            study.register(f"{number:016x}", f"{number}.png", (2, 3), None, ())
        names = [f"{number}" for number in range(8)]

        def read(_: int) -> list[str]:
            return [image.name for image in study.images() if study.rough.confidence(image) == {}]

        # More threads than a pool of connections holds, each for a short while.
        for _ in range(5):
            with ThreadPoolExecutor(12) as pool:
                assert all(found == names for found in pool.map(read, range(36)))
