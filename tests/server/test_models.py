"""Runs are loaded when they are asked for, again when they have changed, and dropped when memory is short."""

import asyncio
import gc
import os
import shutil
import threading
import weakref
from pathlib import Path

import pytest

from textgen.errors import RunError
from textgen.runs.run import Run
from textgen.sampling.loading import load
from textgen.sampling.rewriting.rewriter import load_rewriter
from textgen.sampling.writer import Writer
from textgen.server.errors import RequestError
from textgen.server.loaded import PairModel
from textgen.server.metrics import Metrics
from textgen.server.models import Model, Models


@pytest.fixture
def folders(home: Path, tmp_path: Path) -> list[Path]:
    """Three runs that are alike."""
    for name in ("one", "two", "three"):
        shutil.copytree(home / "checkpoints" / "tiny", tmp_path / name)
    return [tmp_path / name for name in ("one", "two", "three")]


def made(paths: list[Path], memory: int = 2**30) -> Models:
    return Models(paths, memory=memory, metrics=Metrics())


def test_a_run_is_loaded_when_it_is_first_asked_for_and_once(folders: list[Path]) -> None:
    async def ask() -> None:
        models = made(folders)
        assert models.bytes == 0 and models.names == ["one", "two", "three"]
        first, again, default = await asyncio.gather(models.get("one"), models.get("one"), models.get(None))
        assert first is again is default
        text = first.writer.generate("The ", seed=1, max_new_tokens=20).text
        assert text == load(folders[0]).generate("The ", seed=1, max_new_tokens=20).text
        assert first.fingerprint == (await models.get("two")).fingerprint
        with pytest.raises(RequestError, match="There is no model 'four'"):
            await models.get("four")

    asyncio.run(ask())


def test_a_newer_checkpoint_is_picked_up_and_running_texts_keep_theirs(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textgen.server.models._LOOK", 0.0)

    async def ask() -> None:
        models, best = made(folders), Run(folders[0]).best
        before = await models.get("one")
        assert await models.get("one") is before
        before.users = 1
        newer = folders[0] / "newer"
        shutil.copy(best, newer)
        os.utime(newer, ns=(1, 1))
        newer.replace(best)
        after = await models.get("one")
        assert after is not before
        # Both are in memory until nobody uses the first.
        assert models.bytes == before.bytes + after.bytes
        before.release()
        assert models.bytes == after.bytes
        gone = weakref.ref(before)
        del before
        gc.collect()
        assert gone() is None
        best.write_bytes(b"damaged")
        assert await models.get("one") is after
        shutil.rmtree(folders[0])
        assert await models.get("one") is after

    asyncio.run(ask())


def test_models_used_longest_ago_are_dropped_for_others_but_none_in_use(folders: list[Path]) -> None:
    async def ask() -> None:
        size = (await made(folders).get("one")).bytes
        models = made(folders, memory=2 * size)
        one, two = await models.get("one"), await models.get("two")
        await asyncio.sleep(0.01)
        assert await models.get("one") is one
        await models.get("three")
        assert set(models._loaded) == {"one", "three"} and models.bytes == 2 * size
        for each in models._loaded.values():
            each.users = 1
        with pytest.raises(RequestError, match="no memory for the model 'two'") as caught:
            await models.get("two")
        assert (caught.value.status, caught.value.retry_after) == (503, 5)
        del two
        with pytest.raises(RequestError, match="--memory"):
            await made(folders, memory=size - 1).get("one")

    asyncio.run(ask())


def test_a_run_that_is_being_loaded_has_its_room_already(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(path: Path) -> Writer:
        begun.set()
        assert go_on.wait(20)
        return load(path)

    async def ask() -> None:
        size = (await made(folders).get("one")).bytes
        models = made(folders, memory=2 * size - 1)
        monkeypatch.setattr("textgen.server.models.load", slow)
        first = asyncio.create_task(models.get("one"))
        assert await asyncio.to_thread(begun.wait, 20)
        second = asyncio.create_task(models.get("two"))
        await asyncio.wait({second}, timeout=5)
        go_on.set()
        with pytest.raises(RequestError, match="no memory for the model 'two'"):
            await second
        assert models.bytes == (await first).bytes == size
        assert (await models.get("two")).bytes == models.bytes

    asyncio.run(ask())


def test_a_damaged_run_is_503_without_a_path(folders: list[Path]) -> None:
    Run(folders[1]).best.write_bytes(b"damaged")

    async def ask() -> None:
        with pytest.raises(RequestError, match="textgen info two") as caught:
            await made(folders).get("two")
        assert caught.value.status == 503 and str(folders[1]) not in str(caught.value)
        with pytest.raises(RequestError, match="cannot be loaded"):
            await made(folders).describe("two")

    asyncio.run(ask())


def test_a_run_that_turns_one_text_into_another_is_loaded_as_one(folders: list[Path], pairs_run: Run) -> None:
    async def ask() -> None:
        models = made([*folders, pairs_run.path])
        found = await models.get("old_spelling")
        assert isinstance(found, PairModel) and isinstance(await models.get("one"), Model)
        assert found.rewriter.rewrite("ſea", beam=1) == load_rewriter(pairs_run.path).rewrite("ſea", beam=1)
        told = await models.describe("old_spelling")
        assert told["pairs"] and "ſ" in told["source_characters"]
        assert (await models.describe("one"))["source_characters"] is None

    asyncio.run(ask())


def test_no_run_and_two_of_one_name_are_refused(folders: list[Path], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run to serve"):
        made([])
    shutil.copytree(folders[0], tmp_path / "elsewhere" / "one")
    with pytest.raises(RunError, match="Two runs are called 'one'"):
        made([folders[0], tmp_path / "elsewhere" / "one"])
