"""Named corpora: a registry of public texts, which are downloaded, checked and cleaned when first asked for.

registry.toml -> Entry -> fetch_text -> download (raw file) -> clean -> a text in UTF-8
"""

from textgen.corpus.named.entry import Entry, find_entry, named_by, read_registry
from textgen.corpus.named.opening import named_corpus
from textgen.corpus.named.store import corpora_folders, fetch_text

__all__ = ["Entry", "corpora_folders", "fetch_text", "find_entry", "named_by", "named_corpus", "read_registry"]
