"""`textgen sample`: new text from a run."""

from __future__ import annotations

import functools
import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from textgen.cli.command import INTERRUPTED, command, visible
from textgen.cli.options import Numbers, checkpoints_option, json_option, run_option, setting, wish
from textgen.config import SamplingConfig, Unknown, Until
from textgen.system import is_terminal

if TYPE_CHECKING:
    from textgen.sample import Sample
    from textgen.writer import Writer

SEPARATOR = "-----"

_choice = functools.partial(setting, config=SamplingConfig, section="Choice of the next character, in this order")
_end = functools.partial(setting, config=SamplingConfig, section="Where the text ends")


@command(
    "sample",
    examples=(
        "textgen sample",
        'textgen sample --run marrow_haven --temperature 0.5 --prompt "The sea " --length 1000 --seed 7',
        'textgen sample --prompt "CAPTAIN THRUPP: " --until line --count 5',
        "textgen sample --temperature 0.3,0.6,1 --top-p 0.95 --stop '. ' --no-echo --prompt 'Nan '",
        "echo 'TWO MEN IN ONE BOAT' | textgen sample --until paragraph",
        "textgen sample --prompt-file corpora/README.md --unknown skip --length 100",
        "textgen sample --json --count 2 --logprobs 3 --length 20",
    ),
)
@run_option
@checkpoints_option
@wish("--prompt", metavar="TEXT", help="The text to go on from.")
@wish("--prompt-file", metavar="FILE", type=click.Path(), help="The same from a file in UTF-8; - is standard input.")
@click.option("--echo/--no-echo", default=True, show_default=True, help="Write the prompt before its continuation.")
@click.option("--count", "-n", type=click.IntRange(min=1), default=1, show_default=True, help="How many samples.")
@wish("--seed", type=int, otherwise="drawn and reported", help="The same seed writes the same text again.")
@json_option("One JSON object a line for each sample.")
@click.option("--logprobs", metavar="N", type=click.IntRange(min=0), default=0, help="With --json: log-probabilities of each character and of the N likeliest.")
@setting("--unknown", config=SamplingConfig, type=click.Choice(get_args(Unknown)), help="What to do with characters of the prompt that the model never saw.")
@_choice("--repetition-penalty", type=float, help="Makes characters that were just written less likely: against loops; 1 is off.")
@_choice("--repetition-window", type=int, help="How many characters back that looks.")
@_choice("--temperature", type=Numbers(), help="Below 1 safer, above 1 wilder, 0 always the likeliest. Several take turns.")
@_choice("--top-k", type=int, help="Only the K likeliest: cuts off slips of the pen; 0 is off.")
@_choice("--top-p", type=float, help="Only the likeliest that together hold this probability: fewer where the model is sure; 1 is off.")
@_choice("--min-p", type=float, help="Only those this likely beside the likeliest: keeps sense at high temperatures; 0 is off.")
@_choice("--typical-p", type=float, help="Only those of about the expected surprise, up to this probability: less dull; 1 is off.")
@_end("--length", config=SamplingConfig, type=int, help="Characters to write, the prompt not counted.")
@_end("--until", type=click.Choice(get_args(Until)), help="Write on, past the length, to the end of a line or paragraph.")
@wish("--stop", multiple=True, metavar="TEXT", section="Where the text ends", help="End before this text; can be given several times.")
@click.pass_context
def sample(ctx: click.Context, /, run: str | None, checkpoints: Path, **options: Any) -> None:
    """Write new text with a run, as fast as it comes.

    Without --prompt or --prompt-file, a text piped in is the prompt. One newline at the end of a file or a piped
    text does not count.
    """
