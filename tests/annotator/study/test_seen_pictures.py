"""What a study remembers of the files that it read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotator.study import seen_pictures
from annotator.study.seen_pictures import FileStamp, SeenPicture
from annotator.study.study import Study

PICTURE = SeenPicture("0123456789abcdef", (3, 4), 0.5, ("a note",), b"\xff\xd8small")


@pytest.fixture(autouse=True)
def quick_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system whose clock ticks at every change."""
    monkeypatch.setattr(seen_pictures, "_SLOWEST_CLOCK_S", 0.0)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "field.png"
    path.write_bytes(b"one")
    return path


def note(study: Study, file: Path, picture: SeenPicture = PICTURE) -> None:
    study.seen_pictures.note(file, "reader", FileStamp.of(file), picture)


def known(study: Study, file: Path, reader: str = "reader") -> SeenPicture | None:
    return study.seen_pictures.untouched([file, Path("other.png")], reader).get(file)


def test_an_untouched_file_is_known(study: Study, file: Path) -> None:
    assert known(study, file) is None
    note(study, file)
    assert known(study, file) == PICTURE
    assert known(study, file, "another reader") is None


def test_another_picture_of_the_same_size_and_date_is_not_taken_for_it(
    study: Study, file: Path
) -> None:
    note(study, file)
    before = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert known(study, file) is None
    other = SeenPicture("f" * 16, (5, 6), None, (), b"")
    note(study, file, other)
    assert known(study, file) == other


def test_a_file_that_is_gone_or_was_put_in_its_place_is_not_known(study: Study, file: Path) -> None:
    note(study, file)
    aside = file.rename(file.with_suffix(".old"))
    assert known(study, file) is None
    file.write_bytes(b"one")
    assert known(study, file) is None
    assert known(study, aside) is None


def test_a_file_that_changes_while_it_is_read_is_not_noted(study: Study, file: Path) -> None:
    before = FileStamp.of(file)
    file.write_bytes(b"other")
    study.seen_pictures.note(file, "reader", before, PICTURE)
    study.seen_pictures.note(file, "reader", None, PICTURE)
    assert known(study, file) is None


def test_a_file_that_was_changed_a_moment_ago_is_not_noted(
    study: Study, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_pictures, "_SLOWEST_CLOCK_S", 60.0)
    note(study, file)
    assert known(study, file) is None


def test_names_that_are_no_text_are_known_too(study: Study, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.png"))
    try:
        path.write_bytes(b"one")
    except OSError:
        pytest.skip("this file system takes text alone")
    note(study, path)
    assert known(study, path) == PICTURE
