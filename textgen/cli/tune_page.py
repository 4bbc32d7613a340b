"""Writes the tunes of `textgen sample` to a page that shows and plays them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textgen.errors import ConfigError
from textgen.system import atomic_write

if TYPE_CHECKING:
    from textgen.sampling.sample import Sample
    from textgen.sampling.writer import Writer


def check_tunes(writer: Writer, path: Path) -> None:
    """Refuses a page before any time is spent.

    Raises:
        ConfigError: the model was not trained on tunes.
        OSError: there is no such folder.
    """
    from textgen.cli.watching import check_page

    if writer.reading.records != "tunes":
        raise ConfigError(
            f"--html needs a run on tunes, and {writer.name!r} was not trained on them. Train one on a book in ABC "
            "notation: textgen train tunes.abc --records tunes"
        )
    check_page(path)


def write_tunes(path: Path, samples: Sequence[Sample], name: str) -> None:
    """Writes the page.

    Args:
        path: its file.
        samples: the tunes.
        name: the run's name.

    Raises:
        OSError: it cannot be written.
    """
    from textgen.analysis.tunes import tunes_page

    facts = [("tunes", f"{len(samples):,}")]
    if samples:
        temperature = samples[0].config.temperature
        facts.append(("temperature", ", ".join(f"{each:g}" for each in _several(temperature))))
        facts.append(("seed", str(samples[0].seed)))
    page = tunes_page([each.prompt + each.text for each in samples], title=name, facts=facts)
    with atomic_write(path, follow_link=True) as output:
        output.write(page.encode())


def _several(value: float | Sequence[float]) -> Sequence[float]:
    return [value] if isinstance(value, (int, float)) else value
