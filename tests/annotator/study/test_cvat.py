"""What a study remembers of a CVAT server: bindings, batches, what was sent and pulled."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.labelled_studies import only_readable
from support.pushed_studies import make_study, rough_map

from annotator.core.errors import StorageError, StudyError, UsageError
from annotator.core.files import write_atomic
from annotator.core.label_maps import LabelMaps
from annotator.study.cvat import Binding, PulledJob, Sent, TaskImages, map_digest
from annotator.study.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with make_study(tmp_path / "study", 2) as made:
        yield made


def sent_of(study: Study, number: int = 0, digest: str = "a" * 64) -> Sent:
    image = study.images()[number]
    name = f"{image.id}.png"
    return Sent(image.id, 5, "key digest", 7, number, name, "r", digest, 9, 2, "2026-01-02")


def same(first: LabelMaps | None, second: LabelMaps) -> bool:
    assert first is not None
    classes = np.array_equal(first.classes, second.classes)
    return classes and np.array_equal(first.instances, second.instances)


def test_a_study_has_one_key_for_ever(study: Study) -> None:
    key = study.cvat.study_key()
    assert len(key) == 12
    assert int(key, 16) >= 0
    with Study.open(study.path) as again:
        assert again.cvat.study_key() == key


def test_a_binding_is_kept(study: Study) -> None:
    assert study.cvat.binding() is None
    key = study.cvat.study_key()
    assert study.cvat.binding() is None, "a key alone binds to nothing"
    bound = Binding("https://cvat.test", 3, "marrow", key)
    study.cvat.bind(bound)
    assert study.cvat.binding() == bound
    study.cvat.bind(Binding("https://CVAT.test/", 4, "marrow 2", key))
    assert study.cvat.study_key() == key


@pytest.mark.slow
def test_a_study_goes_to_one_server(study: Study) -> None:
    key = study.cvat.study_key()
    study.cvat.bind(Binding("https://cvat.test", 3, "marrow", key))
    with pytest.raises(UsageError, match=r"https://cvat\.test.*https://x\.test"):
        study.cvat.bind(Binding("https://x.test", 3, "marrow", key))
    with pytest.raises(ValueError, match="0" * 12):
        study.cvat.bind(Binding("https://cvat.test", 3, "marrow", "0" * 12))


def test_batches_keep_their_order(study: Study) -> None:
    batches = [TaskImages(f"task {k}", (f"{k}a", f"{k}b")) for k in (5, 1, 3)]
    study.cvat.note_batches(batches)
    assert study.cvat.batches() == tuple(batches)
    smaller = TaskImages("task 9", ("1b",))
    study.cvat.note_batches([smaller], instead_of=["task 1"])
    assert study.cvat.batches() == (batches[0], batches[2], smaller)


def test_what_was_put_is_known_by_job_and_frame(study: Study) -> None:
    study.cvat.note_puts(7, {0: "x", 1: "y"})
    study.cvat.note_puts(7, {0: "z"})
    study.cvat.note_puts(7, {0: "z"})
    assert study.cvat.puts(7, 0) == {"x", "z"}
    assert study.cvat.puts(7, 1) == {"y"}
    assert study.cvat.puts(8, 0) == frozenset()


def test_what_was_sent_is_the_baseline(study: Study) -> None:
    sent, rough = sent_of(study), rough_map(3)
    assert study.cvat.baseline(sent.image_id) is None
    study.cvat.note_sent(sent, rough)
    assert study.cvat.sent() == (sent,)
    assert same(study.cvat.baseline(sent.image_id), rough)
    assert study.cvat.verified(7, 0) == sent
    assert study.cvat.verified(7, 1) is None
    assert sent.shapes_sha256 in study.cvat.puts(7, 0)


def test_an_earlier_baseline_stays(study: Study) -> None:
    first, second = rough_map(3), rough_map(4)
    study.cvat.note_sent(sent_of(study), first)
    study.cvat.note_sent(sent_of(study), first)
    assert not (study.cvat.folder / "earlier").exists()
    study.cvat.note_sent(sent_of(study, digest="b" * 64), second)
    assert same(study.cvat.baseline(study.images()[0].id), second)
    earlier = study.cvat.folder / "earlier"
    name = study.images()[0].name
    assert len(list(earlier.glob(f"{name}.*.png"))) == 1
    assert len(list((earlier / "instances").glob(f"{name}.*.png"))) == 1
    (only,) = study.cvat.sent()
    assert only.shapes_sha256 == "b" * 64


def test_what_cannot_be_written_does_not_count_as_sent(study: Study) -> None:
    def full(path: Path, data: bytes) -> None:
        if path.parent.name == "instances":
            raise StorageError(f"{path}: the disk is full")
        write_atomic(path, data)

    with Study.open(study.path, full) as other:
        with pytest.raises(StorageError):
            other.cvat.note_sent(sent_of(study), rough_map(3))
        assert other.cvat.sent() == ()
        assert other.cvat.baseline(study.images()[0].id) is None


def test_a_lost_baseline_is_named(study: Study) -> None:
    sent = sent_of(study)
    study.cvat.note_sent(sent, rough_map(3))
    (study.cvat.folder / "instances" / f"{study.images()[0].name}.png").write_bytes(b"x")
    with pytest.raises(StudyError, match="Mrs Miller 0"):
        study.cvat.baseline(sent.image_id)
    (study.cvat.folder / f"{study.images()[0].name}.png").unlink()
    with pytest.raises(StudyError, match="cvat/"):
        study.cvat.baseline(sent.image_id)


def test_what_was_sent_is_in_order_of_frames(study: Study) -> None:
    for number in (1, 0):
        study.cvat.note_sent(sent_of(study, number), rough_map(number))
    assert [one.frame for one in study.cvat.sent()] == [0, 1]


def test_the_state_of_a_job_when_it_was_pulled(study: Study) -> None:
    assert study.cvat.pulled_jobs() == {}
    first = PulledJob(7, "2026-01-01", "a", "completed", "2026-01-02")
    study.cvat.note_pulled(first)
    second = PulledJob(7, "2026-01-03", "b", "completed", "2026-01-04")
    study.cvat.note_pulled(second)
    assert study.cvat.pulled_jobs() == {7: second}


def test_digests_of_maps() -> None:
    one = rough_map(3)
    assert map_digest(one) == map_digest(LabelMaps(one.classes.copy(), one.instances.copy()))
    other = one.instances.copy()
    other[other == other.max()] += 1
    assert map_digest(one) != map_digest(LabelMaps(one.classes, other))


TABLES = ("cvat_binding", "cvat_batches", "cvat_puts", "cvat_sent", "cvat_pulled")


def as_of_layout_3(path: Path) -> None:
    with sqlite3.connect(path / "study.db") as connection:
        for table in TABLES:
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 3")
    connection.close()


def test_an_older_study_gets_the_tables(tmp_path: Path) -> None:
    make_study(tmp_path / "s", 1).close()
    as_of_layout_3(tmp_path / "s")
    with Study.open(tmp_path / "s") as study:
        assert study.cvat.sent() == ()
        study.cvat.note_sent(sent_of(study), rough_map(1))
        assert len(study.cvat.sent()) == 1


def test_an_older_study_that_can_only_be_read_was_never_sent(tmp_path: Path) -> None:
    make_study(tmp_path / "s", 1).close()
    as_of_layout_3(tmp_path / "s")
    with only_readable(tmp_path / "s") as path, Study.open(path) as study:
        assert study.cvat.binding() is None
        assert study.cvat.sent() == study.cvat.batches() == ()
        assert study.cvat.baseline(study.images()[0].id) is None
        assert study.cvat.pulled_jobs() == {}


def test_a_moved_study_keeps_what_was_sent(study: Study, tmp_path: Path) -> None:
    study.cvat.note_sent(sent_of(study), rough_map(3))
    study.close()
    moved = (tmp_path / "study").rename(tmp_path / "elsewhere")
    with Study.open(moved) as again:
        assert same(again.cvat.baseline(again.images()[0].id), rough_map(3))
