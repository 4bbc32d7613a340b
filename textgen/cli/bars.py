"""Progress bars on a terminal, one after the other."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from textgen.system import is_terminal

if TYPE_CHECKING:
    from tqdm import tqdm


@contextlib.contextmanager
def bars(stages: Mapping[str, tuple[str, str]]) -> Iterator[Callable[[str, int, int], None] | None]:
    """Shows a bar for each stage that takes more than a second, where standard error is a terminal.

    Args:
        stages: for each stage its title and its unit.

    Yields:
        A function of the stage, the amount done and the total; None without a terminal.
    """
    if not is_terminal(sys.stderr):
        yield None
        return
    from tqdm import tqdm

    tqdm.monitor_interval = 0
    bar: tqdm[Any] | None = None
    current = ""

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal bar, current
        if bar is None or stage != current:
            if bar is not None:
                bar.close()
            title, unit = stages[stage]
            bar = tqdm(
                total=total,
                desc=title,
                unit=unit,
                unit_scale=True,
                leave=False,
                delay=1.0,
                dynamic_ncols=True,
                file=sys.stderr,
            )
            current = stage
        bar.update(done - bar.n)

    try:
        yield progress
    finally:
        if bar is not None:
            bar.close()
