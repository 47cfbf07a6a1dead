import base64
import hashlib
import http.server
import os
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import urllib3

from annotator.core.errors import WeightsError
from annotator.segmentation.sam.weights import (
    OFFICIAL,
    Checkpoint,
    OfficialWeights,
    fetch,
    list_weights,
    resolve,
    verify,
    weights_directory,
)

BODY = bytes(range(256)) * 4000
ROOT = Path(__file__).parents[4]


@dataclass
class Behaviour:
    """What the loopback server does, and the Range headers, paths and logins it was asked with."""

    body: bytes = BODY
    ranges: bool = True
    status: int = 200
    first_statuses: list[int] = field(default_factory=list)
    cut_after: list[int] = field(default_factory=list)
    content_range: str | None = None
    tells_length: bool = True
    asked: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    logins: list[str | None] = field(default_factory=list)


class WeightsHandler(http.server.BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        b = self.behaviour
        wanted = self.headers.get("Range")
        b.asked.append(wanted)
        b.paths.append(self.path)
        b.logins.append(self.headers.get("Proxy-Authorization"))
        status = b.first_statuses.pop(0) if b.first_statuses else b.status
        if status == 302:
            self.send_response(302)
            self.send_header("Location", "/elsewhere.pth")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if status != 200:
            self.send_error(status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and b.ranges else 0
        rest = b.body[start:]
        self.send_response(206 if wanted and b.ranges else 200)
        if wanted and b.ranges:
            span = f"bytes {start}-{len(b.body) - 1}/{len(b.body)}"
            self.send_header("Content-Range", b.content_range or span)
        if b.tells_length:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: b.cut_after.pop(0)] if b.cut_after else rest)

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


@dataclass
class WeightsServer:
    behaviour: Behaviour
    table: dict[str, OfficialWeights]


@pytest.fixture
def server() -> Iterator[WeightsServer]:
    behaviour = Behaviour()
    handler = type("Bound", (WeightsHandler,), {"behaviour": behaviour})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield WeightsServer(
            behaviour, table(f"http://127.0.0.1:{served.server_port}/sam_small.pth")
        )
        served.shutdown()
        thread.join()


def table(url: str) -> dict[str, OfficialWeights]:
    sha = hashlib.sha256(BODY).hexdigest()
    return {"small": OfficialWeights("small", url, sha, len(BODY), 1)}


QUICK = urllib3.Retry(3, connect=0, other=0)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy this machine needs, the loopback server is reached without one."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def get(server: WeightsServer, folder: Path, **more: Any) -> Checkpoint:
    return fetch("small", directory=folder, retries=QUICK, official=server.table, **more)


def part(folder: Path, content: bytes) -> Path:
    path = folder / "sam_small.pth.part"
    path.write_bytes(content)
    return path


