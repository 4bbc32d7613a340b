"""The settings of a corpus: how files are decoded, normalized, cut into records and split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from textgen.config.base import Config
from textgen.config.fields import require, setting

Normalization = Literal["none", "nfc", "nfkc"]
RecordKind = Literal["none", "lines", "paragraphs", "files", "tunes"]
Strip = Literal["none", "gutenberg", "abc"]
DecodingErrors = Literal["strict", "replace", "skip"]
Unknown = Literal["auto", "error", "skip", "replace"]
"""What to do with characters outside the vocabulary; see `textgen.corpus.tokenizer.CharTokenizer.encode`."""

PairTask = Literal["diacritics", "case", "spaces", "noise"]
"""What a text's own lines are made into pairs by: what is taken from them or damaged, and is to be written again."""

TUNE_FIELDS = ("K", "L", "M", "R")
"""The information fields of a tune in ABC notation that can be labels: key, unit length, metre and rhythm."""

UNKNOWN_HELP = "What to do with characters outside the vocabulary; auto replaces them if training did, or refuses."
UNKNOWN_DETAILS = "Training replaces characters rarer than `min_count` by an id that they share."


class CorpusConfig(Config):
    """How files are decoded, normalized, cut into records, and split into training and validation text."""

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
    strip: Strip | None = setting(
        default=None,
        otherwise="gutenberg where its markers are certain, which is said; otherwise none",
        help="What to leave out: Project Gutenberg's header and licence, or all but the tunes of ABC files.",
        details="gutenberg leaves out what stands before and after the book, with notes on how the file was made, in "
        "every file that has the markers; it refuses to leave out more than a fifth of a file. abc keeps the tunes, "
        "each with an empty line after it.",
    )
    unwrap: bool = setting(
        default=False,
        help="Join the lines of wrapped paragraphs; verse, lists and tables stay as they are.",
        details="Lines between two blank ones are joined if the longest has 50 characters or more, all but the last "
        "have three fifths of that, none but the first is indented, none begins as an item of a list or has three "
        "spaces in a row, and one after the first begins with a small letter.",
    )
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
        help="Share of the text, its end, or of its records held out for validation; 0 trains on all of it.",
    )
    records: RecordKind | None = setting(
        default=None,
        otherwise="none; a table is refused",
        help="What is a record of its own, learned without what stands before it: a line, paragraph, file or tune.",
        details="tunes reads books in ABC notation, without what stands between tunes. "
        "Of records, those whose text's hash, with the seed, is in the lowest `validation` are held out: equal "
        "ones together, and whatever others there are. none reads a running text, also from a table.",
    )
    text_field: str | None = setting(
        default=None,
        expected="a field's name",
        help="Column or field of a .csv, .tsv or .jsonl file that holds the text; each row is a record.",
    )
    label_field: str | None = setting(
        default=None,
        expected="a field's name, or several separated by commas",
        help="Column or field with a record's labels, separated by commas; several names take the labels of all.",
        details="Of tunes: `K`, `L`, `M` or `R`, a tune's key, unit length, metre and rhythm.",
    )
    pairs: bool = setting(
        default=False,
        help="Learn to turn one text into another: a table's rows are pairs of a source and a target.",
        details="Without `source_field` and `target_field` a .csv or .tsv file has two columns and no row of names. "
        "Pairs are held out by a hash of their source, so that no source trains and validates.",
    )
    source_field: str | None = setting(
        default=None, expected="a field's name", help="Column or field with the sources of pairs."
    )
    target_field: str | None = setting(
        default=None, expected="a field's name", help="Column or field with the targets of pairs."
    )
    task: PairTask | None = setting(
        default=None,
        help="Make pairs of a plain text: learn to restore its diacritics, case or spaces, or to undo noise.",
        details="A sentence is a target, and its source lacks something: diacritics takes combining marks away, also "
        "those of composed letters; case makes every letter small; spaces removes white space; noise drops, doubles, "
        "swaps or replaces characters.",
    )
    noise_rate: float = setting(
        default=0.1, gt=0, le=1, help="Share of the characters that the task noise damages, on average."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("text_field", "label_field", "source_field", "target_field"):
            require(getattr(self, name) != "", name, self.declared[name].expected, "")
        require(
            self.text_field is None or self.records is None,
            "text_field",
            "given without records",
            self.records,
            "Each row of a table is a record already.",
            others=("records",),
        )
        require(
            self.label_field is None or self.records != "tunes" or set(self.label_fields) <= set(TUNE_FIELDS),
            "label_field",
            f"one of {', '.join(TUNE_FIELDS)} for tunes, or several separated by commas",
            self.label_field,
        )
        require(
            self.label_field is None or self.text_field is not None or self.records == "tunes",
            "label_field",
            "given with text_field",
            self.label_field,
            "Name the field that holds the text, too.",
            others=("text_field",),
        )
        self._check_pairs()

        row = f"given without {'text_field' if self.records is None else f'records {self.records}'}"
        row = "given without pairs" if self.from_table else row
        by_row = self.text_field is not None or self.records in ("lines", "tunes") or self.from_table
        remedy = "It joins the lines of paragraphs."
        require(not (self.unwrap and by_row), "unwrap", row, self.unwrap, remedy, others=("pairs",))
        require(
            self.strip in (None, "none") or not (self.text_field is not None or self.from_table),
            "strip",
            f"given without {'pairs' if self.from_table else 'text_field'}",
            self.strip,
            "A table has no header of this kind.",
            others=("text_field", "pairs"),
        )

    def _check_pairs(self) -> None:
        require(
            (self.source_field is None) == (self.target_field is None),
            "source_field",
            "given with target_field",
            self.source_field,
            "Name both.",
            others=("target_field",),
        )
        require(
            self.source_field is None or self.source_field != self.target_field,
            "target_field",
            "another one than source_field",
            self.target_field,
            others=("source_field",),
        )
        require(
            self.task is None or not (self.pairs or self.source_field),
            "task",
            "given without pairs, source_field and target_field",
            self.task,
            "It makes pairs from a plain text.",
            others=("pairs",),
        )
        require(
            self.task == "noise" or self.noise_rate == self.declared["noise_rate"].default,
            "noise_rate",
            "given with task noise",
            self.noise_rate,
            "Nothing else is damaged.",
            others=("task",),
        )
        for name in ("records", "text_field", "label_field"):
            value = getattr(self, name)
            alone = f"given without {'task' if self.task else 'pairs'}"
            require(not self.by_pair or value is None, name, alone, value, others=("pairs", "task"))

    @property
    def by_pair(self) -> bool:
        """Whether the corpus is made of pairs of a source and a target.

        >>> CorpusConfig(task="case").by_pair, CorpusConfig(pairs=True).by_pair, CorpusConfig().by_pair
        (True, True, False)
        """
        return self.from_table or self.task is not None

    @property
    def from_table(self) -> bool:
        """Whether the corpus is made of pairs that are the rows of tables."""
        return self.pairs or self.source_field is not None

    @property
    def label_fields(self) -> tuple[str, ...]:
        """The names in `label_field`.

        >>> CorpusConfig(records="tunes", label_field="R, M").label_fields
        ('R', 'M')
        """
        return tuple(filter(None, (name.strip() for name in (self.label_field or "").split(","))))

    @property
    def by_record(self) -> bool:
        """Whether the corpus is made of records, rather than one running text."""
        return self.text_field is not None or self.records not in (None, "none")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The configuration that `to_json` wrote.

        One of an earlier version, which knew no `strip`, has none; a rate of noise where there is none is left out.

        Raises:
            ConfigError: a field is missing, unknown or out of range.
        """
        if not isinstance(values, Mapping):
            return super().from_json(values)
        kept = {name: value for name, value in values.items() if name != "noise_rate" or values.get("task") == "noise"}
        return super().from_json({"strip": "none", **kept})

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values, without values that earlier versions do not know and that change nothing."""
        newer: dict[str, Any] = {"errors": "strict", "records": None, "text_field": None, "label_field": None}
        newer |= {"strip": "none", "unwrap": False, "pairs": False, "source_field": None, "target_field": None}
        newer |= {"task": None, "noise_rate": 0.1}
        return {name: value for name, value in super().to_json().items() if name not in newer or value != newer[name]}
