"""A page put together from its templates, with whatever it is given made harmless."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

_PLACE = re.compile(r"\{\{(\w+)\}\}")


def page(name: str, *, title: str, facts: Sequence[tuple[str, str]], data: Mapping[str, Any]) -> str:
    """The page of a name.

    Args:
        name: its template's: "surprise" or "neurons".
        title: its heading.
        facts: what it says of itself, each a label and a value.
        data: JSON values for its script.

    Returns:
        HTML.
    """
    terms = "".join(f"<div><dt>{_escaped(label)}</dt> <dd>{_escaped(value)}</dd></div>" for label, value in facts)
    return _filled(
        "frame.html",
        kind=name.capitalize(),
        title=_escaped(title),
        facts=terms,
        style=_template("frame.css") + _template(f"{name}.css"),
        body=_template(f"{name}.html"),
        data=_harmless(data),
        script=_template("reader.js") + _template(f"{name}.js"),
    )


def _filled(template: str, **values: str) -> str:
    """A template with its places filled, in one go: what is filled in is not looked at again."""
    return _PLACE.sub(lambda place: values[place[1]], _template(template))


def _template(name: str) -> str:
    return resources.files("textgen.display.pages").joinpath(name).read_text(encoding="utf-8")


def _escaped(text: str) -> str:
    return html.escape(_visible(text))


def _visible(text: str) -> str:
    """Text without what a page may not hold: control characters and halves of surrogate pairs."""
    return "".join(c if c in "\n\t" or not _is_foreign(ord(c)) else "\ufffd" for c in text)


def _is_foreign(code: int) -> bool:
    return code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000


def _harmless(data: Mapping[str, Any]) -> str:
    r"""JSON that neither ends its element nor begins another, whatever it holds.

    >>> _harmless({"text": "</script>\u2028"})
    '{"text":"\\u003c/script\\u003e\\u2028"}'
    """
    values = json.dumps(_whole(data), separators=(",", ":"), allow_nan=False)
    return values.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _whole(value: Any) -> Any:
    """JSON values whose texts hold no halves of surrogate pairs, two of which would become one character."""
    if isinstance(value, str):
        return "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in value)
    if isinstance(value, Mapping):
        return {key: _whole(each) for key, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, (list, tuple)) else value
