"""The images that people deleted in CVAT, as long as nobody says otherwise."""

from __future__ import annotations

from annotator.study.study import Study
from annotator.study.truth import TruthStore


def deleted_in_cvat(study: Study) -> frozenset[str]:
    """Ids of the images whose frames people deleted in CVAT, as the last pull found it.

    One for which somebody has put a mask into ``truth/`` since counts no more.
    """
    deleted = study.cvat.deleted_frames.all()
    if not deleted:
        return frozenset()
    truth = TruthStore(study.path)
    names = {image.id: image.name for image in study.all_images()}
    return frozenset(
        image_id for image_id in deleted if image_id in names and not truth.exists(names[image_id])
    )
