#!/usr/bin/env bash
# scikit-learn 1.9.1: CalibratedClassifierCV(ensemble=True) never predicts a class that one
# patient alone has, and warns of nothing.
#
# One would guess: the classes are learned in some folds, so they are predicted; or an error.
# What happens: where folds are patients, such a class is either in the training part of a fold
# or in its calibration part, never in both. Each member gives it little or no probability, the
# mean follows, and predict() never says it. ensemble=False raises instead.
# Why it matters: rare findings (a lymphoid aggregate, a granuloma) come from one patient in a
# small study. Splitting by patient is right, and the class is gone from the result in silence.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  scikit-learn==1.9.1 numpy==2.4.6

venv/bin/python - <<'PY'
import warnings
from importlib.metadata import version

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GroupKFold
from sklearn.svm import SVC

rng = np.random.default_rng(0)
labels = np.repeat([0, 1, 2], 30)
features = rng.normal(size=(90, 3)) + 8 * labels[:, None]  # far apart: an easy task
patients = np.tile([0, 1, 2], 30)
patients[labels == 2] = 2
folds = list(GroupKFold(3).split(features, labels, patients))

plain = (SVC().fit(features, labels).predict(features) == labels)[labels == 2].mean()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model = CalibratedClassifierCV(SVC(), cv=folds, ensemble=True).fit(features, labels)
    found = (model.predict(features) == labels)[labels == 2].mean()
try:
    with warnings.catch_warnings(action="ignore"):
        CalibratedClassifierCV(SVC(), cv=folds, ensemble=False).fit(features, labels)
    other = "no error"
except ValueError as error:
    other = f"ValueError: {str(error)[:62]}..."

print("scikit-learn", version("scikit-learn"))
print(f"expected: class 2 is found as the plain SVC finds it ({plain:.0%}), or an error")
print(f"seen:     {found:.0%} of class 2 found, {len(caught)} warnings; classes {model.classes_}")
print(f"          with ensemble=False: {other}")
as_stated = plain == 1 and found == 0 and not caught and "ValueError" in other
raise SystemExit(0 if as_stated else 1)
PY
