"""`POST /v1/completions`: texts of a run, in the shapes of OpenAI's API."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

from textgen.sampling.prompt import Prompt
from textgen.sampling.sample import CharacterLogprob
from textgen.server.errors import dumps, number
from textgen.server.job import Job, Piece
from textgen.server.request import CompletionRequest

Values = dict[str, Any]


def usage(job: Job, drawn: int) -> Values:
    """How many characters were read and written."""
    read = sum(len(prompt.ids) for prompt in job.prompts)
    return {"prompt_tokens": read, "completion_tokens": drawn, "total_tokens": read + drawn}


def around_choice(head: Values, more: Values) -> tuple[bytes, bytes]:
    """What stands before and after the one choice of an event, in JSON.

    Args:
        head: the event without its choice; `choices` is its last item.
        more: what follows.

    >>> around_choice({"id": "a", "choices": []}, {"usage": None})
    (b'{"id":"a","choices":[', b'],"usage":null}')
    """
    return dumps(head)[:-2], b"]" + (b"," + dumps(more)[1:] if more else b"}")


def finish_reason(piece: Piece) -> str | None:
    """Why a text has ended, in OpenAI's words: by its length, or because it was whole."""
    return piece.reason if piece.reason in (None, "length") else "stop"


class CompletionShape:
    """The answer to a request for completions.

    Args:
        request: what was asked for.
        job: its texts.
    """

    def __init__(self, request: CompletionRequest, job: Job) -> None:
        self._request, self._job = request, job
        self._id, self._created = f"cmpl-{secrets.token_hex(12)}", int(time.time())
        self._places: dict[tuple[int, int], int] = {}
        self._event = around_choice(self._head([]), {"usage": None} if request.include_usage else {})

    def whole(self, choices: Sequence[Values], drawn: int) -> Values:
        """The whole answer."""
        return {**self._head(choices), "usage": usage(self._job, drawn)}

    def chunks(self, pieces: Sequence[Piece]) -> list[bytes]:
        """The events that pieces become, as JSON."""
        before, after = self._event
        return [before + self._told(piece) + after for piece in pieces]

    def _told(self, piece: Piece) -> bytes:
        """A piece as a choice in JSON. A stream is made of these, so that the usual ones are not built as values."""
        if self._request.logprobs is not None or self._request.echo or piece.reason is not None:
            return dumps(self.choice(piece))
        index = piece.prompt * self._request.n + piece.index
        return b'{"index":%d,"text":%b,"logprobs":null,"finish_reason":null}' % (index, dumps(piece.text))

    def last_chunk(self, drawn: int) -> Values:
        """The event with the usage."""
        return {**self._head([]), "usage": usage(self._job, drawn)}

    def choice(self, piece: Piece) -> Values:
        """A piece as a choice; the first of a text begins with the prompt where it is to be echoed."""
        prompt = self._job.prompts[piece.prompt]
        key = (piece.prompt, piece.index)
        first = key not in self._places
        place = self._places.setdefault(key, len(prompt.text))
        self._places[key] += len(piece.text)
        text, entries = piece.text, list(piece.logprobs)
        if first and self._request.echo:
            text, entries, place = prompt.text + text, [*prompt.scores, *entries], 0
        return {
            "index": piece.prompt * self._request.n + piece.index,
            "text": text,
            "logprobs": None if self._request.logprobs is None else logprobs(entries, place),
            "finish_reason": finish_reason(piece),
        }

    def _head(self, choices: Sequence[Values]) -> Values:
        return {
            "id": self._id,
            "object": "text_completion",
            "created": self._created,
            "model": self._job.model.name,
            "system_fingerprint": self._job.model.fingerprint,
            "seed": self._job.prompts[0].seed,
            "choices": list(choices),
        }


def logprobs(entries: Sequence[CharacterLogprob], place: int) -> Values:
    """Log-probabilities as parallel lists.

    Args:
        entries: one for each character, and one for a record's end.
        place: where the first of them is in the text, prompt included.
    """
    lengths = [len(each.character) for each in entries]
    offsets = [place + sum(lengths[:n]) for n in range(len(entries))] if "" in [e.character for e in entries] else None
    return {
        "tokens": [each.character for each in entries],
        "token_logprobs": [number(each.logprob) for each in entries],
        "top_logprobs": [
            {**{character: number(value) for character, value in each.top}, each.character: number(each.logprob)}
            for each in entries
        ],
        "text_offset": list(range(place, place + len(entries))) if offsets is None else offsets,
    }


def best(texts: Sequence[Piece], count: int) -> list[Piece]:
    """The `count` texts of a prompt with the highest mean log-probability, the best first."""

    def mean(piece: Piece) -> float:
        return sum(each.logprob for each in piece.logprobs) / max(1, len(piece.logprobs))

    return sorted(texts, key=lambda piece: (-mean(piece), piece.index))[:count]


def joined(pieces: Sequence[Piece]) -> Piece:
    """The pieces of one text as one."""
    last = pieces[-1]
    logprobs = tuple(entry for piece in pieces for entry in piece.logprobs)
    return Piece(last.prompt, last.index, "".join(piece.text for piece in pieces), logprobs, last.reason, last.drawn)


def merged(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces of each text as one."""
    if len(pieces) == 1:
        return list(pieces)
    texts: dict[tuple[int, int], list[Piece]] = {}
    for piece in pieces:
        texts.setdefault((piece.prompt, piece.index), []).append(piece)
    return [joined(each) if len(each) > 1 else each[0] for each in texts.values()]


def chosen(
    request: CompletionRequest, prompts: Sequence[Prompt], texts: dict[tuple[int, int], list[Piece]]
) -> list[Piece]:
    """The texts to return, from the pieces of all that were written."""
    found = []
    for place in range(len(prompts)):
        # Of a model that turns one text into another there may be fewer.
        whole = [joined(texts[place, n]) for n in range(request.best_of) if (place, n) in texts]
        if request.best_of > request.n:
            ranked = best(whole, request.n)
            whole = [Piece(p.prompt, n, p.text, p.logprobs, p.reason, p.drawn) for n, p in enumerate(ranked)]
        found += whole
    return found
