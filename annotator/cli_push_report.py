"""What ``trephine push`` prints. No logic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from annotator.cli.print_annotate import MOST_NAMES, MOST_ROWS, console
from export.cvat.push_report import FAILED, LEFT, TOUCHED

if TYPE_CHECKING:
    from export.cvat.push_report import PushedImage, PushedTask, PushReport

_NAMED = (TOUCHED, FAILED, LEFT)


def print_push(report: PushReport, study: Path) -> None:
    """Print a line a task, what was not sent and why, and what to do next."""
    out = console()
    if report.tasks:
        out.print(_tasks(report))
    for line in _lines(report, study):
        out.print(line, markup=False, soft_wrap=True)


def _tasks(report: PushReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    for title in ("task", "name", "images", "shapes", "merged", "MB"):
        left = title in ("task", "name", "images")
        table.add_column(title, justify="left" if left else "right", overflow="fold")
    for task in report.tasks[:MOST_ROWS]:
        table.add_row(*_row(task))
    if len(report.tasks) > MOST_ROWS:
        table.add_row(f"and {len(report.tasks) - MOST_ROWS} more, see --json")
    return table


def _row(task: PushedTask) -> list[str]:
    merged = sum((Counter(one.merged) for one in task.images), Counter())
    return [
        "–" if task.task_id is None else str(task.task_id),
        escape(task.name),
        _counts(Counter(one.status for one in task.images)),
        str(sum(one.shapes for one in task.images)),
        _counts(merged) or "0",
        f"{task.upload_bytes / 1e6:.1f}",
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _lines(report: PushReport, study: Path) -> list[str]:
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
