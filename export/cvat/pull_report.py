"""The report of a pull as text to read, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from annotator.core.classes import CLASS_NAMES
from annotator.cvat.pulled import PulledImage, PullReport
from annotator.evaluation.corrections import FATES, Correction


def pull_text(report: PullReport, time: str) -> str:
    """Write what was corrected, what people wrote, and what could not be used.

    Parameters
    ----------
    report : PullReport
    time : str
        When it was pulled.
    """
    return "\n".join(_lines(report, time)) + "\n"


def _lines(report: PullReport, time: str) -> Iterator[str]:
    yield f"# Corrections from {report.format}"
    yield ""
    yield f"{time}: {len(report.images)} image(s), {len(report.jobs)} job(s)."
    whole = report.correction
    if whole is not None:
        yield from ("", "## All images", "", *_table(whole))
    if report.failed:
        yield from ("", "## Could not be used", "")
        yield from (f"- {one.what}: {one.why}" for one in report.failed)
    if report.unknown:
        yield from ("", "## Not in the study", "", *(f"- {name}" for name in report.unknown))
    yield from (f"- warning: {note}" for note in report.notes)
    for image in report.images:
        yield from ("", f"## {image.image}", "", *_image(image))


def _table(correction: Correction) -> Iterator[str]:
    """Objects and pixels by class; Dice of what was sent against what came back."""
    pixels = ("kept", "relabelled", "added", "deleted", "boundary_moved")
    titles = ("class", *FATES, *(f"{name.replace('_', ' ')} px" for name in pixels), "Dice")
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    plain = correction.to_dict()
    for code, name in enumerate(CLASS_NAMES):
        objects, px, dice = plain[name]["objects"], plain[name]["pixels"], correction.dice(code)
        figures = [*(objects[fate] for fate in FATES), *(px[key] for key in pixels)]
        cells = [name, *map(str, figures), "–" if dice is None else f"{dice:.4f}"]
        yield f"| {' | '.join(cells)} |"


def _image(image: PulledImage) -> Iterator[str]:
    job = "" if image.job_id is None else f", job {image.job_id}"
    open_px = image.areas_px["unlabelled"]
    yield (
        f"Mask {image.status}{job}; {open_px} pixels unlabelled, {image.tied_px} of equal z_order."
    )
    if image.kept is not None:
        yield f"The earlier mask is {image.kept.name}."
    if image.unused:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(image.unused.items()))
        yield f"Not used: {counts}."
    if image.correction is not None:
        yield from ("", *_table(image.correction))
    yield from (f"- warning: {note}" for note in image.notes)
    for comment in image.comments:
        where = ", ".join(f"{value:.0f}" for value in comment.position[:2])
        state = ", resolved" if comment.resolved else ""
        text = " ".join(comment.text.split())
        yield f"- {comment.author} at {where}{state}: {text}"
