"""The OpenAPI document, made from the tables that requests are read with."""

from __future__ import annotations

import functools
from typing import Any

from textgen.config import RewriteConfig, SamplingConfig
from textgen.server import chat
from textgen.server.fields import CONTROLS, FIELDS, REWRITING, SHARED, schema_of
from textgen.system.versions import VERSION

Values = dict[str, Any]


@functools.cache
def document() -> Values:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "textgen",
            "version": VERSION,
            "description": "Character-level language models, for OpenAI's clients. A token is a character.",
        },
        "paths": {
            "/health": {"get": _get("health", "Whether the server answers.", {"status": {"const": "ok"}})},
            "/metrics": {
                "get": {
                    "operationId": "metrics",
                    "summary": "Figures, as Prometheus reads them.",
                    "security": [{}, {"token": []}],
                    "responses": {"200": {"description": "Figures.", "content": {"text/plain": {}}}, **_errors("401")},
                }
            },
            "/v1/models": {
                "get": {
                    **_get(
                        "models",
                        "The runs that are served.",
                        {"object": {"const": "list"}, "data": {"type": "array", "items": _MODEL}},
                    ),
                    "security": [{}, {"token": []}],
                }
            },
            "/v1/models/{model}": {
                "get": {
                    **_get(
                        "model",
                        "A run: its vocabulary, whose places are the ids, and its labels.",
                        _MODEL["properties"],
                    ),
                    "security": [{}, {"token": []}],
                    "parameters": [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}],
                }
            },
            "/v1/completions": {
                "post": _post(
                    "completions", "Texts that continue prompts.", _fields({**FIELDS, **_rewriting()}), _COMPLETION
                )
            },
            "/v1/chat/completions": {
                "post": _post(
                    "chat", "A text that continues a conversation.", _fields(chat.FIELDS), _CHAT, ["messages"]
                )
            },
        },
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _fields(own: dict[str, Values]) -> dict[str, Values]:
    controls = {name: _nullable(schema_of(SamplingConfig.declared[name])) for name in CONTROLS}
    return {**own, **SHARED, **controls}


def _rewriting() -> dict[str, Values]:
    """The fields of a model that turns one text into another."""
    found = {name: _nullable(schema_of(RewriteConfig.declared[name])) for name in REWRITING}
    head = "Of a model that turns one text into another: "
    return {name: {**each, "description": head + each["description"]} for name, each in found.items()}


def _nullable(schema: Values) -> Values:
    """A schema that allows null as well, which counts as left out."""
    if "anyOf" in schema:
        kinds = [each for each in schema["anyOf"] if each != {"type": "null"}]
        return {**schema, "anyOf": [*kinds, {"type": "null"}]}
    kept: Values = {name: schema[name] for name in ("description", "default") if name in schema}
    bare = {name: value for name, value in schema.items() if name not in kept}
    return {"anyOf": [bare, {"type": "null"}], **kept}


def _json(schema: Values) -> Values:
    return {"application/json": {"schema": schema}}


_ERROR: Values = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}

_REASONS = {
    "400": "The request is not valid.",
    "401": "The token is missing or wrong.",
    "403": "The host or origin is not allowed.",
    "404": "There is no such model.",
    "408": "The body came too slowly.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "429": "Too many requests are waiting.",
    "503": "The model cannot be used now.",
}


def _errors(*statuses: str) -> Values:
    return {each: {"description": _REASONS[each], "content": _json(_ERROR)} for each in (*statuses, "403")}


def _get(name: str, summary: str, properties: Values) -> Values:
    schema = {"type": "object", "required": list(properties), "properties": properties}
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": _json(schema)}, **_errors("401", "404", "503")},
    }


def _post(name: str, summary: str, fields: Values, answer: Values, required: list[str] | None = None) -> Values:
    schema: Values = {"type": "object", "properties": fields, "additionalProperties": False}
    if required:
        schema["required"] = required
    content = {**_json(answer), "text/event-stream": {"schema": {"type": "string"}}}
    statuses = ("400", "401", "404", "408", "413", "415", "429", "503")
    return {
        "operationId": name,
        "summary": summary,
        "security": [{}, {"token": []}],
        "requestBody": {"required": True, "content": _json(schema)},
        "responses": {"200": {"description": summary, "content": content}, **_errors(*statuses)},
    }


_MODEL: Values = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": {"type": "integer"},
        "owned_by": {"type": "string"},
    },
}

_USAGE: Values = {
    "type": "object",
    "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
    "properties": {
        name: {"type": "integer", "minimum": 0} for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    },
}

_REASON: Values = {"enum": ["stop", "length", None]}

_HEAD: Values = {"id": {"type": "string"}, "created": {"type": "integer"}, "model": {"type": "string"}, "usage": _USAGE}


def _answer(kind: str, choice: Values) -> Values:
    choices = {"type": "array", "items": {"type": "object", "required": list(choice), "properties": choice}}
    properties = {**_HEAD, "object": {"const": kind}, "choices": choices}
    return {"type": "object", "required": list(properties), "properties": properties}


_COMPLETION = _answer(
    "text_completion",
    {
        "index": {"type": "integer"},
        "text": {"type": "string"},
        "logprobs": {"type": ["object", "null"]},
        "finish_reason": _REASON,
    },
)
_CHAT = _answer(
    "chat.completion",
    {
        "index": {"type": "integer"},
        "message": {"type": "object", "required": ["role", "content"]},
        "logprobs": {"type": ["object", "null"]},
        "finish_reason": _REASON,
    },
)
