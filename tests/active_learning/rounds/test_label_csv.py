"""CSV into a study and out of it: whole or not at all, whatever the file and whoever kills us."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.hostile_texts import HOSTILE, cells_that_run, saved_by_a_spreadsheet
from support.labelled_studies import (
    ID,
    OTHER,
    add_objects,
    import_and_die,
    import_and_tell,
    label_rows,
    only_readable,
    rows,
    set_objects,
    stripes,
)

from active_learning.rounds.add_labels import NewLabel, add_labels
from active_learning.rounds.current_labels import agreement, present_labels
from active_learning.rounds.label_csv import (
    ImportOptions,
    ImportReport,
    LabelsExportReport,
    export_labels,
    import_labels,
    system_user,
)
from annotator.core.errors import StorageError, StudyError, UsageError
from annotator.core.objects import objects_from_labels
from annotator.study.study import Study

pytestmark = pytest.mark.slow

EVA = ImportOptions(author="Eva")


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with Study.create(tmp_path / "study") as made:
        add_objects(made, stripes(10, 10, 10), "in/Mäusle 1.png")
        yield made


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str | bytes, encoding: str = "utf-8") -> Path:
        path = tmp_path / "labels.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


def told(study: Study) -> list[tuple[int, int, str, str]]:
    return [(s.object_id, s.code, s.author, s.source) for s in present_labels(study)]


def refused(study: Study, path: Path, options: ImportOptions | None = None) -> list[str]:
    """The faults that are told, after nothing was imported."""
    before = label_rows(study.path / "study.db")
    with pytest.raises(UsageError) as caught:
        import_labels(study, path, options)
    assert label_rows(study.path / "study.db") == before
    first, *faults = str(caught.value).splitlines()
    assert first.startswith(f"{path}: ")
    return [fault.strip() for fault in faults] or [first]


# What a file may call things


@pytest.mark.parametrize(
    "name", ["Mäusle 1", "MÄUSLE 1", "Ma\u0308usle 1", "Mäusle 1.png", "x\\y\\Mäusle 1.png", ID]
)
def test_an_image_goes_by_its_name_its_file_or_its_id(study: Study, write: Any, name: str):
    report = import_labels(study, write(rows(f"{name},2,fat,eva")))
    assert report == ImportReport(1, 1, 0, 0, 1, "utf-8")
    assert told(study) == [(2, 1, "eva", "person")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_umlauts_survive_every_encoding(study: Study, write: Any, encoding: str):
    text = rows("Mäusle 1,1,fat,Jörg Weiß").replace(",", ";").replace("\n", "\r\n")
    assert import_labels(study, write(text, encoding)).encoding == encoding
    assert told(study) == [(1, 1, "Jörg Weiß", "person")]


def test_two_files_of_one_name_are_told_apart_by_name(study: Study, write: Any):
    add_objects(study, stripes(5), "other/Mäusle 1.png", OTHER)
    assert refused(study, write(rows("Mäusle 1.png,1,fat,eva"))) == [
        "row 2: 2 images have a file 'Mäusle 1.png'; say which one: 'Mäusle 1' or "
        "'Mäusle 1-fedcba98'"
    ]
    import_labels(study, write(rows("Mäusle 1-fedcba98,1,fat,eva", "Mäusle 1,1,bone,eva")))
    assert {s.image_id: s.code for s in present_labels(study)} == {OTHER: 1, ID: 3}


def test_mixed_and_skip_can_be_said(study: Study, write: Any):
    import_labels(study, write(rows("Mäusle 1,1,mixed,eva", "Mäusle 1,2,skip,eva")))
    assert told(study) == [(1, 4, "eva", "person"), (2, 5, "eva", "person")]


# Who says it


def test_the_author_given_goes_before_the_column_and_that_before_the_fallback(
    study: Study, write: Any
):
    path = write(rows("Mäusle 1,1,fat,max", "Mäusle 1,2,fat,"))
    import_labels(study, path, ImportOptions(fallback="user"))
    assert told(study) == [(1, 1, "max", "person"), (2, 1, "user", "person")]
    import_labels(study, write(rows("Mäusle 1,1,bone,max", "Mäusle 1,2,bone,")), EVA)
    assert [one for one in told(study) if one[2] == "Eva"] == [
        (1, 3, "Eva", "person"),
        (2, 3, "Eva", "person"),
    ]


def test_nobody_is_made_an_author_without_being_asked(study: Study, write: Any):
    (fault,) = refused(study, write(rows("Mäusle 1,1,fat,", "Mäusle 1,2,fat,")))
    assert fault.startswith("rows 2-3: no author")


@pytest.mark.parametrize("author", ["", "  ", "two\nlines", "x" * 101])
def test_an_author_that_is_no_name_is_refused(author: str):
    with pytest.raises(UsageError):
        ImportOptions(author=author)


def test_the_computer_can_be_asked_for_the_user(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOGNAME", "eva")
    assert system_user() == "eva"


# Again


def test_the_same_file_again_adds_nothing(study: Study, write: Any):
    path = write(rows("Mäusle 1,1,fat,", "Mäusle 1,2,bone,"))
    first, second = import_labels(study, path, EVA), import_labels(study, path, EVA)
    assert (first.added, first.already) == (2, 0)
    assert (second.added, second.already) == (0, 2)
    assert study.labels.count() == 2


def test_the_same_class_from_another_author_or_source_is_another_label(study: Study, write: Any):
    add_labels(study, {ID: [NewLabel(1, 1, "Eva", "truth")]})
    import_labels(study, write(rows("Mäusle 1,1,fat,")), EVA)
    import_labels(study, write(rows("Mäusle 1,1,fat,max")))
    assert study.labels.count() == 3


def test_a_changed_mind_is_counted(study: Study, write: Any):
    import_labels(study, write(rows("Mäusle 1,1,fat,")), EVA)
    report = import_labels(study, write(rows("Mäusle 1,1,bone,")), EVA)
    assert (report.added, report.changed) == (1, 1)


# Faults


def test_all_faults_of_all_rows_are_told_and_nothing_is_imported(study: Study, write: Any):
    study.register(OTHER, "in/bare.png", (4, 4), None, ())
    text = rows(
        "Mäusle 1,1,fat,eva",
        "Mausle 1,1,fat,eva",
        "Mäusle 1,4,fat,eva",
        "Mäusle 1,2,adipocyte,eva",
        "Mäusle 1,1,fat,eva",
        "Mäusle 1.png,1,bone,eva",
        f"{ID},3,cell,",
        "bare,1,fat,eva",
        "Mausle 1,2,fat,eva",
    )
    assert sorted(refused(study, write(text))) == sorted(
        [
            "rows 3, 10: no image 'Mausle 1' in the study; give its name there, that of its file, "
            "or its id",
            "row 4: no object 4 among the 3 of image 'Mäusle 1'",
            "row 5: expected a class of bg, fat, cell, bone, mixed, skip, got 'adipocyte'",
            "row 6: the same object, class and author as in row 2; take one out",
            "row 7: bone, but fat in row 2 for the same object by the same author; keep one",
            "row 8: no author; fill the column author, or give the author for all rows",
            "row 9: image 'bare' has no objects yet; run trephine annotate on it first",
        ]
    )


def test_rows_of_two_people_contradict_each_other_only_under_one_name(study: Study, write: Any):
    path = write(rows("Mäusle 1,1,fat,eva", "Mäusle 1,1,bone,max"))
    (fault,) = refused(study, path, EVA)
    assert fault.startswith("row 3: bone, but fat in row 2")
    import_labels(study, path)
    ((pair,), (disagreement,)) = agreement(study)
    assert pair.authors == ("eva", "max")
    assert disagreement.opinions == (("eva", 1), ("max", 3))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"\xef\xbb\xbf", "empty file"),
        (b"image,object,class\r\n", "under the heading, got none"),
        (b"image,object\na,1\n", "without class"),
        (b"\x89PNG\r\n\x1a\n\0\0", "no text"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(study: Study, write: Any, data: bytes, words: str):
    (fault,) = refused(study, write(data))
    assert words in fault


def test_no_file_and_a_folder_are_named(study: Study, tmp_path: Path):
    assert "no such file" in refused(study, tmp_path / "absent.csv")[0]
    assert "a folder" in refused(study, tmp_path)[0]


def test_a_study_that_can_only_be_read_gives_labels_and_takes_none(
    study: Study, write: Any, tmp_path: Path
):
    path = write(rows("Mäusle 1,1,fat,eva"))
    import_labels(study, path)
    study.close()
    with only_readable(study.path) as place, Study.open(place) as opened:
        assert told(opened) == [(1, 1, "eva", "person")]
        with pytest.raises(StudyError, match="study"):
            import_labels(opened, path)
        with pytest.raises(StorageError, match=r"out\.csv"):
            export_labels(opened, place / "out.csv")


# Out and in again


def test_what_is_exported_is_imported_by_another_study(study: Study, tmp_path: Path):
    add_labels(
        study,
        {
            ID: [
                NewLabel(1, 1, "Jörg, Weiß"),
                NewLabel(1, 2, "max"),
                NewLabel(1, 0, "groups", "seed"),
                NewLabel(2, 4, "eva", "truth"),
                NewLabel(3, 5, "max"),
            ]
        },
    )
    path = tmp_path / "labels.csv"
    assert export_labels(study, path) == LabelsExportReport(5, 1)
    with Study.create(tmp_path / "second") as second:
        add_objects(second, stripes(10, 10, 10), "elsewhere/Mäusle 1.tif")
        assert import_labels(second, path).added == 5
        assert sorted(told(second)) == sorted(told(study))
        export_labels(second, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()
    # At home they are known, whoever imports them.
    assert import_labels(study, path, EVA) == ImportReport(5, 0, 5, 0, 1, "utf-8-sig")


def test_an_export_corrected_by_a_person_is_the_persons(study: Study, tmp_path: Path):
    machine = [NewLabel(n, 2, "groups", "seed") for n in (1, 2, 3)]
    add_labels(study, {ID: [*machine, NewLabel(3, 1, "max")]})
    path = tmp_path / "labels.csv"
    export_labels(study, path)
    text = path.read_text("utf-8-sig").replace("1,2,cell,groups", "1,2,bone,groups")
    path.write_text(text.replace("1,3,fat,max", "1,3,bg,max"), "utf-8")
    (fault,) = refused(study, path)
    assert fault.startswith("row 3: another class than its label of source 'seed' in the study")
    report = import_labels(study, path, EVA)
    assert (report.added, report.already) == (2, 2)
    assert told(study)[-2:] == [(2, 3, "Eva", "person"), (3, 0, "Eva", "person")]


def test_labels_of_objects_that_are_gone_are_not_exported(study: Study, tmp_path: Path):
    add_labels(study, {ID: [NewLabel(1, 1, "eva"), NewLabel(3, 1, "eva")]})
    (image,) = study.images()
    set_objects(study, image, objects_from_labels(ID, stripes(10, 5, 15)), "look 2")
    assert export_labels(study, tmp_path / "labels.csv").rows == 1
    set_objects(study, image, objects_from_labels(ID, stripes(30)), "look 3")
    with pytest.raises(UsageError, match="study"):
        export_labels(study, tmp_path / "none.csv")
    assert not (tmp_path / "none.csv").exists()


def test_a_file_in_the_way_stays_unless_it_may_be_replaced(study: Study, tmp_path: Path):
    add_labels(study, {ID: [NewLabel(1, 1, "eva")]})
    path = tmp_path / "labels.csv"
    path.write_bytes(b"the only copy")
    with pytest.raises(UsageError, match=r"labels\.csv"):
        export_labels(study, path)
    assert path.read_bytes() == b"the only copy"
    assert export_labels(study, path, replace=True).rows == 1
    with pytest.raises(UsageError, match=tmp_path.name):
        export_labels(study, tmp_path, replace=True)


# Kills


class Child:
    """A process that imports, forked from a server that has the imports behind it."""

    def __init__(self, work: Callable[..., None], *args: object) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(
            ["annotator.pipeline.annotate", "active_learning.rounds.label_csv"]
        )
        self.hear, tell = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(*args, tell))
        self.process.start()
        tell.close()

    def answer(self) -> object:
        """The next word, or None when it ended without one."""
        try:
            return self.hear.recv()
        except EOFError:
            return None


@pytest.fixture
def many(study: Study, write: Any) -> Path:
    add_objects(study, stripes(*[1] * 300), "in/many.png", OTHER)
    add_labels(study, {ID: [NewLabel(1, 2, "max")]})
    study.close()
    return write(rows(*(f"many,{n},{('fat', 'cell')[n % 2]}," for n in range(1, 301))))


def test_a_kill_at_any_statement_leaves_all_or_nothing(study: Study, many: Path):
    before = label_rows(study.path / "study.db")
    outcomes = []
    for step in range(1, 30):
        child = Child(import_and_die, study.path, many, step)
        finished = child.answer()
        child.process.join()
        assert child.process.exitcode == (0 if finished else -9)
        after = label_rows(study.path / "study.db")
        outcomes.append(len(after) - len(before))
        assert after[: len(before)] == before
        if finished:
            break
    assert len(outcomes) > 5
    assert outcomes[-1] == 300
    assert set(outcomes) == {0, 300}
    with Study.open(study.path) as opened:
        assert import_labels(opened, many, ImportOptions(author="eva")).already == 300


def test_a_kill_at_a_random_moment_leaves_all_or_nothing(study: Study, many: Path):
    rng = random.Random(20261120)
    count = len(label_rows(study.path / "study.db"))
    for number in range(8):
        path = many.with_name(f"{number}.csv")
        path.write_text(many.read_text().replace(",\n", f",author {number}\n"))
        child = Child(import_and_tell, study.path, path)
        assert child.answer() == "begins"
        child.process.join(rng.uniform(0.0, 0.05))
        child.process.kill()
        child.process.join()
        now = len(label_rows(study.path / "study.db"))
        assert now - count in (0, 300)
        count = now


@pytest.mark.parametrize("author", HOSTILE)
def test_labels_of_a_hostile_author_go_out_safe_and_come_back_the_same(
    study: Study, tmp_path: Path, author: str
):
    add_labels(study, {ID: [NewLabel(1, 1, author, "person")]})
    path = tmp_path / "out.csv"
    export_labels(study, path)
    assert cells_that_run(path.read_bytes()) == []
    for data in (path.read_bytes(), saved_by_a_spreadsheet(path.read_bytes())):
        path.write_bytes(data)
        report = import_labels(study, path)
        assert (report.added, report.already) == (0, 1)
    assert told(study) == [(1, 1, author, "person")]


def test_an_author_who_begins_like_a_formula_is_read_without_our_apostrophe_too(
    study: Study, write: Any
):
    import_labels(study, write(rows("Mäusle 1,1,fat,=evil", "Mäusle 1,2,fat,-5")))
    assert told(study) == [(1, 1, "=evil", "person"), (2, 1, "-5", "person")]
