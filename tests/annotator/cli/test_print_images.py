"""What ``trephine images`` says of regions."""

from __future__ import annotations

import pytest

from annotator.cli.print_images import print_region_reports
from annotator.pipeline.excluded import RegionReport


@pytest.mark.parametrize(
    ("pixels", "words"),
    [(200, "200 px, 2.0 % of it, count nowhere now."), (0, "nothing of it is excluded now.")],
)
def test_what_is_still_excluded_is_said(
    pixels: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = RegionReport("field", 1, pixels, pixels / 10_000)
    print_region_reports([report], "restored")
    assert capsys.readouterr().out.strip() == f"field: 1 region(s) restored; {words}"
