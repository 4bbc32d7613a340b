"""The endpoints, as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from textgen.config import ServerConfig
from textgen.errors import TextgenError
from textgen.sampling.prompt import Prompt
from textgen.server.chat import ChatShape, parse_chat
from textgen.server.completions import CompletionShape
from textgen.server.errors import JSON, RequestError, refused, too_late
from textgen.server.filling import check_suffix, fill_gap
from textgen.server.job import Job, Piece
from textgen.server.loaded import PairModel
from textgen.server.metrics import Metrics
from textgen.server.models import Model, Models
from textgen.server.openapi import document
from textgen.server.page import page_response
from textgen.server.request import CompletionRequest, parse, parse_json
from textgen.server.rewriting import RewriteJob, RewriteQueue
from textgen.server.scheduler import Scheduler
from textgen.server.security import Guard
from textgen.server.sources import begin_rewriting, check_rewriting
from textgen.server.streaming import Answer, Shape, left

_SHORT = 2_000
"""Characters of prompts up to which a request without constraints is prepared in the event loop's thread."""

Parse = Callable[[Mapping[str, Any]], CompletionRequest]
MakeShape = Callable[[CompletionRequest, Job], Shape]


class Server:
    """The endpoints and what they share.

    Args:
        config: the settings.
        models: the runs.
        metrics: what is counted.

    Attributes:
        app: the ASGI application.
        scheduler: writes the texts.
        rewriting: writes those of models that turn one text into another.
    """

    def __init__(self, config: ServerConfig, models: Models, metrics: Metrics) -> None:
        self._config, self._models, self._metrics = config, models, metrics
        self.scheduler = Scheduler(config, metrics)
        self.rewriting = RewriteQueue(config, metrics)
        self._filling = asyncio.Lock()
        self._filling_waits: set[object] = set()
        routes = [
            Route("/", self._page, methods=["GET"]),
            Route("/health", self._health, methods=["GET"]),
            Route("/metrics", self._told, methods=["GET"]),
            Route("/openapi.json", self._openapi, methods=["GET"]),
            Route("/v1/models", self._list, methods=["GET"]),
            Route("/v1/models/{model:path}", self._model, methods=["GET"]),
            Route("/v1/completions", self._completions, methods=["POST"]),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
        ]
        handlers: dict[Any, Any] = {
            HTTPException: _http_error,
            TextgenError: _told_error,
            ClientDisconnect: _gone,
            Exception: _defect,
        }
        starlette = Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)
        starlette.router.redirect_slashes = False
        self.app: ASGIApp = Guard(starlette, config, metrics)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self.scheduler.start()
        try:
            yield
        finally:
            self.scheduler.close()
            self.rewriting.close()
            await run_in_threadpool(self.scheduler.join)
            await run_in_threadpool(self.rewriting.join)

    async def _page(self, _: Request) -> Response:
        return page_response()

    async def _health(self, _: Request) -> Response:
        return JSON({"status": "ok"})

    async def _told(self, _: Request) -> Response:
        return PlainTextResponse(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _openapi(self, _: Request) -> Response:
        return JSON(document())

    async def _list(self, _: Request) -> Response:
        rows = [self._models.row(name) for name in self._models.names]
        return JSON({"object": "list", "data": rows})

    async def _model(self, request: Request) -> Response:
        return JSON(await self._models.describe(self._models.name(request.path_params["model"])))

    async def _completions(self, request: Request) -> Any:
        return await self._answer(request, parse, CompletionShape)

    async def _chat(self, request: Request) -> Any:
        return await self._answer(request, parse_chat, ChatShape)

    async def _answer(self, request: Request, read: Parse, shape: MakeShape) -> Answer:
        wanted = read(parse_json(await self._body(request)))
        self._check(wanted)
        model = await self._models.get(wanted.model)
        with model.held():
            if isinstance(model, PairModel):
                return await self._rewrite(wanted, model, shape)
            if wanted.rewriting:
                name = next(iter(wanted.rewriting))
                message = f"{name} has no meaning for {model.name!r}, which does not turn one text into another."
                raise RequestError(400, message, param=name)
            if wanted.suffix:
                return await self._fill(request, wanted, model)
            hard = {"match", "contains", "starts_with", "ends_with"} & set(wanted.controls)
            if wanted.length > _SHORT or hard:
                prompts = await run_in_threadpool(wanted.begin, model.writer)
            else:
                prompts = wanted.begin(model.writer)
            job = Job(model, prompts, seconds=self._config.time_limit)
            self.scheduler.submit(job)
        return Answer(wanted, job, shape(wanted, job), self.scheduler)

    async def _rewrite(self, wanted: CompletionRequest, model: PairModel, shape: MakeShape) -> Answer:
        """Answers a request for a model that turns one text into another."""
        if shape is not CompletionShape:
            message = f"{model.name!r} turns one text into another and does not chat. Use /v1/completions."
            raise RequestError(400, message, param="model", code="model_unsupported")
        check_rewriting(wanted, model.name)
        sources = await run_in_threadpool(begin_rewriting, model, wanted)
        job = RewriteJob(model, sources, seconds=self._config.time_limit)
        self.rewriting.submit(job)
        return Answer(wanted, job, CompletionShape(wanted, job), self.rewriting)

    async def _fill(self, request: Request, wanted: CompletionRequest, model: Model) -> Answer:
        """Answers a request with a suffix: one at a time, since that takes all of the machine."""
        check_suffix(wanted)
        if self._filling.locked() and len(self._filling_waits) >= max(1, self._config.queue):
            raise RequestError(
                429, "Too many gaps are being filled. Try again later.", code="queue_full", retry_after=5
            )
        waiting = object()
        self._filling_waits.add(waiting)
        end = time.monotonic() + self._config.time_limit
        try:
            async with self._turn():
                if await request.is_disconnected():
                    raise ClientDisconnect
                filled, prompt, pieces = await self._filled(request, wanted, model, end)
        finally:
            self._filling_waits.discard(waiting)
        job = Job(model, [prompt], seconds=self._config.time_limit)
        job.give(pieces, ended=True)
        return Answer(filled, job, CompletionShape(filled, job), self.scheduler)

    async def _filled(
        self, request: Request, wanted: CompletionRequest, model: Model, end: float
    ) -> tuple[CompletionRequest, Prompt, list[Piece]]:
        """What `fill_gap` returns, unless the client leaves or the time is over: then the search ends at its next step.

        Raises:
            ClientDisconnect: the client has left.
            RequestError: it took too long.
        """
        gone = threading.Event()

        def watch() -> None:
            if gone.is_set():
                raise ClientDisconnect
            if time.monotonic() > end:
                raise too_late(self._config.time_limit)

        filling = asyncio.ensure_future(run_in_threadpool(fill_gap, model.writer, wanted, watch))
        leaving = asyncio.ensure_future(left(request.receive))
        try:
            await asyncio.wait({filling, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not filling.done():
                self._metrics.count("cancelled")
        finally:
            gone.set()
            leaving.cancel()
            # The next gap has its turn only once this one no longer computes.
            await asyncio.gather(filling, leaving, return_exceptions=True)
        return filling.result()

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The turn of a request that has a gap filled.

        Raises:
            RequestError: it did not come in time.
        """
        most = self._config.time_limit
        try:
            async with asyncio.timeout(most):
                await self._filling.acquire()
        except TimeoutError:
            raise too_late(most) from None
        try:
            yield
        finally:
            self._filling.release()

    def _check(self, wanted: CompletionRequest) -> None:
        """Refuses what asks for too much.

        Raises:
            RequestError: with the limit.
        """
        config = self._config
        limits = (
            ("prompt", "The prompts together", wanted.length, config.prompt_length, "characters", "--prompt-length"),
            ("n", "n (or best_of) times the prompts", wanted.rows, config.rows, "texts", "--rows"),
            ("max_tokens", "n x max_tokens", wanted.most, config.total_length, "characters", "--total-length"),
            ("logprobs", "All log-probabilities", wanted.entries, config.total_length, "numbers", "--total-length"),
        )
        for param, what, got, most, unit, option in limits:
            if got > most:
                message = (
                    f"{what} must be at most {most:,} {unit}; got {got:,}. Ask for less, or start the server with a "
                    f"higher {option}."
                )
                raise RequestError(400, message, param=param, code="too_much")

    async def _body(self, request: Request) -> bytes:
        """The body of a request, which must be JSON of the allowed size, sent in time.

        Raises:
            RequestError: it is not.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            got = repr(kind[:100]) if kind else "no type"
            message = f"The body must be JSON; got {got}. Send the header Content-Type: application/json."
            raise RequestError(415, message, code="not_json")
        most = self._config.body
        too_large = RequestError(
            413,
            f"The body must be at most {most:,} bytes. Send less, or start the server with a larger --body.",
            code="too_large",
        )
        length = request.headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and len(length) < 20 and int(length) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._config.patience):
                async for part in request.stream():
                    body += part
                    if len(body) > most:
                        raise too_large
        except TimeoutError:
            message = f"The body did not come within {self._config.patience:g} seconds. Send it faster."
            raise RequestError(408, message, code="too_slow") from None
        return bytes(body)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told = {404: "There is nothing here. /openapi.json lists what there is.", 405: "This path takes another method."}
    response = RequestError(error.status_code, told.get(error.status_code, error.detail)).response
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


async def _told_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, TextgenError)
    return refused(error).response


async def _gone(_: Request, __: Exception) -> Response:
    # Nobody reads it.
    return Response(status_code=400)


async def _defect(_: Request, __: Exception) -> Response:
    return RequestError(500, "The server has a defect. Try again, or report it.").response
