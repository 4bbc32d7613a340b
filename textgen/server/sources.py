"""Requests for runs that turn one text into another: what they may hold, and their sources.

A source is cut into pieces, as `textgen rewrite` cuts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from textgen.config import RewriteConfig, SamplingConfig
from textgen.sampling.ending import FinishReason
from textgen.sampling.rewriting.chain import Chain
from textgen.sampling.rewriting.piece_writer import PieceWriter
from textgen.sampling.rewriting.rewritten import Written
from textgen.sampling.rewriting.writable import Place
from textgen.server.errors import RequestError
from textgen.server.fields import REWRITING
from textgen.server.job import Piece
from textgen.server.loaded import PairModel
from textgen.server.request import CompletionRequest

_KNOWN = ("temperature", "seed", "match", "unknown", "max_new_tokens")
"""The controls that have a meaning for a source."""


def check_rewriting(request: CompletionRequest, name: str) -> None:
    """Refuses what has no meaning for a model that turns one text into another, unless it is what leaving it out is.

    Args:
        request: what was asked for.
        name: the model's.

    Raises:
        RequestError: with its reason.
    """
    given: Mapping[str, Any] = {
        **{each: value for each, value in request.controls.items() if not _is_off(each, value)},
        "logit_bias": request.bias,
        "logprobs": request.logprobs is not None,
        "best_of": request.best_of > request.n,
        "echo": request.echo,
        "suffix": request.suffix,
    }
    for each, value in given.items():
        if value and each not in _KNOWN:
            known = ", ".join(("prompt", "n", "max_tokens", "temperature", "seed", "stream", "match", "unknown"))
            message = (
                f"{each} has no meaning for {name!r}, which turns one text into another and takes {known}, "
                f"{', '.join(REWRITING)}."
            )
            raise RequestError(400, message, param=each)
    if not all(isinstance(each, str) for each in request.prompts):
        message = f"prompt must be a text or a list of texts for {name!r}, which turns one text into another."
        raise RequestError(400, message, param="prompt")
    if not isinstance(request.controls.get("temperature", 0.0), (int, float)):
        message = f"temperature must be a single number for {name!r}, which turns one text into another."
        raise RequestError(400, message, param="temperature")
    if request.controls.get("max_new_tokens") == 0:
        message = f"max_tokens must be at least 1 for {name!r}, which turns one text into another."
        raise RequestError(400, message, param="max_tokens")


def _is_off(name: str, value: Any) -> bool:
    declared = SamplingConfig.declared[name]
    return name not in _KNOWN and value in (declared.default, declared.off, [], (), "", False)


@dataclass(eq=False, kw_only=True)
class Source:
    """A text that is turned into another, with what an answer reads of a prompt.

    Args:
        text: as it was given.
        number: its place in the request, which its draws follow from.
        pieces: see `Rewriter.pieces`.
        writer: writes them.
        count: the texts to write.
        most: the most characters of each; None for no limit.
        chain: what makes its pieces be written one after the other; None where they need not be.

    Attributes:
        written: what was written for the first pieces.
        begun: pieces that were written or are being written.
        told: pieces that were handed over.
        sent: characters of each text that were.
        cut: texts with a piece that did not end by itself.
        ended: texts of which all was handed over.
    """

    text: str
    number: int
    pieces: Sequence[tuple[str, str, str]]
    writer: PieceWriter
    count: int
    most: int | None
    chain: Chain | None = None
    scores: Sequence[Any] = ()
    written: list[list[Written]] = field(default_factory=list)
    begun: int = 0
    told: int = 0
    sent: dict[int, int] = field(default_factory=dict)
    cut: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)

    @property
    def ids(self) -> str:
        """What was read; a token is a character."""
        return self.text

    @property
    def seed(self) -> int | None:
        """That of the draws; None where nothing is drawn."""
        return self.writer.config.seed if self.writer.config.sample else None

    @property
    def by_piece(self) -> bool:
        """Whether a piece of each text is known as soon as it is written."""
        return self.count == 1 or self.writer.config.sample

    @property
    def done(self) -> bool:
        """Whether nothing is left to write."""
        return len(self.written) == len(self.pieces) or (self.by_piece and len(self.ended) == self.count)

    @property
    def open(self) -> bool:
        """Whether a piece can be written that is not being written."""
        following = self.begun < len(self.pieces) and (self.chain is None or self.begun == len(self.written))
        return following and not self.done

    def asked(self, place: int) -> list[tuple[str, tuple[int, int], tuple[Place, ...]]]:
        """What `PieceWriter.write` takes to write a piece."""
        core, key = self.pieces[place][1], (self.number, place)
        return [(core, key, places) for places in ([()] if self.chain is None else self.chain.asked())]

    def take(self, found: Sequence[list[Written]]) -> None:
        """Adds what was written for the next piece, as it was asked for."""
        if self.chain is None:
            self.written += found
        else:
            self.chain.take(found)
            self.written.append([some[-1] for some in self.chain.chosen])

    def piece(self, index: int, text: str, *, whole: bool = True, last: bool = False) -> Piece:
        """The next part of a text, which counts as handed over; what comes after the most characters is left out.

        Args:
            index: the text's number.
            text: the part.
            whole: whether it ended by itself.
            last: whether it is the last one.
        """
        sent = self.sent.get(index, 0)
        left = len(text) if self.most is None else self.most - sent
        if not whole:
            self.cut.add(index)
        reason: FinishReason | None = None
        if last or left < len(text):
            reason = "length" if left < len(text) or index in self.cut else "record"
            self.ended.add(index)
        self.sent[index] = sent = sent + min(left, len(text))
        return Piece(self.number, index, text[:left], (), reason, sent)


def begin_rewriting(model: PairModel, request: CompletionRequest) -> list[Source]:
    """The sources of a request. It may take a while for a long pattern or text.

    Raises:
        TextgenError: a value is out of its range, or a text holds characters that the model never saw.
    """
    controls = request.controls
    temperature = controls.get("temperature") or 0.0
    settings = {name: controls[name] for name in ("seed", "match", "unknown") if controls.get(name) is not None}
    if temperature:
        settings["temperature"] = temperature
    config = RewriteConfig(**settings, **request.rewriting, sample=bool(temperature))
    writer = model.rewriter.piece_writer(config, count=request.n)
    texts = [str(each) for each in request.prompts]
    pieces = [model.rewriter.pieces(text) for text in texts]
    writer.check([core for each in pieces for _, core, _ in each])
    most = controls.get("max_new_tokens")
    return [
        Source(text=text, number=n, pieces=each, writer=writer, count=request.n, most=most, chain=writer.chain(each))
        for n, (text, each) in enumerate(zip(texts, pieces, strict=True))
    ]


def known_pieces(source: Source) -> list[Piece]:
    """What is known of a source's texts and was not handed over."""
    if not source.pieces:
        return [] if source.ended else [source.piece(n, source.text, last=True) for n in range(source.count)]
    last = len(source.pieces)
    if not source.by_piece:
        if len(source.written) < last or source.ended:
            return []
        chosen = source.writer.alternatives(source.written) if source.chain is None else source.chain.chosen
        found = source.writer.join(source.text, source.pieces, chosen)
        return [
            source.piece(n, each.text, whole=each.finish_reason == "end", last=True) for n, each in enumerate(found)
        ]
    told = []
    while source.told < len(source.written):
        before, _, after = source.pieces[source.told]
        written = source.written[source.told]
        source.told += 1
        for n, (hypothesis, text) in enumerate(written[: source.count]):
            if n not in source.ended:
                whole = f"{before}{text}{after}"
                told.append(source.piece(n, whole, whole=hypothesis.whole, last=source.told == last))
    return told
