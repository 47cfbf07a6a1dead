"""Black has no class and no objects."""

from __future__ import annotations

import numpy as np

from annotator.core.classes import BONE, FAT, UNLABELLED
from annotator.core.label_maps import LabelMaps
from annotator.core.objects import objects_from_labels
from annotator.segmentation.outside_black import leave_open, objects_outside


def test_black_loses_class_and_instance_and_the_rest_keeps_them():
    classes = np.array([[BONE, BONE, FAT, FAT]], np.uint8)
    maps = LabelMaps(classes, np.array([[7, 7, 9, 9]], np.int32))
    opened = leave_open(maps, np.array([[True, False, False, False]]))
    assert opened.classes.tolist() == [[UNLABELLED, BONE, FAT, FAT]]
    assert opened.instances.tolist() == [[0, 7, 9, 9]]
    assert leave_open(maps, np.zeros((1, 4), bool)) is maps
    assert leave_open(maps, None) is maps


def test_objects_end_where_black_begins():
    labels = np.zeros((6, 8), np.int32)
    labels[:, :2], labels[:, 2:5], labels[:, 6:] = 1, 2, 3
    objects = objects_from_labels("a1", labels, "network")
    black = np.zeros((6, 8), bool)
    black[:, :4] = True
    kept = objects_outside(objects, black)
    assert kept.ids.tolist() == [2, 3]
    assert kept.boxes.tolist() == [[4, 0, 5, 6], [6, 0, 8, 6]]
    assert kept.by_source() == {"network": 2}
    assert not len(objects_outside(objects, np.ones((6, 8), bool)))


def test_objects_without_black_are_handed_on():
    objects = objects_from_labels("a1", np.ones((3, 3), np.int32))
    assert objects_outside(objects, None) is objects
    assert objects_outside(objects, np.zeros((3, 3), bool)) is objects
