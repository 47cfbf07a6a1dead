"""Files, folders and patterns."""

import os
import re
import unicodedata
from contextlib import contextmanager

import pytest

from annotator.core.errors import ImageError, UsageError
from annotator.imaging.find import FoundImages, find_images
from annotator.imaging.read import read_image
from annotator.settings.images import ReadSettings


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder to search, with the working directory in it."""
    for name in (
        "b.png", "a.TIF", "notes.txt", "sub/c.JPeG", "sub/deep/d.bmp", "sub/deep/e.csv",
        ".hidden.png", ".cache/f.png", "sub/._c.jpg",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(found: FoundImages) -> list[str]:
    return [str(path) for path in found.paths]


def test_a_folder_is_searched_below_and_sorted(tree):
    found = find_images(["."])
    assert names(found) == ["a.TIF", "b.png", "sub/c.JPeG", "sub/deep/d.bmp"]
    assert (found.hidden, found.others) == (3, 2)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["b.png"]),
        ("**/*", ["a.TIF", "b.png", "sub/c.JPeG", "sub/deep/d.bmp"]),
        ("**", ["a.TIF", "b.png", "sub/c.JPeG", "sub/deep/d.bmp"]),
        ("s*", ["sub/c.JPeG", "sub/deep/d.bmp"]),
        ("sub/**/*.bmp", ["sub/deep/d.bmp"]),
        ("[ab].*", ["a.TIF", "b.png"]),
        ("./?.png", ["b.png"]),
    ],
)
def test_patterns(tree, pattern, expected):
    assert names(find_images([pattern])) == expected


def test_an_absolute_pattern(tree):
    assert find_images([f"{tree}/**/*.bmp"]).paths == (tree / "sub/deep/d.bmp",)


def test_a_pattern_counts_what_it_passes_over(tree):
    found = find_images(["**/*"])
    assert found.others == 2
    assert found.hidden == 4  # the hidden folder and what is in it are matches each


def test_a_hidden_file_that_the_pattern_asks_for_is_still_passed_over(tree):
    assert names(find_images([".h*"])) == []


def test_order_and_repetition_of_the_inputs_do_not_matter(tree):
    one = find_images(["sub", "b.png", "."])
    two = find_images([".", "./b.png", "sub", "*.png", "b.png"])
    assert one.paths == two.paths
    assert len(one.paths) == 4


def test_a_named_file_is_kept_whatever_it_is(tree):
    given = ["absent.png", "notes.txt", ".hidden.png", "no-match-*.png"]
    found = find_images(given)
    assert names(found) == sorted(given)
    assert (found.hidden, found.others) == (0, 0)


def test_a_named_hidden_folder_is_searched(tree):
    assert names(find_images([".cache"])) == [".cache/f.png"]


def test_a_name_that_looks_like_a_pattern(tree):
    (tree / "field[1].png").write_bytes(b"x")
    assert names(find_images(["field[1].png"])) == ["field[1].png"]


@pytest.mark.parametrize("pattern", ["a**b/*.png", "sub/***"])
def test_a_pattern_that_is_none(tree, pattern):
    with pytest.raises(UsageError, match=re.escape(pattern)):
        find_images([pattern])


def test_links_in_a_circle_end(tree):
    (tree / "sub/loop").symlink_to(tree)
    (tree / "sub/deep/self").symlink_to(tree / "sub/deep")
    found = find_images([".", "**/*.png", "sub/**"])
    assert names(found) == ["a.TIF", "b.png", "sub/c.JPeG", "sub/deep/d.bmp"]


def test_a_linked_folder_is_followed_and_a_linked_file_listed_once(tree, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "z.png").write_bytes(b"x")
    (tree / "linked").symlink_to(elsewhere)
    (tree / "again.png").symlink_to(tree / "b.png")
    (tree / "broken.png").symlink_to(tree / "gone.png")
    assert names(find_images(["."])) == [
        "a.TIF", "again.png", "broken.png", "linked/z.png", "sub/c.JPeG", "sub/deep/d.bmp",
    ]  # fmt: skip


@contextmanager
def without_privileges():
    """Root may read everything: be nobody for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_cannot_be_listed_is_kept(tree):
    tree.chmod(0o755)
    (tree / "sub").chmod(0)
    try:
        with without_privileges():
            found = find_images(["."])
            assert names(found) == ["a.TIF", "b.png", "sub"]
            with pytest.raises(ImageError):
                read_image(found.paths[2], ReadSettings())
    finally:
        (tree / "sub").chmod(0o755)


def test_composed_and_decomposed_names_are_two_files(tree):
    text = "é ü 骨髓 x.png"
    for form in ("NFC", "NFD"):
        (tree / "sub" / unicodedata.normalize(form, text)).write_bytes(b"x")
    assert len(find_images(["sub/*x.png"]).paths) == 2


def test_a_name_too_long_or_impossible_is_kept(tree):
    given = ["x" * 5000 + ".png", "nul\0.png"]
    assert names(find_images(given)) == sorted(given)


def test_nothing_in_gives_nothing():
    assert find_images([]) == FoundImages(())
