"""Tokens between commands: the keyring, and the file where there is none."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import keyring.backends.fail
import keyring.backends.null
import pytest
from support.fake_keyring import FakeRing

from annotator.core.errors import CvatError, StorageError
from export.cvat.client.token_store import SERVICE, TokenStore

URL, OTHER = "https://cvat.example.org", "http://localhost:8080"


@pytest.fixture
def ring() -> FakeRing:
    return FakeRing()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "config" / "trephine"


def locked() -> FakeRing:
    made = FakeRing()
    made.locked = True
    return made


NO_RING = [keyring.backends.fail.Keyring, keyring.backends.null.Keyring, locked]


def test_the_keyring_keeps_one_token_a_server(ring: FakeRing, folder: Path) -> None:
    keeper = TokenStore(ring, folder)
    assert "keyring" in keeper.keep(URL, "one")
    keeper.keep(OTHER, "other")
    keeper.keep(URL, "two")
    assert (keeper.find(URL), keeper.find(OTHER), keeper.find("x")) == ("two", "other", None)
    assert ring.kept == {(SERVICE, URL): "two", (SERVICE, OTHER): "other"}
    assert not folder.exists()


@pytest.mark.parametrize("make", NO_RING)
def test_without_a_keyring_a_file_of_ones_own_keeps_it(make: type, folder: Path) -> None:
    keeper = TokenStore(make(), folder)
    assert str(folder / "cvat.json") in keeper.keep(URL, "one")
    keeper.keep(OTHER, "other")
    assert (keeper.find(URL), keeper.find(OTHER)) == ("one", "other")
    assert stat.S_IMODE((folder / "cvat.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == ["cvat.json"]


@pytest.mark.parametrize("make", [FakeRing, *NO_RING])
def test_a_forgotten_token_is_gone(make: type, folder: Path) -> None:
    keeper = TokenStore(make(), folder)
    assert not keeper.forget(URL)
    keeper.keep(URL, "one")
    keeper.keep(OTHER, "other")
    assert keeper.forget(URL)
    assert (keeper.find(URL), keeper.find(OTHER)) == (None, "other")
    assert not keeper.forget(URL)


def test_a_keyring_that_was_locked_before_takes_over(ring: FakeRing, folder: Path) -> None:
    ring.locked = True
    TokenStore(ring, folder).keep(URL, "one")
    ring.locked = False
    keeper = TokenStore(ring, folder)
    assert keeper.find(URL) == "one"
    keeper.keep(URL, "two")
    assert keeper.find(URL) == "two"
    assert "one" not in (folder / "cvat.json").read_text()


@pytest.mark.skipif(os.name != "posix", reason="no modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_file_that_others_can_read_is_not_used(folder: Path, mode: int) -> None:
    keeper = TokenStore(locked(), folder)
    keeper.keep(URL, "one")
    keeper.file.chmod(mode)
    with pytest.raises(CvatError, match=r"cvat\.json") as caught:
        keeper.find(URL)
    assert "one" not in str(caught.value).split()


@pytest.mark.skipif(os.name != "posix", reason="no links")
def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(parents=True)
    (tmp_path / "elsewhere").write_text("{}")
    (folder / "cvat.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CvatError, match=r"cvat\.json"):
        TokenStore(locked(), folder).find(URL)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\0"])
def test_a_damaged_file_is_named(folder: Path, text: str) -> None:
    keeper = TokenStore(locked(), folder)
    keeper.keep(URL, "one")
    keeper.file.write_text(text)
    with pytest.raises(CvatError, match=r"cvat\.json"):
        keeper.find(URL)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((StorageError, CvatError), match="file"):
        TokenStore(locked(), tmp_path / "file" / "in").keep(URL, "one")


def test_nothing_is_shown() -> None:
    assert repr(TokenStore(FakeRing())) == "<TokenStore>"
