"""Corpora: from files, folders and standard input to one text, its vocabulary, its ids and batches.

    paths -> open_corpus -> Corpus (a stream of text) -> encode_corpus -> EncodedCorpus -> batches

A long text is never held in memory: it is read in pieces, and its ids are memory-mapped from a file.
"""

from textgen.corpus.encoded import EncodedCorpus
from textgen.corpus.encoding import IN_MEMORY, encode_corpus
from textgen.corpus.reading import Corpus, open_corpus
from textgen.corpus.strings import open_texts

__all__ = ["IN_MEMORY", "Corpus", "EncodedCorpus", "encode_corpus", "open_corpus", "open_texts"]
