from __future__ import annotations

import base64
import hashlib
import re

import pytest
from support.report_html import ReportHtml, bytes_of

from annotator.core.classes import ClassSchema
from annotator.report.canvas import CLASS_COLOURS, ChartFigure
from annotator.report.page import (
    Block,
    Chart,
    Charts,
    Facts,
    Heading,
    Note,
    Page,
    PageTable,
    Panel,
    Pictures,
    Section,
    ShownImage,
    render,
)

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><style>*{display:none}",
    "</title><script>x</script>",
    "{{ 7 * 7 }}{% raw %}",
    "--><!--",
    "&lt;b&gt;&#60;",
    "javascript:alert(1)",
    "a\x00b\x1b[31m\udcff\u202egnp.exe",
)


def page_of(*blocks: Block, text: str = "field") -> Page:
    return Page(text, "2026-01-01", text, ((text, text, text),), (Section("a", text, blocks),))


def all_kinds(text: str) -> tuple[Block, ...]:
    table = PageTable(text, (text, text), [(text, text), ("fat", "1")])
    drawn = ChartFigure(b"<svg/>", text)
    return (
        Note(text),
        *(Note(text, kind) for kind in ("missing", "fault", "warning")),
        Heading(text),
        Facts([(text, text)]),
        table,
        PageTable(text, (text,), [], folded=True, words=True),
        Charts((Chart(drawn, text, table), Chart(drawn, text))),
        Pictures(text, [ShownImage(text, text, [Panel(b"jpeg", 4, 3, text, text)])]),
    )


def test_a_page_of_all_kinds_is_valid_and_whole() -> None:
    found = ReportHtml(render(page_of(*all_kinds("field one"))))
    assert found.faults == []
    assert found.tags["table"] == 3
    assert found.tags["details"] == 2
    assert [image["alt"] for image in found.images] == ["field one"] * 3
    assert bytes_of(found.images[0]) == b"<svg/>"
    assert bytes_of(found.images[2]) == b"jpeg"


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_anything_but_text(text: str) -> None:
    plain = ReportHtml(render(page_of(*all_kinds("field"))))
    found = ReportHtml(render(page_of(*all_kinds(text), text=text)))
    assert found.faults == []
    assert found.tags == plain.tags
    assert found.style == plain.style
    shown = " ".join(re.sub("[\x00-\x1f\udcff]", "\ufffd", text).split())
    assert shown in found.text
    assert all(image["alt"].split() == shown.split() for image in found.images)


def test_the_policy_allows_nothing_but_the_style_sheet_in_the_page() -> None:
    page = render(page_of(Note("x")))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    digest = hashlib.sha256(ReportHtml(page).style.encode()).digest()
    assert policy[1].replace("&#39;", "'").split("; ") == [
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{base64.b64encode(digest).decode()}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_colours_of_the_study_are_those_of_the_page() -> None:
    schema = ClassSchema(("#010203", "#040506", "#070809", "#0a0b0c"))
    page = render(Page("s", "t", "l", (), (), schema))
    style = ReportHtml(page).style
    assert ".painted-fat { background: #040506; }" in style
    assert f".drawn-fat {{ background: {CLASS_COLOURS['fat']}; }}" in style


def test_a_class_stands_beside_its_colour_and_other_words_do_not() -> None:
    table = PageTable("t", ("class", "n"), [("bone", "1"), ("boned", "2")])
    page = render(page_of(table))
    body = page[page.index("<tbody>") :]
    assert body.count("swatch") == 1
    assert "painted-bone" in body


def test_every_table_has_headings_and_can_be_reached_with_the_keyboard() -> None:
    page = render(page_of(PageTable("areas", ("class", "n"), [("fat", "1")])))
    assert '<th scope="col">class</th>' in page
    assert 'role="region" aria-label="areas" tabindex="0"' in page
    assert re.search(r'<th scope="row">.*fat</th>', page)


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=" 2 "):
        PageTable("t", ("a", "b"), [("1",)])


def test_colours_of_text_contrast_enough() -> None:
    style = ReportHtml(render(page_of())).style
    named = dict(re.findall(r"--(\w+): (#[0-9a-f]+)", style))
    for ground in ("paper", "tint"):
        for ink in ("ink", "soft", "link"):
            assert contrast(named[ink], named[ground]) >= 4.5


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.1)."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    shares = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_as_the_standard_has_it() -> None:
    assert contrast("#000000", "#fff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("<!DOCTYPE html>\n<html lang=en><p></html>", "</html> where ['p'] is open"),
        ("<a href='http://x'>", "<a href> points outside: http://x"),
        ("<img src='data:image/png;base64,'>", "image 0 has no alt text"),
        ("<p id=a><p id=a>", "id a is there twice"),
        ("<p aria-labelledby=b>", "#b is nowhere"),
        ("<script></script>", "<script> is there"),
    ],
)
def test_the_check_itself_finds_what_is_wrong(page: str, fault: str) -> None:
    assert fault in ReportHtml(page).faults
