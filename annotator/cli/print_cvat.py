"""What push, pull and status print. No logic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from annotator.cli.print_annotate import MOST_NAMES, MOST_ROWS, console, say, some, table
from annotator.core.classes import CLASS_NAMES
from annotator.evaluation.corrections import FATES
from annotator.report.text import NONE, number, percentage
from export.cvat.push_report import FAILED, LEFT
from export.cvat.push_report import TOUCHED as PUSH_TOUCHED
from export.cvat.status import (
    GONE,
    IN_WORK,
    PULLED,
    SENT_BACK,
    TO_PULL,
    TOUCHED,
    UNSEEN,
    WAITING,
)

if TYPE_CHECKING:
    from annotator.evaluation.corrections import Correction
    from annotator.study.overview import StudyOverview
    from export.cvat.pull_report import PulledImage, PullReport
    from export.cvat.push_report import PushedImage, PushedTask, PushReport
    from export.cvat.status import CvatStatus, TaskStatus


def print_pull(report: PullReport, study: Path) -> None:
    """Print what was corrected, by image and in total, and what to do next."""
    out = console()
    if report.images:
        out.print(_images(report))
    if report.correction is not None:
        out.print()
        out.print(_classes(report.correction))
    say(_lines(report, study))


def _images(report: PullReport) -> Table:
    dice = [f"Dice {name}" for name in CLASS_NAMES]
    made = table("image", "mask", *FATES, *dice, "open", align="ll")
    for image in report.images[:MOST_ROWS]:
        made.add_row(escape(image.image), image.status, *_figures(image), _open(image))
    if len(report.images) > MOST_ROWS:
        made.add_row(f"and {len(report.images) - MOST_ROWS} more, see the report")
    return made


def _figures(image: PulledImage) -> list[str]:
    if image.correction is None:
        return [NONE] * (len(FATES) + len(CLASS_NAMES))
    fates = image.correction.objects.sum(axis=0).tolist()
    return [*map(str, fates), *_dice(image.correction)]


def _dice(correction: Correction) -> list[str]:
    return [number(correction.dice(code), 3) for code in range(len(CLASS_NAMES))]


def _open(image: PulledImage) -> str:
    return f"{percentage(image.areas_px['unlabelled'] / sum(image.areas_px.values()))} %"


def _classes(correction: Correction) -> Table:
    pixels = ("kept", "relabelled", "added", "deleted")
    titles = (*(f"{fate}" for fate in FATES), *(f"{name} px" for name in pixels), "Dice")
    made = table("objects, pixels", *titles)
    plain = correction.to_dict()
    for name, dice in zip(CLASS_NAMES, _dice(correction), strict=True):
        objects, px = plain[name]["objects"], plain[name]["pixels"]
        row = [*(objects[fate] for fate in FATES), *(px[key] for key in pixels)]
        made.add_row(name, *map(str, row), dice)
    return made


def _lines(report: PullReport, study: Path) -> list[str]:
    status = Counter(image.status for image in report.images)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(status.items()))
    tail = f": {counts}." if counts else "."
    lines = ["", f"{len(report.images)} image(s) from {report.format}{tail}"]
    if report.jobs:
        outcomes = Counter(job.outcome for job in report.jobs)
        lines.append(f"{len(report.jobs)} job(s): {_counts(outcomes)}.")
    kept = sum(image.kept is not None for image in report.images)
    if kept:
        lines.append(f"{kept} earlier mask(s) kept in {study / 'truth' / 'earlier'}.")
    lines += [f"warning: {note}" for note in report.notes]
    lines += [f"warning: {i.image}: {note}" for i in report.images for note in i.notes]
    tied = sum(image.tied_px for image in report.images)
    if tied:
        lines.append(
            f"warning: on {tied} pixels shapes of different classes and one z_order lie on top of "
            "each other; the later (by its id, or in the file) was taken"
        )
    excluded = [image for image in report.images if image.excluded_px]
    if excluded:
        pixels = sum(image.excluded_px for image in excluded)
        lines.append(
            f"excluded: {pixels} pixels on {len(excluded)} image(s), drawn as exclude; see "
            f"trephine images regions {study}"
        )
    unused = sum((Counter(i.unused) for i in report.images), Counter(report.unused))
    if unused:
        lines.append(
            f"warning: not used: {_counts(unused)}; they have no class, or no area in an image"
        )
    for deleted in report.deleted:
        lines.append(f"deleted in CVAT, so no truth: {deleted}")
    if report.unknown:
        names = [repr(name) for name in report.unknown]
        lines.append(f"warning: not in the study: {some(names)}")
    lines += [f"could not be used: {one.what}: {one.why}" for one in report.failed]
    lines += [f"{i.image}: {c.author} wrote: {c.text}" for i in report.images for c in i.comments]
    if report.path is not None:
        lines.append(f"Report   {report.path}, to read {report.path.with_suffix('.md').name}")
    return [*lines, f"Next     trephine retrain {study} --from truth"] if report.images else lines


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def print_overview(held: StudyOverview, study: Path) -> None:
    """Print what the study itself holds."""
    left_out = f" ({held.left_out} left out)" if held.left_out else ""
    labels = _counts(held.labels) or "none"
    learned = "no round of learning yet" if held.round is None else f"round {held.round} is in use"
    say(
        [
            f"Study {study}: {held.images} images{left_out}, {held.drafts} with a draft, "
            f"{held.corrected} with a corrected mask.",
            f"Labels of objects: {labels}; {learned}.",
            "",
            "In CVAT:",
        ]
    )


def print_status(found: CvatStatus, study: Path) -> None:
    """Print a row for each task, and what to do next."""
    out = console()
    if found.tasks:
        out.print(_tasks(found))
    say(_status_lines(found, study))


def _tasks(found: CvatStatus) -> Table:
    titles = ("task", "who", "frames", *_SHOWN, "deleted frames", "last push", "last pull", "")
    made = table(*titles, align="ll")
    for task in found.tasks:
        task_id = NONE if task.task_id is None else str(task.task_id)
        counts = [str(task.count(*conditions) or NONE) for conditions in _SHOWN.values()]
        times = [_minute(task.pushed), _minute(task.pulled)]
        deleted = str(sum(len(job.deleted) for job in task.jobs) or NONE)
        row = [task_id, escape(_who(task)), str(task.frames), *counts, deleted, *times, task.note]
        made.add_row(*row)
    return made


_SHOWN = {
    "waiting": (WAITING,),
    "in work": (IN_WORK, TOUCHED, SENT_BACK),
    "to pull": (TO_PULL,),
    "pulled": (PULLED,),
    "gone": (GONE,),
    "not seen": (UNSEEN,),
}


def _who(task: TaskStatus) -> str:
    names = Counter(job.assignee for job in task.jobs if job.assignee)
    return ", ".join(f"{name} {count}" for name, count in sorted(names.items())) or "nobody"


def _minute(time: str | None) -> str:
    return NONE if time is None else time[:16].replace("T", " ")


def _status_lines(found: CvatStatus, study: Path) -> list[str]:
    if found.binding is None:
        return ["Nothing of this study is in CVAT yet.", f"Next     trephine push {study}"]
    lines = ["", f"{found.binding.url}, project {found.binding.project_name}; times are UTC."]
    if found.offline:
        lines.append(f"warning: the server was not asked, this is what is known: {found.offline}")
    lines += [f"warning: {note}" for note in found.notes]
    for task in found.tasks:
        changed = [j for j in task.jobs if j.condition in (TOUCHED, SENT_BACK)]
        lines += [f"job {job.job_id} ({', '.join(job.images)}): {job.condition}" for job in changed]
    unsent = any(task.note and not task.count(UNSEEN) for task in found.tasks)
    if unsent and not found.offline:
        lines.append(f"Next     trephine push {study}")
    if found.deleted:
        names = some(list(found.deleted))
        lines.append(f"{len(found.deleted)} frame(s) deleted in CVAT, so no truth: {names}")
    if found.count(TO_PULL):
        lines.append(f"Next     trephine pull {study}")
    return lines


_NAMED = (PUSH_TOUCHED, FAILED, LEFT)


def print_push(report: PushReport, study: Path) -> None:
    """Print a row for each task, what was not sent and why, and what to do next."""
    out = console()
    if report.tasks:
        out.print(_push_tasks(report))
    say(_push_lines(report, study))


def _push_tasks(report: PushReport) -> Table:
    made = table("task", "name", "images", "shapes", "merged", "MB", align="lll")
    for task in report.tasks[:MOST_ROWS]:
        made.add_row(*_push_row(task))
    if len(report.tasks) > MOST_ROWS:
        made.add_row(f"and {len(report.tasks) - MOST_ROWS} more, see --json")
    return made


def _push_row(task: PushedTask) -> list[str]:
    merged = sum((Counter(one.merged) for one in task.images), Counter())
    return [
        NONE if task.task_id is None else str(task.task_id),
        escape(task.name),
        _counts(Counter(one.status for one in task.images)),
        str(sum(one.shapes for one in task.images)),
        _counts(merged) or "0",
        f"{task.upload_bytes / 1e6:.1f}",
    ]


def _push_lines(report: PushReport, study: Path) -> list[str]:
    nothing = "Nothing was sent." if report.stopped else "Nothing to send."
    lines = ["", _sum(report)] if report.tasks or report.left else [nothing]
    lines += [f"warning: {note}" for note in report.notes]
    lines += [f"warning: task {task.name}: {task.note}" for task in report.tasks if task.note]
    lines += _named(one for one in report.images if one.status in _NAMED)
    if report.dry_run:
        return [*lines, f"Next     trephine push {study}"]
    if report.project_id is not None:
        lines.append(f"Project  {report.url}/projects/{report.project_id}")
    return [*lines, f"Next     trephine status {study}, and once jobs are completed: pull"]


def _sum(report: PushReport) -> str:
    counts = _counts(Counter(one.status for one in report.images))
    where = f"to {report.url}, " if report.url else ""
    size = sum(task.upload_bytes for task in report.tasks) / 1e6
    would = "Would send " if report.dry_run else ""
    return f"{would}{where}project {report.project!r}: images {counts}; {size:.1f} MB of pictures."


def _named(images: Iterable[PushedImage]) -> list[str]:
    """Images that were not sent, each with its reason."""
    found = list(images)
    lines = [f"{one.status}: {one.image}: {one.note}" for one in found[:MOST_NAMES]]
    more = len(found) - MOST_NAMES
    return [*lines, f"and {more} more, see --json"] if more > 0 else lines
