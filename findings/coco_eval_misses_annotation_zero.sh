#!/usr/bin/env bash
# pycocotools 2.0.11: COCOeval never counts the annotation with id 0 as found.
#
# One would guess: ids are names, and numbering from 0 is as good as from 1.
# What happens: the table of matches keeps the id of the matched annotation and uses 0 for
# "no match". A perfect detection of annotation 0 is counted as missed and as false alarm.
# Why it matters: an export that numbers from 0 is soon written. A rare class with one object has
# AP 0; among hundreds of objects the score is low by a little that nobody notices.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  pycocotools==2.0.11 numpy==2.4.6

venv/bin/python - <<'PY'
import contextlib
import io
from importlib.metadata import version

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def average_precision(first_id, cells):
    boxes = [[100 * i, 0, 50, 50] for i in range(cells)]
    same = {"image_id": 1, "category_id": 1, "area": 2500, "iscrowd": 0}
    truth = COCO()
    truth.dataset = {
        "images": [{"id": 1, "width": 1000, "height": 100}],
        "categories": [{"id": 1, "name": "megakaryocyte"}],
        "annotations": [{**same, "id": first_id + i, "bbox": box} for i, box in enumerate(boxes)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found = [{**same, "bbox": box, "score": 0.9 - i / 100} for i, box in enumerate(boxes)]
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0])


one, zero, two = average_precision(1, 1), average_precision(0, 1), average_precision(0, 2)
print("pycocotools", version("pycocotools"))
print("expected: AP 1.00 whether ids start at 1 or at 0")
print(f"seen:     from 1: {one:.2f}; from 0: {zero:.2f} with one cell, {two:.2f} with two")
as_stated = one > 0.99 and zero == 0 and two < 0.5
raise SystemExit(0 if as_stated else 1)
PY
