"""`POST /v1/chat/completions`, which many tools call by default: a conversation's texts are one text to continue.

A run knows no roles. The messages' texts, one after the other as they are, make the prompt, so that a conversation
about a text is the text.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from textgen.sampling.sample import CharacterLogprob
from textgen.server.completions import Values, around_choice, finish_reason, usage
from textgen.server.errors import RequestError, dumps, number
from textgen.server.fields import CONTROLS, IGNORED, MOST_LOGPROBS, SHARED
from textgen.server.job import Job, Piece
from textgen.server.request import CompletionRequest, parse, refuse_unknown

FIELDS: dict[str, dict[str, Any]] = {
    "messages": {
        "type": "array",
        "minItems": 1,
        "maxItems": 10_000,
        "description": "The conversation; the texts of its messages, joined, are the text to continue.",
        "items": {
            "type": "object",
            "required": ["role", "content"],
            "properties": {
                "role": {"type": "string", "enum": ["system", "developer", "user", "assistant"]},
                "content": {
                    "anyOf": [
                        {"type": "string"},
                        {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["type", "text"],
                                "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
                            },
                        },
                    ]
                },
            },
        },
    },
    "max_completion_tokens": SHARED["max_tokens"],
    "response_format": {
        "type": ["object", "null"],
        "properties": {"type": {"const": "text"}},
        "description": "Only text; match says what a text must be.",
    },
    "parallel_tool_calls": IGNORED,
    "reasoning_effort": IGNORED,
    "verbosity": IGNORED,
    "logprobs": {"type": ["boolean", "null"], "description": "Return the log-probabilities of the characters."},
    "top_logprobs": {
        "type": ["integer", "null"],
        "description": "Also those of so many of the likeliest.",
        "minimum": 0,
        "maximum": MOST_LOGPROBS,
    },
}
"""The fields of chat completions alone."""

_ROLES = ("system", "developer", "user", "assistant")
_UNSUPPORTED = ("tools", "tool_choice", "functions", "function_call", "audio", "modalities", "prediction", "best_of")


def parse_chat(values: Mapping[str, Any]) -> CompletionRequest:
    """A request for chat completions, as one for completions.

    Raises:
        RequestError: a field is unknown, or of a wrong type or out of its range.
    """
    for name in (*_UNSUPPORTED, "echo", "suffix", "prompt"):
        if values.get(name):
            message = f"{name} is nothing that a character-level model has in a chat. Leave it out."
            raise RequestError(400, message, param=name, code="unsupported")
    # Tools send an empty list of tools, and the like.
    values = {name: value for name, value in values.items() if value is not None and name not in _UNSUPPORTED}
    refuse_unknown(values, [*SHARED, *FIELDS, *CONTROLS])
    form = values.get("response_format", {"type": "text"})
    if not isinstance(form, dict) or form.get("type") != "text":
        message = "response_format must be text. Use match, a regular expression, to say what a text must be."
        raise RequestError(400, message, param="response_format", code="unsupported")
    given = {name: value for name, value in values.items() if name not in FIELDS}
    if "max_completion_tokens" in values:
        given["max_tokens"] = values["max_completion_tokens"]
    wanted = values.get("logprobs", False)
    if not isinstance(wanted, bool):
        raise RequestError(400, f"logprobs must be true or false; got {str(wanted)[:100]}.", param="logprobs")
    if "top_logprobs" in values:
        if not wanted:
            raise RequestError(400, "top_logprobs needs logprobs: true. Add it.", param="top_logprobs")
        given["logprobs"] = values["top_logprobs"]
    elif wanted:
        given["logprobs"] = 0
    return parse(given, prompts=[_conversation(values.get("messages"))])


def _conversation(messages: Any) -> str:
    """The texts of a conversation's messages, one after the other."""
    if not isinstance(messages, list) or not messages:
        message = 'messages must be a list such as [{"role": "user", "content": "The sea "}].'
        raise RequestError(400, message, param="messages", code="invalid_value")
    return "".join(_content(message, n) for n, message in enumerate(messages))


def _content(message: Any, n: int) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        parts = [content]
    elif isinstance(content, list) and all(_is_text(each) for each in content):
        parts = [each["text"] for each in content]
    else:
        raise RequestError(
            400, f"messages[{n}] must have a text as its content.", param="messages", code="invalid_value"
        )
    if message.get("role") not in _ROLES:
        roles = ", ".join(_ROLES)
        raise RequestError(
            400, f"messages[{n}] must have one of the roles {roles}.", param="messages", code="invalid_value"
        )
    return "".join(parts)


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


class ChatShape:
    """The answer to a request for chat completions.

    Args:
        request: what was asked for.
        job: its texts.
    """

    def __init__(self, request: CompletionRequest, job: Job) -> None:
        self._request, self._job = request, job
        self._id, self._created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
        self._begun: set[int] = set()
        more = {"usage": None} if request.include_usage else {}
        self._event = around_choice(self._head("chat.completion.chunk", []), more)

    def whole(self, choices: Sequence[Values], drawn: int) -> Values:
        """The whole answer."""
        return {**self._head("chat.completion", choices), "usage": usage(self._job, drawn)}

    def choice(self, piece: Piece) -> Values:
        """A text as a choice."""
        return {
            "index": piece.index,
            "message": {"role": "assistant", "content": piece.text, "refusal": None},
            "logprobs": self._logprobs(piece),
            "finish_reason": finish_reason(piece),
        }

    def chunks(self, pieces: Sequence[Piece]) -> list[bytes]:
        """The events that pieces become; each text begins with one that has its role, and ends with an empty one."""
        found = list[bytes]()
        for piece in pieces:
            if piece.index not in self._begun:
                self._begun.add(piece.index)
                found.append(self._chunk(piece.index, {"role": "assistant", "content": ""}))
            if piece.text or piece.logprobs:
                found.append(self._chunk(piece.index, {"content": piece.text}, self._logprobs(piece)))
            if piece.reason is not None:
                found.append(self._chunk(piece.index, {}, reason=finish_reason(piece)))
        return found

    def last_chunk(self, drawn: int) -> Values:
        """The event with the usage."""
        return {**self._head("chat.completion.chunk", []), "usage": usage(self._job, drawn)}

    def _chunk(self, index: int, delta: Values, logprobs: Values | None = None, reason: str | None = None) -> bytes:
        before, after = self._event
        return before + dumps({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}) + after

    def _logprobs(self, piece: Piece) -> Values | None:
        if self._request.logprobs is None:
            return None
        return {"content": [_entry(each) for each in piece.logprobs], "refusal": None}

    def _head(self, kind: str, choices: Sequence[Values]) -> Values:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._job.model.name,
            "system_fingerprint": self._job.model.fingerprint,
            "seed": self._job.prompts[0].seed,
            "choices": list(choices),
        }


def _entry(entry: CharacterLogprob) -> Values:
    top = [_token(character, logprob) for character, logprob in entry.top]
    return {**_token(entry.character, entry.logprob), "top_logprobs": top}


def _token(character: str, logprob: float) -> Values:
    return {
        "token": character,
        "logprob": number(logprob),
        "bytes": list(character.encode("utf-8", "surrogatepass")),
    }
