"""`textgen fill`: fills the gaps of a text with what fits both sides of each."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textgen.cli.command import command, echo_unchanged, on_one_line, visible
from textgen.cli.options import (
    AnyPath,
    Text,
    adapt_option,
    checkpoints_option,
    errors_option,
    json_option,
    optional,
    run_option,
    setting,
)
from textgen.config import CorpusConfig, FillConfig
from textgen.system import is_terminal

if TYPE_CHECKING:
    from textgen.sampling.gaps.filling import Filling

_mark = functools.partial(setting, config=FillConfig, section="Marks of gaps")
_search = functools.partial(setting, config=FillConfig, section="Search")


@command(
    "fill",
    examples=(
        "textgen fill 'The [3] was calm, and the sh[1-5] lay at anchor.'",
        "textgen fill --count 5 --longest 12 'Nan [...] the door.'",
        "textgen fill --mask '#' 'The s#a, the ##a'",
        "textgen fill --gap-open '{' --gap-close '}' 'The {3} was calm.'",
        "echo 'The [6-20] harbour' | textgen fill --sample --temperature 0.8 --seed 7",
        "textgen fill --json --count 3 --run marrow_haven 'The [4] '",
    ),
)
@click.argument("text", type=Text(), required=False)
@optional("--file", metavar="FILE", type=AnyPath(), help="File with the text; - is standard input.")
@run_option
@checkpoints_option
@adapt_option
@setting("--encoding", config=CorpusConfig, help="Encoding of files and of standard input.")
@errors_option
@click.option("--count", "-n", type=int, default=1, show_default=True, help="Number of alternatives.")
@setting("--unknown", config=FillConfig)
@setting("--label", metavar="NAME[:WEIGHT]", config=FillConfig, show_default=False)
@json_option("Write one JSON object per line for each alternative.")
@_mark("--gap-open", metavar="TEXT")
@_mark("--gap-close", metavar="TEXT")
@_mark("--mask", metavar="CHARACTER", show_default=False)
@_mark("--longest")
@_search("--ban", metavar="CHARACTERS", show_default=False)
@_search("--allow", metavar="CHARACTERS", show_default=False)
@_search("--candidates")
@_search("--reach")
@_search("--sample")
@_search("--temperature")
@optional("--seed", config=FillConfig, section="Search")
@click.pass_context
def fill(
    ctx: click.Context,
    /,
    text: str | None,
    file: str | None,
    runs: tuple[str, ...],
    checkpoints: Path,
    adapt: str | None,
    encoding: str,
    count: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Fill the gaps of a text with what fits both sides of each.

    TEXT is a text with marks of gaps: [3] for three missing characters, [1-10] for one to ten, [...] for an unknown
    number. Without TEXT and --file it is read from standard input. Brackets around anything else are text; where the
    text has footnotes such as [3], choose other marks.

    The fillings are those that make the whole text most probable, what stands after each gap included, as far as a beam
    search finds them. Gaps are filled from left to right, each with what was chosen before; alternatives are ranked
    over all gaps. A probability is the share among all fillings that were considered. With --sample they are drawn.

    Line ends, and all else that is not in a gap, stay as they are in the text.

    A run of both sides (textgen train --sides both) finds and judges fillings from the right, too. A run on records
    reads the text as records: a gap at the end of one is filled up to its end. Several runs with one vocabulary are
    mixed, as in textgen sample, and read from the left alone, those of both sides, too.
    """
    if text is not None and file is not None:
        raise click.UsageError("TEXT and --file cannot be given together.", ctx)
    if not options["sample"]:
        for name in ("temperature", "seed"):
            if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{name} needs --sample.", ctx)
    from textgen.cli.reading import adapt as adapt_to
    from textgen.cli.reading import is_piped, load_writer, mixed_runs, note_replaced, read_unchanged
    from textgen.sampling.gaps.filling import fill as filled
    from textgen.sampling.gaps.markers import parse_gaps

    errors = options.pop("errors")
    if text is None and file is None and not is_piped():
        raise click.UsageError("Give a TEXT, --file, or a text on standard input.", ctx)
    if adapt == "-" and text is None and file in (None, "-"):
        raise click.UsageError("The text and --adapt cannot both be standard input.", ctx)
    config = FillConfig(**options)
    writer, name = load_writer(runs, checkpoints)
    mark, typed = "", text is not None
    if text is None:
        mark, text = read_unchanged(writer, file or "-", encoding=encoding, errors=errors)
    note_replaced(writer, writer.as_trained("".join(parse_gaps(text, config).texts)), config.unknown)
    if adapt is not None:
        writer = adapt_to(writer, adapt, encoding=encoding, errors=errors, unknown=config.unknown)
    found = filled(writer, text, config, count=count)
    if as_json:
        more = {"run": name, **mixed_runs(writer), **({} if adapt is None else {"adapt": adapt})}
        for each in found:
            click.echo(json.dumps({**each.to_json(), **more}, ensure_ascii=False))
    elif count == 1 and not typed:
        echo_unchanged(mark + found[0].text)
    else:
        _show(found, alone=count == 1)
    if config.sample:
        click.echo(f"({name}, --seed {found[0].seed})", err=True)


def _show(found: Sequence[Filling], *, alone: bool) -> None:
    """Writes the texts; of several each after its probability, on one line if it is one."""
    shown = visible if is_terminal(sys.stdout) else str
    lines = [each.text.rstrip("\r\n") for each in found]
    several = any("\n" in line for line in lines)
    for each, line in zip(found, lines, strict=True):
        if alone or several:
            head = "" if alone else f"----- {each.probability:.4f}\n"
            click.echo(head + shown(each.text), nl=not each.text.endswith("\n"))
        else:
            click.echo(f"{each.probability:.4f}\t{shown(on_one_line(line))}")
