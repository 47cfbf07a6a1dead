#!/usr/bin/env bash
# supervision 0.31.2 with pycocotools 2.0.11: an object with a hole is exported as a crowd.
#
# One would guess: iscrowd=1 marks a group that nobody could tell apart; one object keeps 0.
# What happens: as_coco() needs run lengths for a mask with a hole or in two parts, and sets
# iscrowd=1 with them. COCOeval leaves crowds out of what has to be found.
# Why it matters: trabecular bone has holes, and a vessel is a ring. A detector that finds no
# ring at all gets AP 1.0 as long as it finds the round cells.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  supervision==0.31.2 opencv-python-headless==4.12.0.88 pycocotools==2.0.11 \
  numpy==2.2.6

venv/bin/python - <<'PY'
import contextlib
import io
from importlib.metadata import version

import cv2
import numpy as np
import supervision as sv
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

y, x = np.mgrid[:100, :100]
cell = (y - 25) ** 2 + (x - 25) ** 2 <= 15**2
from_centre = (y - 70) ** 2 + (x - 70) ** 2
vessel = (from_centre <= 20**2) & (from_centre > 8**2)
masks = np.stack([cell, vessel])
objects = sv.Detections(sv.mask_to_xyxy(masks), mask=masks, class_id=np.array([0, 0]))
cv2.imwrite("field.png", np.zeros((100, 100, 3), np.uint8))
dataset = sv.DetectionDataset(["tissue"], ["field.png"], {"field.png": objects})
dataset.as_coco(annotations_path="truth.json")

with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO("truth.json")
    crowds = [annotation["iscrowd"] for annotation in truth.loadAnns(truth.getAnnIds())]
    first = truth.loadAnns(truth.getAnnIds())[0]
    named = {key: first[key] for key in ("image_id", "category_id", "bbox", "area")}
    judge = COCOeval(truth, truth.loadRes([{**named, "score": 0.9}]), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()

print("supervision", version("supervision"), "pycocotools", version("pycocotools"))
print("expected: iscrowd [0, 0] for cell and vessel; AP about 0.5 where only the cell is found")
print(f"seen:     iscrowd {crowds}; AP {judge.stats[0]:.2f}")
as_stated = crowds == [0, 1] and judge.stats[0] > 0.99
raise SystemExit(0 if as_stated else 1)
PY
