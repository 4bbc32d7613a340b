"""Pages of small models, and the writer that has the very weights that a page has."""

from pathlib import Path

from textgen.exporting.formats import Export
from textgen.exporting.html import writing_page
from textgen.exporting.quantization import Kind, PackedWeights
from textgen.model.read import Checkpoint
from textgen.sampling.writer import Writer


def page_of(writer: Writer, *, name: str = "model", weights: Kind = "int8") -> str:
    checkpoint = Checkpoint(Path("model.keras"), writer.weights, writer.metadata)
    return writing_page(checkpoint, Export(name=name, weights=weights)).decode()


def as_stored(writer: Writer, weights: Kind = "int8") -> Writer:
    """The writer with the weights as a page has them."""
    restored = PackedWeights.of(writer.config, writer.weights, weights).restored()
    return Writer(config=writer.config, weights=restored, tokenizer=writer.tokenizer, metadata=writer.metadata)
