"""Formats and parses a run's history: `metrics.csv` with a row for each validation, and `samples.txt`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

from textgen.model.results import Validation

COLUMNS = ("step", "epoch", "seconds", "characters", "loss", "val_loss", "learning_rate")
SIDES = ("val_backward_loss", "val_joint_loss")
"""The further columns of a run of both sides."""
_COUNTS = ("step", "characters")


def table(history: Sequence[Validation]) -> str:
    r"""The contents of `metrics.csv`.

    >>> table([Validation(step=9, epoch=0.5, seconds=1.5, characters=640, loss=3.0, sample="sea")])
    'step,epoch,seconds,characters,loss,val_loss,learning_rate\n9,0.5,1.5,640,3.0,,\n'
    """
    import csv
    import io

    text = io.StringIO(newline="")
    both = any(row.val_joint_loss is not None for row in history)
    writer = csv.DictWriter(text, (*COLUMNS, *SIDES) if both else COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.to_json() for row in history)
    return text.getvalue()


def rows(table: str) -> list[Validation]:
    r"""The rows of a `metrics.csv`, which may be incomplete: a last line without a line break, and lines with a field
    that is not a number, are left out.

    >>> table = "step,epoch,seconds,characters,loss,val_loss,learning_rate\n9,0.5,1.5,640,3.0,,0.01\n18,1.0,3.0,12"
    >>> [(row.step, row.loss, row.val_loss) for row in rows(table)]
    [(9, 3.0, None)]
    """  # noqa: D205
    whole = table[: table.rfind("\n") + 1]
    found = []
    # Unlike `csv.DictReader`, splitting by hand accepts any text, even one that is not CSV.
    lines = [line.split(",") for line in whole.splitlines()]
    for fields in lines[1:]:
        if len(fields) == len(lines[0]) and len(fields) in (len(COLUMNS), len(COLUMNS) + len(SIDES)):
            values = {name: _number(name, field) for name, field in zip(lines[0], fields, strict=True)}
            if all(math.isfinite(value) for value in values.values() if value is not None):
                with contextlib.suppress(ValueError):
                    found.append(Validation.from_json(values))
    return found


def samples(history: Sequence[Validation]) -> str:
    """The contents of `samples.txt`."""
    return "".join(_entry(row) for row in history if row.sample)


def _number(name: str, field: str) -> float | int | None:
    """A field of the table; NaN if it is not a number."""
    try:
        return None if field == "" else int(field) if name in _COUNTS else float(field)
    except ValueError:
        return math.nan


def _entry(row: Validation) -> str:
    loss = row.loss if row.val_loss is None else row.val_loss
    told = "" if loss is None else f", loss {loss:.4f}"
    return f"--- step {row.step}{told} ---\n{row.sample}\n\n"
