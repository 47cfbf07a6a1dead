from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from annotator.cli.print_annotate import (
    MOST_ROWS,
    counts_text,
    failures_text,
    notes_text,
    print_checks,
    print_result,
    result_json,
    say,
    some,
    sources_text,
    summary_table,
    table,
)
from annotator.cli.progress import DownloadView, ProgressView
from annotator.core.progress import Progress
from annotator.doctor import Check
from annotator.pipeline.results import BatchResult, Duplicate, ImageFailure, ImageRow


def row(name: str = "field", um: float | None = 0.5, notes: tuple[str, ...] = ()) -> ImageRow:
    return ImageRow(
        name=name,
        path=f"slides/{name}.png",
        image_id="0" * 16,
        status="done",
        um_per_px=um,
        areas_px={"bg": 100_000, "fat": 300_000, "cell": 600_000, "bone": 0, "unlabelled": 0},
        cellularity=2 / 3,
        objects=12,
        coverage={"0": 0.1, "1": 0.8, "2+": 0.1},
        seconds=2.5,
        notes=notes,
    )


def result(rows: list[ImageRow], **more: object) -> BatchResult:
    known: dict[str, object] = {
        "rows": tuple(rows),
        "failures": (),
        "skipped": 0,
        "duplicates": (),
        "named_by": "seed",
        "seconds": 61.0,
    }
    return BatchResult(**{**known, **more})  # type: ignore[arg-type]


def test_sources_of_the_scales_are_counted() -> None:
    rows = [replace(row(), scale_source="given"), row(um=None)]
    lines = counts_text(result(rows))
    assert "microns per pixel: 1 given with --um-per-px, 1 not known, sizes in pixels" in lines
    body = result_json(result(rows))["rows"]
    assert [(one["um_per_px"], one["scale_source"]) for one in body] == [
        (0.5, "given"),
        (None, "none"),
    ]


