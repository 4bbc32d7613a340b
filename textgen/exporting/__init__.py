"""Exports a checkpoint for use elsewhere: as a file that other programs read.

`formats` is the table of the formats, and `export` writes one of them. A format is a module with a function from a
checkpoint to the file's bytes, and a row in the table. The package's face has a function `export`, so the room has
another name.
"""

from textgen.exporting.formats import FORMATS, Export, Format, export

__all__ = ["FORMATS", "Export", "Format", "export"]
