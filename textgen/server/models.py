"""The runs that are served, as far as they are loaded.

A run is loaded when it is first asked for, again when it was trained further, and dropped when memory is needed for
others.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from textgen.errors import CheckpointError, RunError, TextgenError
from textgen.model.metadata import Metadata
from textgen.model.read import read_metadata
from textgen.runs.find import checkpoint_name
from textgen.runs.run import Run
from textgen.sampling.loading import load
from textgen.sampling.prompt_states import PromptStates
from textgen.sampling.rewriting.rewriter import load_rewriter
from textgen.sampling.running_batch import RunningBatch
from textgen.sampling.writer import Writer
from textgen.server.errors import RequestError
from textgen.server.loaded import Loaded, PairModel, Signature, bytes_of
from textgen.server.metrics import Metrics

_LOOK = 0.5
"""Seconds for which a run's files are taken to be as they were."""


class Pace:
    """How many characters a model reads in some time.

    >>> pace = Pace()
    >>> pace.characters(0.004)
    16
    >>> pace.add(16, 0.001)
    >>> 16 < pace.characters(0.004) <= 64
    True
    """

    def __init__(self) -> None:
        self._rate = 0.0

    def characters(self, seconds: float) -> int:
        """Characters for so many seconds, a multiple of 16 in [16, 1024]."""
        return max(16, min(1024, int(self._rate * seconds) // 16 * 16))

    def add(self, characters: int, seconds: float) -> None:
        """Hears how long it took to read some characters."""
        if characters:
            rate = characters / max(seconds, 1e-6)
            # A slow piece counts at once, a quick one bit by bit.
            self._rate = rate if rate < self._rate else 0.5 * (self._rate + rate)


class Model(Loaded):
    """A loaded run that continues texts, and the batch of the texts that it writes.

    Args:
        name: what clients call it.
        writer: the model.
        signature: of the file that it was loaded from.

    Attributes:
        pace: how fast it reads.
        states: those after the prompts that it read last.
    """

    def __init__(self, name: str, writer: Writer, signature: Signature) -> None:
        super().__init__(name, signature, writer.metadata, writer.config)
        self.writer = writer
        self.batch = RunningBatch(writer.engine)
        self.states = PromptStates()
        self.pace = Pace()

    def renew(self) -> None:
        """Forgets all texts."""
        self.batch = RunningBatch(self.writer.engine)
        self.states = PromptStates()


class Models:
    """The runs that are served, by name. Used in the event loop alone.

    Args:
        paths: runs' folders, and `.keras` files; the first is the one for requests that name none.
        memory: bytes that the loaded ones may take together.
        metrics: what is counted.

    Raises:
        RunError: there is none, or two have one name.
    """

    def __init__(self, paths: Sequence[Path], *, memory: int, metrics: Metrics) -> None:
        self._paths: dict[str, Path] = {}
        for path in paths:
            name = Run(path).name if path.is_dir() else checkpoint_name(path)
            if name in self._paths:
                raise RunError(f"Two runs are called {name!r}: {self._paths[name]} and {path}. Serve one of them.")
            self._paths[name] = path
        if not self._paths:
            raise RunError("There is no run to serve. Train one: textgen train TEXT")
        self._memory, self._metrics = memory, metrics
        self._loaded: dict[str, Model | PairModel] = {}
        # Models that were replaced live as long as the jobs that use them.
        self._replaced: weakref.WeakSet[Loaded] = weakref.WeakSet()
        self._coming: dict[str, int] = {}
        self._looked: dict[str, float] = {}
        self._locks = {name: asyncio.Lock() for name in self._paths}

    @property
    def names(self) -> list[str]:
        """What clients may ask for."""
        return list(self._paths)

    def name(self, given: str | None) -> str:
        """The name of a run, the first if none is given.

        Raises:
            RequestError: there is no such run.
        """
        if given is None:
            return self.names[0]
        if given not in self._paths:
            shown = ", ".join(self.names[:20]) + " ..." * (len(self.names) > 20)
            message = f"There is no model {given[:100]!r}. There are: {shown}."
            raise RequestError(404, message, param="model", code="model_not_found")
        return given

    def created(self, name: str) -> int:
        """The time of a run's last save, in seconds since 1970."""
        return int(_signature(self._paths[name])[1] / 1e9) if self._exists(name) else 0

    def _exists(self, name: str) -> bool:
        try:
            _signature(self._paths[name])
        except TextgenError:
            return False
        return True

    async def describe(self, name: str) -> dict[str, Any]:
        """What clients are told about a model."""
        try:
            metadata = await run_in_threadpool(lambda: read_metadata(_file(self._paths[name])))
        except TextgenError as error:
            raise _unavailable(name, error) from error
        return {**self.row(name), **_told(metadata)}

    def row(self, name: str) -> dict[str, Any]:
        """A model as OpenAI's clients list it."""
        return {"id": name, "object": "model", "created": self.created(name), "owned_by": "textgen"}

    async def get(self, given: str | None) -> Model | PairModel:
        """The newest model of a run, loaded now if it is not.

        Raises:
            RequestError: there is no such run, it cannot be loaded, or there is no memory for it now.
        """
        name = self.name(given)
        async with self._locks[name]:
            model = self._loaded.get(name)
            now = time.monotonic()
            if model is not None and now - self._looked.get(name, 0.0) < _LOOK:
                model.used = now
                return model
            self._looked[name] = now
            try:
                signature = _signature(self._paths[name])
                if model is None or signature != model.signature:
                    model = await self._load(name, signature)
            except TextgenError as error:
                # A run whose file is damaged or gone is served as it was.
                if model is None:
                    raise error if isinstance(error, RequestError) else _unavailable(name, error) from error
            model.used = now
            return model

    async def _load(self, name: str, signature: Signature) -> Model | PairModel:
        path = Path(signature[0])
        metadata = await run_in_threadpool(read_metadata, path)
        needed = bytes_of(metadata.model)
        self._make_room(needed, name)
        # Another run may be asked for meanwhile, and must not count on this room.
        self._coming[name] = needed
        try:
            model: Model | PairModel
            if metadata.model.has_encoder:
                model = PairModel(name, await run_in_threadpool(load_rewriter, path), signature)
            else:
                model = Model(name, await run_in_threadpool(load, path), signature)
        finally:
            del self._coming[name]
        before = self._loaded.get(name)
        if before is not None:
            self._replaced.add(before)
        self._loaded[name] = model
        self._metrics.count("loads")
        self._measure()
        return model

    def _make_room(self, needed: int, name: str) -> None:
        """Drops models that nobody uses until there is room for one more.

        Raises:
            RequestError: there is not enough even so.
        """
        idle = sorted((each.used, each.name) for each in self._loaded.values() if not each.users and each.name != name)
        if needed > self._memory:
            raise RequestError(
                503,
                f"The model {name!r} needs {needed / 2**20:,.0f} MiB, more than the server may use for models. "
                "Start the server with more --memory.",
                code="model_too_large",
            )
        own = self._loaded.get(name)
        if own is not None and not own.users:
            # It is about to be replaced.
            needed -= own.bytes
        while self.bytes + needed > self._memory and idle:
            del self._loaded[idle.pop(0)[1]]
        if self.bytes + needed > self._memory:
            message = f"There is no memory for the model {name!r} while others are used. Try again later."
            raise RequestError(503, message, code="no_memory", retry_after=5)

    @property
    def bytes(self) -> int:
        """The memory of the models that are loaded or being loaded."""
        replaced = [each for each in self._replaced if each.users]
        return sum(each.bytes for each in (*self._loaded.values(), *replaced)) + sum(self._coming.values())

    def _measure(self) -> None:
        self._metrics.set("loaded_models", len(self._loaded))
        self._metrics.set("model_bytes", self.bytes)


def _file(path: Path) -> Path:
    return Run(path).checkpoint if path.is_dir() else path


def _signature(path: Path) -> Signature:
    """The file of a run's model, and what changes with it.

    Raises:
        RunError: there is none.
    """
    file = _file(path)
    try:
        status = file.stat()
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read.") from error
    return str(file), status.st_mtime_ns, status.st_size, status.st_ino


def _unavailable(name: str, error: TextgenError) -> RequestError:
    """A run that cannot be loaded; paths on the server are no business of clients."""
    del error
    message = f"The model {name!r} cannot be loaded now. See `textgen info {name}` where the server runs."
    return RequestError(503, message, code="model_unavailable", retry_after=10)


def _told(metadata: Metadata) -> dict[str, Any]:
    tokenizer, source, model = metadata.tokenizer, metadata.source_tokenizer, metadata.model
    return {
        "characters": list(tokenizer.characters),
        "pairs": model.has_encoder,
        "source_characters": None if source is None else list(source.characters),
        "records": tokenizer.has_end,
        "labels": list(metadata.corpus.labels),
        "layers": model.layers,
        "units": model.units,
        "cell": model.cell,
        "bits_per_character": metadata.metrics.bits_per_character,
    }