def text_of(table: Table, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return out.getvalue()


def test_the_table_shows_shares_and_the_area_in_its_unit() -> None:
    lines = text_of(summary_table([row("a"), row("b", um=None)])).splitlines()
    assert lines[2].split() == [
        "a",
        "0.250",
        "mm²",
        "10.0",
        "30.0",
        "60.0",
        "0.0",
        "66.7",
        "12",
        "2.5",
    ]
    assert lines[3].split()[:3] == ["b", "1.00", "Mpx"]
    assert lines[-1].split()[:6] == ["mean", "of", "2", "10.0", "30.0", "60.0"]


def test_the_table_fits_a_small_terminal() -> None:
    text = text_of(summary_table([row("a name of some length"), row("b")]), width=80)
    assert "…" not in text
    assert "cellularity" in text and "66.7" in text


def test_names_are_not_markup() -> None:
    assert "[bold]x[/]" in text_of(summary_table([row("[bold]x[/]")]))


def test_long_tables_are_cut_with_a_count_and_a_mean() -> None:
    text = text_of(summary_table([row(f"field-{n}") for n in range(MOST_ROWS + 7)]))
    assert f"field-{MOST_ROWS - 1}" in text and f"field-{MOST_ROWS} " not in text
    assert "… and 7 more" in text
    assert f"mean of {MOST_ROWS + 7}" in text


def test_unlabelled_gets_a_column_when_there_is_enough_to_show() -> None:
    assert "unlabelled" not in text_of(summary_table([row()]))
    patchy = row()
    areas = {**patchy.areas_px, "unlabelled": 50_000}
    shown = ImageRow(**{f: getattr(patchy, f) for f in patchy.__slots__} | {"areas_px": areas})
    assert "unlabelled" in text_of(summary_table([shown]))


def test_equal_notes_are_said_once() -> None:
    rows = [row("a", notes=("grey to RGB",)), row("b", notes=("grey to RGB", "3 px unlabelled"))]
    assert notes_text(rows) == ["note: grey to RGB (a, b)", "note: 3 px unlabelled (b)"]


def test_notes_with_a_count_of_pixels_are_added_up() -> None:
    rows = [row(str(n), notes=(f"{n} px unlabelled: no object",)) for n in range(1, 9)]
    assert notes_text(rows) == ["note: 36 px unlabelled: no object (1, 2, 3, 4, 5, 6 and 2 more)"]


def test_counts_and_failures_are_spelled_out() -> None:
    batch = result(
        [row()],
        failures=(ImageFailure("x [1].png", "empty file"),),
        duplicates=(Duplicate("copy.png", "field"),),
        kept=("field",),
        refreshed=4,
        stale=("old",),
        damaged=1,
        ignored=2,
    )
    text = "\n".join(counts_text(batch))
    assert "1 annotated, 0 done before, 1 failed in 1 min 1 s" in text
    assert "copy.png is field" in text
    assert "edited by a person: field" in text
    assert "4 earlier images" in text and "gone: old" in text and "1 damaged" in text
    assert failures_text(batch) == ["1 of 3 images failed:", "  x [1].png: empty file"]


def test_makers_are_told_where_sam_took_part() -> None:
    classical = replace(row(), sources={"superpixel": 11, "white": 1})
    mixed = replace(row(), sources={"superpixel": 1, "sam": 10, "white": 1})
    assert sources_text([classical]) == []
    assert sources_text([classical, mixed]) == ["objects 24 (superpixel 12, sam 10, white 2)"]
    assert "objects 24 (" in "\n".join(counts_text(result([classical, mixed])))


def test_the_result_says_that_nobody_reviewed_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(result([row()]), Path("study"))
    assert "unreviewed" in capsys.readouterr().out
    print_result(result([row()], named_by=None), Path("study"))
    assert "unreviewed" not in capsys.readouterr().out


def test_a_result_without_rows_shows_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(result([], failures=(ImageFailure("x.png", "empty file"),)), Path("study"))
    out = capsys.readouterr().out
    assert out.splitlines() == [
        "0 annotated, 0 done before, 1 failed in 1 min 1 s",
        "1 of 1 images failed:",
        "  x.png: empty file",
    ]


def test_json_has_areas_in_both_units() -> None:
    plain = result_json(result([row(um=0.5), row("b", um=None)]), study="s")
    assert plain["study"] == "s"
    assert plain["rows"][0]["areas_um2"]["fat"] == 75_000.0
    assert plain["rows"][1]["areas_um2"] is None


def test_without_a_terminal_progress_is_a_line_now_and_then() -> None:
    seen = io.StringIO()
    with ProgressView(seen) as view:
        for done in range(1, 101):
            view(Progress("outlining", done, 100, f"field-{done}", 100.0 - done))
        view(Progress("classifying", 1, 100, "field-1", None))
    assert seen.getvalue().splitlines() == [
        "outlining 1/100, about 1 min 39 s left",
        "outlining 100/100, under 1 s left",
        "classifying 1/100",
    ]


def test_notes_are_said_at_once_and_move_nothing() -> None:
    seen = io.StringIO()
    with ProgressView(seen) as view:
        for done in (0, 1):
            view(Progress("outlining", done, 9, "", None, "about [2] min"))
        view(Progress("outlining", 1, 9, "a", None))
    assert seen.getvalue().splitlines() == ["about [2] min"] * 2 + ["outlining 1/9"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_progress_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    seen = Terminal()
    with ProgressView(seen) as view:
        view(Progress("outlining", 1, 4, "[b] field", 30.0))
        view(Progress("classifying", 4, 4, "[b] field", 1.0))
    shown = seen.getvalue()
    assert "4/4" in shown and "about 1 s left" in shown and "[b] field" in shown


def test_downloads_are_told_in_megabytes() -> None:
    seen = io.StringIO()
    with DownloadView("vit_b", seen) as view:
        view(0, 375_000_000)
        view(100, 375_000_000)
        view(375_000_000, 375_000_000)
    assert seen.getvalue().splitlines() == ["vit_b: 0 of 375 MB", "vit_b: 375 of 375 MB"]


def test_columns_are_aligned_and_apart_as_asked() -> None:
    made = table("", "image", "gain", align="rl", gap=2)
    made.add_row("1", "a", "0.50")
    made.add_row("10", "field", "1.00")
    assert text_of(made).splitlines() == ["    image  gain", " 1  a      0.50", "10  field  1.00"]


def test_lines_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    line = "[bold]x[/] :smile: " + "long " * 60
    say([line, "next"])
    assert capsys.readouterr().out == f"{line}\nnext\n"


@pytest.mark.parametrize(("count", "end"), [(6, "5"), (7, "5 and 1 more")])
def test_only_names_that_are_left_out_are_counted(count: int, end: str) -> None:
    assert some([str(number) for number in range(count)]) == f"0, 1, 2, 3, 4, {end}"


@pytest.mark.parametrize(
    ("named_by", "step", "other"),
    [("starter", "trephine seed", "trephine next"), ("model", "trephine next", "trephine seed")],
)
def test_after_a_round_the_next_step_is_no_longer_the_seed(
    named_by: str, step: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_result(result([row()], named_by=named_by), Path("study"))
    out = capsys.readouterr().out
    assert f"{step} study" in out
    assert f"{other} study" not in out


def test_the_same_advice_for_many_images_is_printed_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone = [Check("original", "missing", f"{name}.png is gone", "relink them") for name in "abc"]
    other = Check("model", "missing", "round 1: damaged", "restore it")
    print_checks([*gone, other, Check("study", "ok", "marrow")])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line in ("relink them", "restore it")] == [
        "relink them",
        "restore it",
    ]
    assert lines.index("relink them") == 3
    assert sum("is gone" in line for line in lines) == 3
