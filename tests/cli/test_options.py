"""What options have in common, over all commands."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from front_door import judge, run

from textgen.cli import cli
from textgen.cli.options import Duration, OutputPath


def options() -> Iterator[tuple[str, click.Option]]:
    """Every option with the name of its command."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        for param in command.params:
            if isinstance(param, click.Option):
                yield name, param


OUTPUTS = [(name, max(option.opts, key=len)) for name, option in options() if isinstance(option.type, OutputPath)]


def test_the_options_that_write_files_are_known() -> None:
    pages = [(name, "--html") for name in ("neurons", "proofread", "sample", "score")]
    assert {("export", "--output"), ("plot", "--out"), *pages} <= set(OUTPUTS)


@pytest.mark.parametrize(("command", "option"), OUTPUTS, ids=" ".join)
def test_no_file_named_dash_is_written(
    command: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = judge(run(command, option, "-"), 2)
    assert "standard output is not for a file; give the file a name." in done.err
    assert not any(tmp_path.iterdir())


def test_the_default_of_a_duration_is_shown_as_it_is_typed() -> None:
    found = 0
    for name, option in options():
        record = option.get_help_record(click.Context(cli))
        _, bracket, default = (record or ("", ""))[1].partition("[default: ")
        if isinstance(option.type, Duration) and bracket and default[0].isdigit():
            assert option.type.convert(default.removesuffix("]"), None, None) > 0, f"{name} {option.opts}"
            assert not default.removesuffix("]")[-1].isdigit(), f"{name} {option.opts}: {default}"
            found += 1
    assert found >= 4
