"""Texts to ids: files, folders and standard input become one text, its vocabulary and its ids.

    paths -> open_corpus -> Corpus, whose text streams -> encode_corpus -> EncodedCorpus, which training reads

A long text is never in memory: it is read in pieces, and its ids are written to a file that is mapped.
The package knows no model and no framework.
"""

from textgen.corpus.encoded import EncodedCorpus
from textgen.corpus.encoding import IN_MEMORY, encode_corpus
from textgen.corpus.reading import Corpus, open_corpus

__all__ = ["IN_MEMORY", "Corpus", "EncodedCorpus", "encode_corpus", "open_corpus"]
