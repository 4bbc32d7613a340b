"""Downloads of named corpora from a server on loopback that fails in every way: nothing wrong is ever put in place."""

import random
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faulty_server import FaultyServer, serving
from named_entries import RAW, TEXT, entry

from textgen.corpus.named import fetch_text, store
from textgen.corpus.named.download import Patience
from textgen.corpus.named.entry import Recipe
from textgen.corpus.named.verifying import verify
from textgen.errors import CorpusError

QUICK = Patience(attempts=3, connecting=2.0, silence=0.2)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """pooch waits between attempts, for 10 s at most."""
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def closed_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/file.txt"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "corpora"


def test_a_text_is_downloaded_once_and_then_found(folder: Path) -> None:
    with serving(FaultyServer(RAW)) as server:
        told: list[tuple[str, int, int]] = []
        path = fetch_text(entry(server.address), folders=[folder], report=lambda *each: told.append(each))
        assert files(folder) == {"sea.txt": RAW}
        assert told[-1] == ("sea", len(RAW), len(RAW))
    assert fetch_text(entry(server.address), folders=[folder]) == path == folder / "sea.txt"
    assert len(server.requests) == 1


def test_what_is_in_any_folder_is_used_and_the_first_takes_downloads(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    second.mkdir()
    (second / "sea.txt").write_bytes(RAW)
    assert fetch_text(entry(closed_port()), folders=[first, second], offline=True) == second / "sea.txt"
    (second / "sea.txt").write_bytes(b"another text of this name")
    with serving(FaultyServer(RAW)) as server:
        assert fetch_text(entry(server.address), folders=[first, second]) == first / "sea.txt"


def test_of_several_at_once_one_downloads(folder: Path) -> None:
    with serving(FaultyServer(RAW)) as server, ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(fetch_text, entry(server.address), folders=[folder]) for _ in range(4)]
        assert {each.result() for each in waiting} == {folder / "sea.txt"}
    assert len(server.requests) == 1
    assert files(folder) == {"sea.txt": RAW}


def test_a_text_that_another_process_writes_meanwhile_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_before(*_: object) -> None:
        folder.mkdir()
        (folder / "sea.txt").write_bytes(RAW)

    monkeypatch.setattr(store, "find_text", find_before)
    with serving(FaultyServer(RAW)) as server:
        assert fetch_text(entry(server.address), folders=[folder]) == folder / "sea.txt"
    assert server.requests == []


def test_a_connection_that_breaks_is_resumed_where_it_broke(folder: Path) -> None:
    with serving(FaultyServer(RAW, ["cut", "cut", ""], cut=lambda number: 20_480)) as server:
        fetch_text(entry(server.address), folders=[folder], patience=QUICK)
    assert server.requests == ["", "bytes=20480-", "bytes=40960-"]
    assert server.sent == len(RAW)
    assert files(folder) == {"sea.txt": RAW}


def test_a_part_is_kept_for_the_next_time(folder: Path) -> None:
    with serving(FaultyServer(RAW, ["cut"], cut=lambda number: 8192)) as server:
        with pytest.raises(CorpusError, match="there is no connection, or it breaks"):
            fetch_text(entry(server.address), folders=[folder], patience=QUICK)
        assert files(folder) == {"sea.txt.part": RAW[: 3 * 8192]}
        server.faults = [""]
        fetch_text(entry(server.address), folders=[folder], patience=QUICK)
    assert server.requests[-1] == "bytes=24576-"
    assert files(folder) == {"sea.txt": RAW}


@pytest.mark.parametrize("part", [b"x" * 1000, RAW + b"more", b"x" * len(RAW), RAW])
def test_a_part_of_something_else_does_no_harm(part: bytes, folder: Path) -> None:
    folder.mkdir()
    (folder / "sea.txt.part").write_bytes(part)
    with serving(FaultyServer(RAW)) as server:
        fetch_text(entry(server.address), folders=[folder], patience=QUICK)
    assert files(folder) == {"sea.txt": RAW}


@pytest.mark.parametrize("fault", ["no ranges", "wrong range"])
def test_a_server_that_cannot_resume_starts_again(fault: str, folder: Path) -> None:
    with serving(FaultyServer(RAW, ["cut", fault, ""], cut=lambda number: 10_000)) as server:
        fetch_text(entry(server.address), folders=[folder], patience=QUICK)
    assert files(folder) == {"sea.txt": RAW}


