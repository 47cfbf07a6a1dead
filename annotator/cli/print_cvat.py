"""What push, pull and status print. No logic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from annotator.cli.print_annotate import MOST_NAMES, MOST_ROWS, console
from annotator.core.classes import CLASS_NAMES
from annotator.evaluation.corrections import FATES
from export.cvat.push_report import FAILED, LEFT
from export.cvat.push_report import TOUCHED as PUSH_TOUCHED
from export.cvat.status import GONE, IN_WORK, PULLED, SENT_BACK, TO_PULL, TOUCHED, WAITING

if TYPE_CHECKING:
    from annotator.evaluation.corrections import Correction
    from export.cvat.pull_report import PulledImage, PullReport
    from export.cvat.push_report import PushedImage, PushedTask, PushReport
    from export.cvat.status import CvatStatus, TaskStatus


def print_pull(report: PullReport, study: Path) -> None:
    """Print what was corrected, image by image and in all, and what to do next."""
    out = console()
    if report.images:
        out.print(_images(report))
    if report.correction is not None:
        out.print()
        out.print(_classes(report.correction))
    for line in _lines(report, study):
        out.print(line, markup=False, soft_wrap=True)


def _table(*titles: str, left: int = 1) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    for at, title in enumerate(titles):
        table.add_column(title, justify="left" if at < left else "right", overflow="fold")
    return table


def _images(report: PullReport) -> Table:
    dice = [f"Dice {name}" for name in CLASS_NAMES]
    table = _table("image", "mask", *FATES, *dice, "open", left=2)
    for image in report.images[:MOST_ROWS]:
        table.add_row(escape(image.image), image.status, *_figures(image), _open(image))
    if len(report.images) > MOST_ROWS:
        table.add_row(f"and {len(report.images) - MOST_ROWS} more, see the report")
    return table


def _figures(image: PulledImage) -> list[str]:
    if image.correction is None:
        return ["–"] * (len(FATES) + len(CLASS_NAMES))
    fates = image.correction.objects.sum(axis=0).tolist()
    return [*map(str, fates), *_dice(image.correction)]


def _dice(correction: Correction) -> list[str]:
    values = (correction.dice(code) for code in range(len(CLASS_NAMES)))
    return ["–" if value is None else f"{value:.3f}" for value in values]


def _open(image: PulledImage) -> str:
    return f"{100 * image.areas_px['unlabelled'] / sum(image.areas_px.values()):.1f} %"


def _classes(correction: Correction) -> Table:
    pixels = ("kept", "relabelled", "added", "deleted")
    titles = (*(f"{fate}" for fate in FATES), *(f"{name} px" for name in pixels), "Dice")
    table = _table("objects, pixels", *titles)
    plain = correction.to_dict()
    for name, dice in zip(CLASS_NAMES, _dice(correction), strict=True):
        objects, px = plain[name]["objects"], plain[name]["pixels"]
        row = [*(objects[fate] for fate in FATES), *(px[key] for key in pixels)]
        table.add_row(name, *map(str, row), dice)
    return table


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
    unused = sum((Counter(i.unused) for i in report.images), Counter(report.unused))
    if unused:
        lines.append(f"warning: not used: {_counts(unused)}; they have no area in an image")
    if report.unknown:
        more = " ..." if len(report.unknown) > MOST_NAMES else ""
        names = ", ".join(map(repr, report.unknown[:MOST_NAMES]))
        lines.append(f"warning: not in the study: {names}{more}")
    lines += [f"could not be used: {one.what}: {one.why}" for one in report.failed]
    lines += [f"{i.image}: {c.author} wrote: {c.text}" for i in report.images for c in i.comments]
    if report.path is not None:
        lines.append(f"Report   {report.path}, to read {report.path.with_suffix('.md').name}")
    return [*lines, f"Next     trephine retrain {study} --from truth"] if report.images else lines


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def print_status(found: CvatStatus, study: Path) -> None:
    """Print a row a task, and what to do next."""
    out = console()
    if found.tasks:
        out.print(_tasks(found))
    for line in _status_lines(found, study):
        out.print(line, markup=False, soft_wrap=True)


def _tasks(found: CvatStatus) -> Table:
    table = _table("task", "who", "frames", *_SHOWN, "last push", "last pull", "", left=2)
    for task in found.tasks:
        number = "–" if task.task_id is None else str(task.task_id)
        counts = [str(task.count(*conditions) or "–") for conditions in _SHOWN.values()]
        times = [_minute(task.pushed), _minute(task.pulled)]
        table.add_row(number, escape(_who(task)), str(task.frames), *counts, *times, task.note)
    return table


_SHOWN = {
    "waiting": (WAITING,),
    "in work": (IN_WORK, TOUCHED, SENT_BACK),
    "to pull": (TO_PULL,),
    "pulled": (PULLED,),
    "gone": (GONE,),
}


def _who(task: TaskStatus) -> str:
    names = Counter(job.assignee for job in task.jobs if job.assignee)
    return _counts_of_people(names)


def _counts_of_people(names: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(names.items())) or "nobody"


def _minute(time: str | None) -> str:
    return "–" if time is None else time[:16].replace("T", " ")


def _status_lines(found: CvatStatus, study: Path) -> list[str]:
    if found.binding is None:
        return ["Nothing of this study is in CVAT yet.", f"Next     trephine push {study}"]
    lines = ["", f"{found.binding.url}, project {found.binding.project_name}; times are UTC."]
    if found.offline:
        lines.append(f"warning: the server was not asked, this is what is known: {found.offline}")
    for task in found.tasks:
        changed = [j for j in task.jobs if j.condition in (TOUCHED, SENT_BACK)]
        lines += [f"job {job.job_id} ({', '.join(job.images)}): {job.condition}" for job in changed]
    if any(task.note for task in found.tasks):
        lines.append(f"Next     trephine push {study}")
    if found.count(TO_PULL):
        lines.append(f"Next     trephine pull {study}")
    return lines


_NAMED = (PUSH_TOUCHED, FAILED, LEFT)


def print_push(report: PushReport, study: Path) -> None:
    """Print a line a task, what was not sent and why, and what to do next."""
    out = console()
    if report.tasks:
        out.print(_push_tasks(report))
    for line in _push_lines(report, study):
        out.print(line, markup=False, soft_wrap=True)


def _push_tasks(report: PushReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    for title in ("task", "name", "images", "shapes", "merged", "MB"):
        left = title in ("task", "name", "images")
        table.add_column(title, justify="left" if left else "right", overflow="fold")
    for task in report.tasks[:MOST_ROWS]:
        table.add_row(*_push_row(task))
    if len(report.tasks) > MOST_ROWS:
        table.add_row(f"and {len(report.tasks) - MOST_ROWS} more, see --json")
    return table


def _push_row(task: PushedTask) -> list[str]:
    merged = sum((Counter(one.merged) for one in task.images), Counter())
    return [
        "–" if task.task_id is None else str(task.task_id),
        escape(task.name),
        _counts(Counter(one.status for one in task.images)),
        str(sum(one.shapes for one in task.images)),
        _counts(merged) or "0",
        f"{task.upload_bytes / 1e6:.1f}",
    ]


def _push_lines(report: PushReport, study: Path) -> list[str]:
    lines = ["", _sum(report)] if report.tasks or report.left else ["Nothing to send."]
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
    """What was not sent, each with its reason."""
    found = list(images)
    lines = [f"{one.status}: {one.image}: {one.note}" for one in found[:MOST_NAMES]]
    more = len(found) - MOST_NAMES
    return [*lines, f"and {more} more, see --json"] if more > 0 else lines
