"""Where in CVAT an image is, as an address to open."""

from __future__ import annotations

from annotator.store_cvat import Binding, Sent
from annotator.study.study import Study


def frame_link(binding: Binding, sent: Sent) -> str:
    """The page of CVAT on which an image is annotated.

    Examples
    --------
    >>> sent = Sent("a1", 7, "t", 9, 3, "a1.png", "", "", 1, 0, "")
    >>> frame_link(Binding("https://cvat.example.org", 1, "Trephine", ""), sent)
    'https://cvat.example.org/tasks/7/jobs/9?frame=3'
    """
    return f"{binding.url.rstrip('/')}/tasks/{sent.task_id}/jobs/{sent.job_id}?frame={sent.frame}"


def frame_links(study: Study) -> dict[str, str]:
    """The pages of all images that are in CVAT, by the ids of the images."""
    binding = study.cvat.binding()
    if binding is None:
        return {}
    return {sent.image_id: frame_link(binding, sent) for sent in study.cvat.sent()}
