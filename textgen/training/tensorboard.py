"""Callback that writes a run's metrics and samples as event files for TensorBoard.

The `tensorboard` package is needed to view them, not to write them; `tf.summary.scalar` and `tf.summary.text` would
import it, so the summaries' metadata is made here.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from textgen.errors import RunError
from textgen.model.results import Validation
from textgen.runs.events import Reporter
from textgen.runs.run import check_folder
from textgen.system import atomic_path, explain
from textgen.training.progress import Progress

_SUFFIX = ".textgen"
"""The suffix of our files' names, so that no other file in a shared folder is touched."""
_EVERY_STEP = 1000
_SPARSELY = 10
_FLUSH_MILLISECONDS = 5000


class EventWriter(keras.callbacks.Callback):
    """Writes metrics and samples of training into event files.

    Each of a run's first thousand steps, and every tenth after them, writes `loss` (nats per character, of that step
    alone), `learning_rate` and `gradient_norm` (before clipping). Each validation writes `val_loss`,
    `bits_per_character`, for both sides `val_backward_loss` and `val_joint_loss`, and, as text, `sample`. The step is
    that of the whole run. A continued run first removes later steps that a killed process wrote, and adds missing
    validations, so that each point exists once. A failed write is a warning, after which no more events are written;
    training continues.

    Args:
        folder: the files' folder, created with the first event.
        progress: the run's counters and history.
        reporter: is told of a failure.

    Raises:
        RunError: the folder is not writable, or it holds the events of another run.
    """

    def __init__(self, folder: Path, progress: Progress, reporter: Reporter) -> None:
        super().__init__()
        self.folder, self.progress, self.reporter = folder, progress, reporter
        check_folder(folder)
        if folder.is_symlink():
            raise RunError(f"Events for TensorBoard cannot go to {folder}: it is a symbolic link. Remove it.")
        if progress.step == 0 and event_files(folder):
            raise RunError(
                f"Events for TensorBoard cannot go to {folder}: it holds those of another run. "
                "Choose another folder or name, or remove it."
            )
        self._writer: tf.summary.SummaryWriter | None = None
        self._broken = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Removes later steps from existing files, and adds missing validations."""
        del logs
        with self._failing_softly():
            known = _rewind(self.folder, self.progress.step)
            for row in self.progress.history:
                if row.step > known:
                    self._write_validation(row)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Writes the step's metrics."""
        del batch, logs
        step = self.progress.step
        if step > _EVERY_STEP and step % _SPARSELY != 0:
            return
        trainer = self.model
        self._write_numbers(
            step,
            {
                "loss": float(trainer.last_loss),
                "learning_rate": float(np.asarray(trainer.optimizer.learning_rate)),
                "gradient_norm": float(trainer.gradient_norm),
            },
        )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes the newest validation of the history."""
        del epoch, logs
        self._write_validation(self.progress.history[-1])

    def close(self) -> None:
        """Flushes and closes the file."""
        if self._writer is not None:
            with self._failing_softly():
                self._writer.close()
            self._writer = None

    def _write_validation(self, row: Validation) -> None:
        if row.val_loss is not None:
            bits = row.val_loss / math.log(2.0)
            numbers = {"val_loss": row.val_loss, "bits_per_character": bits}
            sides = {"val_backward_loss": row.val_backward_loss, "val_joint_loss": row.val_joint_loss}
            numbers |= {name: value for name, value in sides.items() if value is not None}
            self._write_numbers(row.step, numbers)
        self._write(row.step, "sample", [_preformatted(row.sample)], _kind("text", "DATA_CLASS_TENSOR"))
        with self._failing_softly():
            if self._writer is not None:
                self._writer.flush()

    def _write_numbers(self, step: int, values: Mapping[str, float]) -> None:
        for tag, value in values.items():
            self._write(step, tag, np.float32(value), _kind("scalars", "DATA_CLASS_SCALAR"))

    def _write(self, step: int, tag: str, value: Any, kind: Any) -> None:
        if self._broken:
            return
        with self._failing_softly(), tf.device("CPU:0"):
            if self._writer is None:
                self._writer = tf.summary.create_file_writer(
                    str(self.folder), flush_millis=_FLUSH_MILLISECONDS, filename_suffix=_SUFFIX
                )
            with self._writer.as_default():
                tf.summary.write(tag, tf.constant(value), step=step, metadata=kind)

    @contextlib.contextmanager
    def _failing_softly(self) -> Iterator[None]:
        """Turns a failed write into a warning, after which nothing more is written."""
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            told = explain(error) if isinstance(error, OSError) else f"{error.message.splitlines()[0].rstrip('.')}."
            if not self._broken:
                self.reporter.warned(f"Events for TensorBoard are no longer written to {self.folder}: {told}")
            self._broken = True


def _kind(plugin: str, data: str) -> Any:
    """The metadata that selects TensorBoard's plugin for a summary."""
    kind = tf.compat.v1.SummaryMetadata
    return kind(plugin_data=kind.PluginData(plugin_name=plugin), data_class=data)


def _preformatted(text: str) -> bytes:
    """A sample as Markdown for TensorBoard: indented by four, so that it is shown verbatim."""
    return "\n".join(f"    {line}" for line in text.split("\n")).encode("utf-8", "replace")


def event_files(folder: Path) -> list[Path]:
    """The files that `EventWriter` has written to a folder, oldest first; empty if the folder does not exist."""
    found = folder.glob(f"events.out.tfevents.*{_SUFFIX}")
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def _rewind(folder: Path, step: int) -> int:
    """Removes events of later steps, and half-written ones of a killed process, from our files in a folder.

    Returns:
        The step of the last remaining validation; 0 if there is none.
    """
    last = 0
    for path in event_files(folder):
        kept: list[bytes] = []
        records, whole = _records(path)
        for record in records:
            event = tf.compat.v1.Event.FromString(record)
            if event.step <= step:
                kept.append(record)
                if any(value.tag == "sample" for value in event.summary.value):
                    last = max(last, event.step)
        if not any(tf.compat.v1.Event.FromString(record).HasField("summary") for record in kept):
            path.unlink()
        elif not whole or len(kept) < len(records):
            with atomic_path(path) as aside, tf.io.TFRecordWriter(str(aside)) as file:
                for record in kept:
                    file.write(record)
    return last


def _records(path: Path) -> tuple[list[bytes], bool]:
    """The records of a file, and whether it is complete."""
    records: list[bytes] = []
    # The autotuning thread can delay the end of the process by half a minute.
    options = tf.data.Options()
    options.autotune.enabled = False
    try:
        for record in tf.data.TFRecordDataset(str(path)).with_options(options):
            records.append(record.numpy())
    except tf.errors.DataLossError:
        return records, False
    return records, True
