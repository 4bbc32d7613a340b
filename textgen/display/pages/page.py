"""Renders a page from its templates, with all values escaped."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

_PART = re.compile(r"^\{\{>(\w+)\}\}\n", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def page(
    name: str,
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    data: Mapping[str, Any],
    kind: str | None = None,
    library: str = "",
) -> str:
    """Renders a page.

    Its policy allows the page's own scripts by their hashes, and nothing else to run.

    Args:
        name: of the template, "surprise", "neurons", "tunes" or "attention".
        title: the page's heading.
        facts: labels and values to list under the heading.
        data: JSON values for the page's script.
        kind: what the page is called above its heading; None for the template's name.
        library: a folder beside the templates with one script that the page's own needs: "abcjs"; "" for none.

    Returns:
        HTML.
    """
    script = f'\n"use strict";\n{_template("reader.js") if not library else ""}{_template(f"{name}.js")}\n'
    carried = _library(library) if library else ""
    return _rendered(
        "frame.html",
        kind=_escaped(name.capitalize() if kind is None else kind),
        allowed=" ".join(_hash(each) for each in (carried, script) if each),
        library=f"<script>{carried}</script>\n" if carried else "",
        title=_escaped(title),
        facts=_terms(facts),
        style=_template("frame.css") + _template(f"{name}.css"),
        body=_template(f"{name}.html"),
        data=_script_safe(data),
        script=script,
    )


_WORKER = ("kernels.js", "network.js", "drawing.js", "suggesting.js", "worker.js")
"""The scripts of the page's worker, in order."""


def program_page(
    name: str, *, title: str, facts: Sequence[tuple[str, str]], data: Mapping[str, Any], weights: bytes
) -> str:
    """Renders a page that runs a model in a worker of its own.

    Its content security policy admits its own script and style by their hashes, and no connection.

    Args:
        name: of the template, "write".
        title: the page's heading.
        facts: labels and values to list at its end.
        data: JSON values for the page's script; `compiled`, the worker's kernels, is added.
        weights: the model's weights.

    Returns:
        HTML.
    """
    style = _template("frame.css") + _template(f"{name}.css")
    script = '"use strict";\n' + _template("desk.js") + _template(f"{name}.js")
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; worker-src blob:; "
        f"style-src {_hash(style)}; script-src {_hash(script)} 'wasm-unsafe-eval'"
    )
    compiled = resources.files("textgen.display.pages").joinpath("kernels.wasm").read_bytes()
    return _rendered(
        f"{name}.html",
        policy=policy,
        title=_escaped(title),
        facts=_terms(facts),
        style=style,
        data=_script_safe({**data, "compiled": _base64(compiled)}),
        weights=_base64(weights),
        worker='"use strict";\n' + "".join(map(_template, _WORKER)),
        script=script,
    )


def _terms(facts: Sequence[tuple[str, str]]) -> str:
    return "".join(f"<div><dt>{_escaped(label)}</dt> <dd>{_escaped(value)}</dd></div>" for label, value in facts)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _hash(source: str) -> str:
    """A source expression of a content security policy for an element with this text."""
    return f"'sha256-{_base64(hashlib.sha256(source.encode()).digest())}'"


def playground() -> tuple[str, str]:
    """The page of a server, on which its models write.

    Returns:
        HTML, and the content security policy to send with it: its own script and style by their hashes, and
        connections to the server alone.
    """
    style = "".join(map(_template, ("frame.css", "write.css", "playground.css")))
    script = '"use strict";\n' + _template("desk.js") + _template("playground.js")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return _rendered("playground.html", style=style, script=script), policy


def _rendered(template: str, **values: str) -> str:
    """A template with its placeholders replaced in a single pass: placeholders within values are left alone."""
    return _PLACEHOLDER.sub(lambda placeholder: values[placeholder[1]], _template(template))


def _template(name: str) -> str:
    """A template with the parts that it shares with others, each on a line of its own such as `{{>bar}}`."""
    text = resources.files("textgen.display.pages").joinpath(name).read_text(encoding="utf-8")
    return _PART.sub(lambda part: _template(f"{part[1]}.html"), text)


def _library(name: str) -> str:
    """A library's script, with its licence, which has to be in every copy."""
    folder = resources.files("textgen.display.pages").joinpath(name)
    (script,) = (each for each in folder.iterdir() if each.name.endswith(".js"))
    licence = folder.joinpath("LICENSE.md").read_text(encoding="utf-8").strip()
    return f"/*\n{licence}\n*/\n{script.read_text(encoding='utf-8')}"


def _escaped(text: str) -> str:
    return html.escape(_visible(text))


def _visible(text: str) -> str:
    """Text with control characters and lone surrogates replaced, which HTML must not contain."""
    return "".join(c if c in "\n\t" or not _is_forbidden(ord(c)) else "\ufffd" for c in text)


def _is_forbidden(code: int) -> bool:
    return code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000


def _script_safe(data: Mapping[str, Any]) -> str:
    r"""JSON that is safe inside a `script` element.

    >>> _script_safe({"text": "</script>\u2028"})
    '{"text":"\\u003c/script\\u003e\\u2028"}'
    """
    values = json.dumps(_without_surrogates(data), separators=(",", ":"), allow_nan=False)
    return values.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _without_surrogates(value: Any) -> Any:
    """JSON values with lone surrogates replaced, two of which side by side would become one character."""
    if isinstance(value, str):
        return "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in value)
    if isinstance(value, Mapping):
        return {key: _without_surrogates(each) for key, each in value.items()}
    return [_without_surrogates(each) for each in value] if isinstance(value, (list, tuple)) else value
