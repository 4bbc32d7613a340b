"""`textgen corpora`: lists, shows, gets and verifies the named corpora."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from textgen.cli.command import command, visible
from textgen.cli.options import json_option
from textgen.display.format import table

if TYPE_CHECKING:
    from textgen.corpus.named import Entry

_ACTIONS = ("list", "show", "get", "verify")
_COLUMNS = ("name", "language", "kind", "size", "licence", "there", "text")


@command(
    "corpora",
    examples=(
        "textgen corpora",
        "textgen corpora show names",
        "textgen corpora get names",
        "textgen train names --time 90s",
    ),
)
@click.argument("action", required=False, default="list", type=click.Choice(_ACTIONS), metavar="[ACTION]")
@click.argument("names", nargs=-1, metavar="[NAMES]...")
@click.option("--offline", is_flag=True, help="Download nothing: only use what is there.")
@json_option("Write one JSON object per line for each corpus.")
@click.pass_context
def corpora(ctx: click.Context, action: str, names: Sequence[str], offline: bool, as_json: bool) -> None:
    """List public texts that are known by name, and download them.

    ACTION is list, show, get or verify; list is the default. `get` downloads texts, checks and cleans them, and
    writes their paths to standard output; `textgen train NAME` does so when a text is first used. `verify` tries every
    address, of the texts named or of all, and ends with 1 if one does not bring what the registry says.

    Texts go to the first folder that TEXTGEN_CORPORA names, or else to the system's folder for downloads.
    """
    from textgen.corpus.named import find_entry, read_registry

    entries = [find_entry(name) for name in names]
    if action in ("show", "get") and not names:
        raise click.UsageError(f"Name a corpus: textgen corpora {action} NAME. textgen corpora lists them.", ctx)
    if action == "verify" and offline:
        raise click.UsageError("--offline cannot be given with verify, which tries the addresses.", ctx)
    if action == "get":
        _get(entries, offline=offline, as_json=as_json)
    elif action == "verify":
        _verify(ctx, entries or list(read_registry().values()), as_json=as_json)
    elif as_json:
        for entry in entries or read_registry().values():
            click.echo(json.dumps(_described(entry), ensure_ascii=False))
    elif action == "show":
        for number, entry in enumerate(entries):
            click.echo("\n" * (number > 0) + _shown(entry))
    else:
        _list(entries or list(read_registry().values()))


def _list(entries: Sequence[Entry]) -> None:
    rows = [
        (entry.name, entry.language, entry.kind, _size(entry.text_bytes), entry.licence, _there(entry), entry.title)
        for entry in entries
    ]
    for line in table([_COLUMNS, *rows], right=(3,)):
        click.echo(visible(line))
    click.echo("More of one: textgen corpora show NAME. Train on it: textgen train NAME", err=True)


def _there(entry: Entry) -> str:
    from textgen.corpus.named import corpora_folders

    return "yes" if any((folder / entry.file).is_file() for folder in corpora_folders()) else ""


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _shown(entry: Entry) -> str:
    """Everything that the registry has of a corpus, a line each."""
    described = _described(entry)
    recipe = dataclasses.asdict(entry.recipe)
    lines = {
        **{name: described[name] for name in ("name", "title", "language", "kind", "licence", "good_for", "page")},
        "address": entry.address,
        **{f"mirror {number}": mirror for number, mirror in enumerate(entry.mirrors, 1)},
        "raw file": f"{entry.bytes:,} bytes, sha256 {entry.sha256}",
        "text": f"{entry.text_bytes:,} bytes, sha256 {entry.text_sha256}",
        "cleaning": ", ".join(f"{name} {value!r}" for name, value in recipe.items() if value not in ("", "utf-8"))
        or "none",
        "settings": " ".join(f"--{name.replace('_', '-')} {value}" for name, value in entry.settings.items()),
        "path": str(described["path"] or ""),
        "verified": "yes" if entry.checked else f"not yet: textgen corpora verify {entry.name} tries its addresses",
    }
    width = max(map(len, lines))
    return "\n".join(
        f"{name.replace('_', ' '):<{width}}  {visible(str(value))}" for name, value in lines.items() if value
    )


def _described(entry: Entry) -> dict[str, object]:
    from textgen.corpus.named import corpora_folders
    from textgen.corpus.named.store import find_text

    path = find_text(entry, corpora_folders())
    return {**dataclasses.asdict(entry), "path": None if path is None else str(path)}


def _get(entries: Sequence[Entry], *, offline: bool, as_json: bool) -> None:
    from textgen.cli.named import fetch

    for entry in entries:
        path = fetch(entry, offline=offline)
        click.echo(json.dumps(_described(entry), ensure_ascii=False) if as_json else visible(str(path)))


def _verify(ctx: click.Context, entries: Sequence[Entry], *, as_json: bool) -> None:
    from textgen.cli.bars import bars
    from textgen.corpus.named.verifying import verify
    from textgen.errors import CorpusError

    if importlib.util.find_spec("pooch") is None:
        raise CorpusError("Trying the addresses needs pooch: pip install 'textgen-chars[corpora]'.")
    tried, failed = 0, 0
    for entry in entries:
        with bars({entry.name: (f"downloading {entry.name}", "B")}) as report:
            for address, problem in verify(entry, report=report):
                tried, failed = tried + 1, failed + bool(problem)
                if as_json:
                    found = {"name": entry.name, "address": address, "problem": problem, "checked": entry.checked}
                    click.echo(json.dumps(found, ensure_ascii=False))
                else:
                    note = "" if entry.checked else ", which had not been tried when the registry was written"
                    click.echo(f"{entry.name}: {address}{note}: {visible(problem) or 'right'}")
    click.echo(f"{tried - failed:,} of {tried:,} addresses bring what the registry says.", err=True)
    if failed:
        ctx.exit(1)
