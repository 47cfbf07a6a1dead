"""Labels of a project beside the classes of a study: harmless edits, and those that are not."""

from __future__ import annotations

from dataclasses import replace

from annotator.core.classes import BONE, DEFAULT_SCHEMA
from export.cvat.client.labels import LabelIds, label_differences, labels_of, match_labels, with_ids
from export.cvat.client.server import CvatLabel

WANTED = labels_of(DEFAULT_SCHEMA)
THERE = with_ids(WANTED)
KNOWN = {label.name: label.id or 0 for label in THERE}


def renamed(name: str, to: str) -> list[CvatLabel]:
    return [replace(one, name=to) if one.name == name else one for one in THERE]


def test_the_same_labels_differ_in_nothing() -> None:
    match = match_labels(WANTED, reversed(THERE), KNOWN)
    assert (match.labels, match.others, match.lines, match.faults) == (THERE, (), (), ())
    assert match.numbers() == KNOWN


def test_another_colour_a_further_label_and_a_lost_attribute_are_harmless() -> None:
    bg, fat, cell, bone = THERE
    vessel = CvatLabel("vessel", "#123456", id=99)
    changed = [replace(bg, colour="#ABCDEF"), replace(fat, attributes=()), cell, bone, vessel]
    match = match_labels(WANTED, changed, KNOWN)
    assert match.faults == ()
    assert match.others == (vessel,)
    assert match.notes == [
        "labels in CVAT: bg: colour #008000 expected, #ABCDEF there",
        "labels in CVAT: fat: attribute object missing",
        "labels in CVAT: fat: attribute confidence missing",
        "labels in CVAT: vessel: not a class of this study",
    ]
    assert LabelIds(match.labels).attributes(1, object="7", confidence="90") == {}


def test_a_renamed_label_is_told_by_its_number() -> None:
    match = match_labels(WANTED, renamed("bone", "Knochen"), KNOWN)
    assert match.faults == ()
    assert match.lines == ("bone: its label is called 'Knochen' there",)
    assert LabelIds(match.labels).label(BONE) == KNOWN["bone"]
    assert match_labels(WANTED, renamed("bone", "Knochen")).faults == ("bone: missing",)


def test_labels_that_changed_their_names_among_them_are_refused() -> None:
    bg, fat, cell, bone = THERE
    swapped = [bg, replace(fat, name="cell"), replace(cell, name="fat"), bone]
    match = match_labels(WANTED, swapped, KNOWN)
    assert len(match.faults) == 2
    assert "'cell'" in match.faults[0] and "'fat'" in match.faults[1]


def test_a_new_label_of_the_old_name_is_refused() -> None:
    """Nobody knows which of the two people used."""
    match = match_labels(WANTED, [*renamed("bone", "bone old"), bone_again()], KNOWN)
    assert len(match.faults) == 1
    assert match.faults[0].startswith("bone: its label")


def bone_again() -> CvatLabel:
    return replace(THERE[BONE], id=99)


def test_a_label_that_was_deleted_and_made_again_is_the_one_of_its_name() -> None:
    match = match_labels(WANTED, [*THERE[:BONE], bone_again()], KNOWN)
    assert (match.faults, match.numbers()["bone"]) == ((), 99)


def test_a_missing_label_is_a_fault() -> None:
    assert match_labels(WANTED, THERE[:2], KNOWN).faults == ("cell: missing", "bone: missing")
    assert label_differences(WANTED, THERE) == ()