def test_fetch_brings_verifies_and_reports(server: WeightsServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    got = get(server, tmp_path / "new", on_progress=lambda done, size: seen.append((done, size)))
    assert got.path.read_bytes() == BODY
    assert (got.name, got.kind) == ("small", "official")
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert seen == sorted(seen)
    assert not list(got.path.parent.glob("*.part"))


def test_fetch_again_asks_nobody(server: WeightsServer, tmp_path: Path) -> None:
    get(server, tmp_path)
    get(server, tmp_path)
    assert len(server.behaviour.asked) == 1


def test_fetch_goes_on_from_a_part(server: WeightsServer, tmp_path: Path) -> None:
    part(tmp_path, BODY[:1000])
    assert get(server, tmp_path).path.read_bytes() == BODY
    assert server.behaviour.asked == ["bytes=1000-"]


def test_fetch_starts_over_when_the_server_ignores_range(
    server: WeightsServer, tmp_path: Path
) -> None:
    server.behaviour.ranges = False
    part(tmp_path, b"x" * 1000)
    assert get(server, tmp_path).path.read_bytes() == BODY
    assert server.behaviour.asked == ["bytes=1000-"]


def test_fetch_goes_on_after_cut_connections(server: WeightsServer, tmp_path: Path) -> None:
    server.behaviour.cut_after = [300_000, 200_000]
    assert get(server, tmp_path).path.read_bytes() == BODY
    assert server.behaviour.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_fetch_gives_up_after_bounded_attempts_and_keeps_the_part(
    server: WeightsServer, tmp_path: Path
) -> None:
    server.behaviour.cut_after = [1000] * 9
    with pytest.raises(WeightsError, match=r"4 .*4,000 .*1,024,000"):
        get(server, tmp_path)
    assert len(server.behaviour.asked) == 4
    assert list_weights(tmp_path, server.table)[0].partial == 4000


def test_fetch_distrusts_a_wrong_content_range(server: WeightsServer, tmp_path: Path) -> None:
    part(tmp_path, BODY[:1000])
    server.behaviour.content_range = f"bytes 7-{len(BODY) - 1}/{len(BODY)}"
    assert get(server, tmp_path).path.read_bytes() == BODY
    assert server.behaviour.asked == ["bytes=1000-", None]


def test_fetch_starts_over_when_the_server_refuses_the_range(
    server: WeightsServer, tmp_path: Path
) -> None:
    part(tmp_path, BODY[:1000])
    server.behaviour.first_statuses = [416]
    assert get(server, tmp_path).path.read_bytes() == BODY
    assert server.behaviour.asked == ["bytes=1000-", None]


def test_fetch_goes_on_after_a_busy_server(server: WeightsServer, tmp_path: Path) -> None:
    server.behaviour.first_statuses = [503, 429]
    assert get(server, tmp_path).path.read_bytes() == BODY
    assert len(server.behaviour.asked) == 3


def test_fetch_follows_the_server_elsewhere(server: WeightsServer, tmp_path: Path) -> None:
    server.behaviour.first_statuses = [302]
    assert get(server, tmp_path).path.read_bytes() == BODY
    assert server.behaviour.paths == ["/sam_small.pth", "/elsewhere.pth"]


def test_a_server_that_sends_too_much_is_not_believed(
    server: WeightsServer, tmp_path: Path
) -> None:
    server.behaviour.body, server.behaviour.tells_length = BODY + b"more", False
    with pytest.raises(WeightsError, match="1,024,004 of 1,024,000 bytes came"):
        get(server, tmp_path)
    assert not (tmp_path / "sam_small.pth").exists()


def test_fetch_goes_through_the_proxy_of_the_environment(
    server: WeightsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = server.table["small"].url.removeprefix("http://").partition("/")[0]
    monkeypatch.setenv("http_proxy", f"http://me:top%20secret@{address}")
    far = table("http://weights.invalid/sam_small.pth")
    got = fetch("small", directory=tmp_path, retries=QUICK, official=far)
    assert got.path.read_bytes() == BODY
    assert server.behaviour.paths == ["http://weights.invalid/sam_small.pth"]
    assert server.behaviour.logins == ["Basic " + base64.b64encode(b"me:top secret").decode()]


def test_fetch_goes_past_a_proxy_where_the_environment_says_so(
    server: WeightsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert get(server, tmp_path).path.read_bytes() == BODY


def test_a_proxy_that_is_not_there_is_no_connection(
    server: WeightsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"no connection to .* check network and proxy"):
        get(server, tmp_path)
    assert server.behaviour.asked == []


def test_fetch_starts_over_when_the_old_part_is_wrong(
    server: WeightsServer, tmp_path: Path
) -> None:
    part(tmp_path, b"x" * 1000)
    assert get(server, tmp_path).path.read_bytes() == BODY
    assert server.behaviour.asked == ["bytes=1000-", None]


@pytest.mark.parametrize("length", [len(BODY), len(BODY) + 5])
def test_fetch_replaces_a_whole_or_too_long_wrong_part(
    server: WeightsServer, tmp_path: Path, length: int
) -> None:
    part(tmp_path, b"x" * length)
    assert get(server, tmp_path).path.read_bytes() == BODY
    assert server.behaviour.asked == [None]


def test_fetch_throws_a_wrong_file_away_and_leaves_the_old_one(
    server: WeightsServer, tmp_path: Path
) -> None:
    server.behaviour.body = BODY[::-1]
    old = tmp_path / "sam_small.pth"
    old.write_bytes(b"old")
    with pytest.raises(WeightsError, match=r"sha256 \w{64} "):
        get(server, tmp_path)
    assert old.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["sam_small.pth"]


def test_fetch_does_not_take_a_login_page_for_the_file(
    server: WeightsServer, tmp_path: Path
) -> None:
    server.behaviour.body = b"<html>please log in</html>"
    with pytest.raises(WeightsError, match=r"26 .*1,024,000"):
        get(server, tmp_path)


def test_fetch_names_a_missing_file(server: WeightsServer, tmp_path: Path) -> None:
    server.behaviour.status = 404
    with pytest.raises(WeightsError, match="404"):
        get(server, tmp_path)
    assert len(server.behaviour.asked) == 1


def test_fetch_tries_again_when_the_server_is_busy(server: WeightsServer, tmp_path: Path) -> None:
    server.behaviour.status = 503
    with pytest.raises(WeightsError, match=r"4 .*503"):
        get(server, tmp_path)


def test_fetch_offline_tells_how_to_do_it_by_hand(tmp_path: Path) -> None:
    closed = table("http://127.0.0.1:9/sam_small.pth")
    with pytest.raises(WeightsError, match="no connection") as caught:
        fetch("small", directory=tmp_path, retries=QUICK, official=closed)
    assert "http://127.0.0.1:9/sam_small.pth" in str(caught.value)
    assert str(tmp_path / "sam_small.pth") in str(caught.value)


def test_fetch_looks_for_room_first(server: WeightsServer, tmp_path: Path) -> None:
    huge = {"small": replace(server.table["small"], bytes=10**17)}
    with pytest.raises(WeightsError, match=r"needs 100,000,000,000 MB.*are free"):
        fetch("small", directory=tmp_path, retries=QUICK, official=huge)
    assert server.behaviour.asked == []


def test_fetch_refuses_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"vit_b, vit_l, vit_h.*'vit_x'"):
        fetch("vit_x", directory=tmp_path)


def test_fetch_reports_a_folder_it_cannot_make(server: WeightsServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match="weights"):
        get(server, tmp_path / "file" / "weights")


def test_resolve_never_downloads_and_says_what_to_run(
    server: WeightsServer, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="small"):
        resolve("small", tmp_path, server.table)
    assert server.behaviour.asked == []


def test_resolve_by_name_and_by_path(tmp_path: Path) -> None:
    known = table("https://example.org/sam_small.pth")
    own = tmp_path / "mine.pt"
    own.write_bytes(b"weights")
    copy = tmp_path / "renamed.pth"
    copy.write_bytes(BODY)
    (tmp_path / "sam_small.pth").write_bytes(BODY)

    assert resolve("small", tmp_path, known).kind == "official"
    assert resolve(copy, tmp_path / "elsewhere", known).name == "small"
    mine = resolve(str(own), tmp_path, known)
    assert (mine.name, mine.kind) == ("mine.pt", "own")
    assert mine.sha256 == hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(WeightsError, match="vit_c"):
        resolve("vit_c", tmp_path, known)


def test_a_damaged_official_file_is_refused_even_after_it_was_verified(tmp_path: Path) -> None:
    known = table("https://example.org/sam_small.pth")
    path = tmp_path / "sam_small.pth"
    path.write_bytes(BODY)
    resolve("small", tmp_path, known)
    assert list_weights(tmp_path, known)[0].verified
    path.write_bytes(BODY[:-1])
    for look in (resolve, verify):
        with pytest.raises(WeightsError, match=r"sha256 .*\w{64} .*1,023,999"):
            look("small", tmp_path, known)
    row = list_weights(tmp_path, known)[0]
    assert row.present
    assert not row.verified


def test_verify_reads_the_file_though_its_stamp_says_all_is_well(tmp_path: Path) -> None:
    known = table("https://example.org/sam_small.pth")
    path = tmp_path / "sam_small.pth"
    path.write_bytes(BODY)
    resolve("small", tmp_path, known)
    before = path.stat().st_mtime_ns
    path.write_bytes(BODY[::-1])
    os.utime(path, ns=(before, before))
    with pytest.raises(WeightsError, match="small"):
        verify("small", tmp_path, known)


def test_a_broken_stamp_is_ignored(tmp_path: Path) -> None:
    known = table("https://example.org/sam_small.pth")
    (tmp_path / "sam_small.pth").write_bytes(BODY)
    (tmp_path / "sam_small.pth.sha256.json").write_text("[1]")
    assert resolve("small", tmp_path, known).kind == "official"


def test_list_weights_on_an_empty_machine(tmp_path: Path) -> None:
    rows = list_weights(tmp_path / "nothing")
    assert [r.name for r in rows] == ["vit_b", "vit_l", "vit_h"]
    assert not any(r.present or r.verified or r.partial for r in rows)
    assert rows[0].path == tmp_path / "nothing" / "sam_vit_b_01ec64.pth"


def test_weights_chosen_by_the_environment_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREPHINE_WEIGHTS", "/w")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert weights_directory().as_posix() == "/w"


@pytest.mark.skipif(sys.platform != "linux", reason="the folders of Linux")
def test_weights_lie_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TREPHINE_WEIGHTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/h")
    assert weights_directory().as_posix() == "/h/.cache/trephine/weights"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert weights_directory().as_posix() == "/x/trephine/weights"


def test_the_document_mirrors_the_table() -> None:
    text = (ROOT / "sam_weights.md").read_text()
    rows = [
        tuple(cell.strip().strip("`<>") for cell in line.strip("|").split("|"))
        for line in text.splitlines()
        if re.match(r"\| `vit_", line)
    ]
    assert rows == [
        (w.name, w.file, f"{w.bytes:,}", f"{w.parameters:,}", w.sha256, w.url, "Apache-2.0")
        for w in OFFICIAL.values()
    ]
