"""Writes a model as a plain Keras archive: the members that Keras wrote, byte for byte, without textgen's own."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from textgen.model.archive import read_archive
from textgen.model.keras_file import KERAS_MEMBERS
from textgen.model.read import Checkpoint, PairCheckpoint

if TYPE_CHECKING:
    from textgen.exporting.formats import Export


def keras_bytes(checkpoint: Checkpoint | PairCheckpoint, export: Export) -> bytes:
    """The model as the bytes of a `.keras` file, with neither vocabulary nor training state.

    Raises:
        CheckpointError: the checkpoint lacks a member, or has been replaced since it was read.
    """
    del export
    digests = checkpoint.metadata.members
    buffer = io.BytesIO()
    with read_archive(checkpoint.path) as archive, zipfile.ZipFile(buffer, "w") as plain:
        for name in KERAS_MEMBERS:
            # A member that is not there has no digest either: the archive says which.
            plain.writestr(zipfile.ZipInfo(name), archive.read(name, sha256=str(digests.get(name))))
    return buffer.getvalue()