@pytest.mark.parametrize("fault", [*FaultyServer.KINDS, "500", "no length", "not http"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_an_address_that_keeps_failing_leads_to_the_mirror_or_a_sentence(
    fault: str, mirrored: bool, folder: Path
) -> None:
    with serving(FaultyServer(RAW, [fault], cut=lambda number: 100)) as bad, serving(FaultyServer(RAW)) as good:
        described = entry(bad.address, *[good.address] * mirrored)
        if mirrored:
            assert fetch_text(described, folders=[folder], patience=QUICK).read_bytes() == RAW
            return
        with pytest.raises(CorpusError) as raised:
            fetch_text(described, folders=[folder], patience=QUICK)
    sentence = str(raised.value)
    assert "\n" not in sentence
    for part in (bad.address, described.sha256, str(folder / "sea.txt"), f"{len(RAW):,} bytes"):
        assert part in sentence
    assert set(files(folder)) <= {"sea.txt.part"}


def test_a_redirection_is_followed(folder: Path) -> None:
    with serving(FaultyServer(RAW)) as server:
        fetch_text(entry(server.address.replace("file.txt", "moved")), folders=[folder])
    assert files(folder) == {"sea.txt": RAW}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FaultyServer.KINDS)
def test_a_hundred_faults_of_a_kind_put_nothing_wrong_in_place(fault: str, tmp_path: Path) -> None:
    draw = random.Random(fault)
    raw = RAW[:20_000]
    patience = Patience(attempts=2, connecting=2.0, silence=0.03)
    arrived = 0
    for number in range(100):
        folder = tmp_path / str(number)
        faults = [draw.choice([fault, fault, ""]) for _ in range(4)]
        with serving(FaultyServer(raw, faults, cut=lambda request: draw.randrange(len(raw)))) as server:
            try:
                fetch_text(entry(server.address, raw=raw, text=raw), folders=[folder], patience=patience)
                arrived += 1
                assert files(folder) == {"sea.txt": raw}
            except CorpusError as error:
                assert "\n" not in str(error)
                assert set(files(folder)) <= {"sea.txt.part"}
    assert 0 < arrived < 100


def test_without_a_network_a_file_put_there_by_hand_is_taken(folder: Path) -> None:
    raw = TEXT.encode("utf-16")
    described = entry(closed_port(), raw=raw, text=RAW, recipe=Recipe(encoding="utf-16"))
    with pytest.raises(CorpusError, match="nothing is downloaded offline") as raised:
        fetch_text(described, folders=[folder], offline=True)
    place = folder / "raw" / "sea.txt"
    assert str(place) in str(raised.value)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"something else")
    with pytest.raises(CorpusError, match="nothing is downloaded offline"):
        fetch_text(described, folders=[folder], offline=True)
    place.write_bytes(raw)
    assert fetch_text(described, folders=[folder], offline=True).read_bytes() == RAW


def test_another_file_of_the_name_is_never_overwritten(folder: Path) -> None:
    folder.mkdir()
    (folder / "sea.txt").write_text("mine")
    with serving(FaultyServer(RAW)) as server, pytest.raises(CorpusError, match="Move it away"):
        fetch_text(entry(server.address), folders=[folder])
    assert files(folder) == {"sea.txt": b"mine"}


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="TEXTGEN_CORPORA chooses another folder"):
        fetch_text(entry(closed_port()), folders=[tmp_path / "file" / "corpora"])


def test_without_pooch_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(CorpusError, match=r"pip install 'textgen-chars\[corpora\]'\. Get http"):
        fetch_text(entry(closed_port()), folders=[folder])


def test_verifying_tries_each_address_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    raw = TEXT.encode("utf-16")
    with serving(FaultyServer(raw)) as good, serving(FaultyServer(raw, ["404"])) as bad:
        described = entry(good.address, bad.address, raw=raw, text=RAW, recipe=Recipe(encoding="utf-16"))
        assert list(verify(described, patience=QUICK)) == [(good.address, ""), (bad.address, "it answers 404")]
        other = entry(good.address, raw=raw, text=RAW[:-1], recipe=Recipe(encoding="utf-16"))
        ((_, problem),) = verify(other, patience=QUICK)
        assert "does not give its text" in problem
    assert files(tmp_path) == {}
