"""The settings of a corpus: how files are decoded, normalized and split."""

from __future__ import annotations

from typing import Any, Literal

from textgen.config.base import Config
from textgen.config.fields import setting

Normalization = Literal["none", "nfc", "nfkc"]
DecodingErrors = Literal["strict", "replace", "skip"]
Unknown = Literal["auto", "error", "skip", "replace"]
"""What to do with characters outside the vocabulary; see `textgen.corpus.tokenizer.CharTokenizer.encode`."""

UNKNOWN_HELP = "What to do with characters outside the vocabulary; auto replaces them if training did, or refuses."
UNKNOWN_DETAILS = "Training replaces characters rarer than `min_count` by an id that they share."


class CorpusConfig(Config):
    """How files are decoded, normalized and split into training and validation text."""

    encoding: str = setting(
        default="utf-8",
        expected="a text encoding that Python knows",
        help="The files' encoding.",
        details="A UTF-8 byte order mark is dropped.",
    )
    errors: DecodingErrors = setting(
        default="strict",
        help="What to do with bytes that are not valid in the encoding.",
        details="strict refuses the text and says how many there are; replace puts U+FFFD in their place; skip drops "
        "them.",
    )
    keep_newlines: bool = setting(default=False, help="Keep CRLF and CR as they are; otherwise each becomes LF.")
    normalize: Normalization = setting(default="none", help="Unicode normalization form of the whole text.")
    glob: str | tuple[str, ...] = setting(
        default="*.txt",
        expected="a pattern such as '*.txt'",
        help="Which files of a folder to read; of several patterns, what matches any of them.",
    )
    min_count: int | None = setting(
        default=None,
        ge=1,
        le=10**9,
        otherwise="by the text",
        remedy="Use 1 to keep every character.",
        help="Characters rarer than this share one unknown id; 1 keeps every character.",
        details="By the text: 1 for fewer than 1,500 different characters; for more, up to 10, such that at most 0.1 % "
        "of the text shares the id. Fine-tuning keeps every character.",
    )
    validation: float = setting(
        default=0.1,
        ge=0,
        le=0.5,
        remedy="Use 0 to train on the whole text.",
        help="Share of the text, at its end, held out for validation; 0 trains on the whole text.",
    )

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values, without a strict `errors`, which earlier versions do not know."""
        return {name: value for name, value in super().to_json().items() if (name, value) != ("errors", "strict")}
