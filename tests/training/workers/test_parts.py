"""Each worker has its own part of the text, all have one vocabulary, and validate on worker 0's held-out text."""

from pathlib import Path
from typing import Any

import pytest
from teams import as_threads

from textgen.config import CorpusConfig
from textgen.corpus import EncodedCorpus, encode_corpus, open_corpus
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, TrainingError
from textgen.training.workers.parts import Part, check_as_before, check_part, share_vocabulary
from textgen.training.workers.team import Team

TEXTS = ("abab" * 20 + "bb" * 5 + "\u00e9", "abca" * 30)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    found = [tmp_path / f"{n}.txt" for n in range(2)]
    for path, text in zip(found, TEXTS, strict=True):
        path.write_text(text, encoding="utf-8")
    return found


def share(files: list[Path], min_count: int | None = None, **more: Any) -> list[tuple[EncodedCorpus, list[Part]]]:
    def act(team: Team) -> Any:
        opened = open_corpus(files[team.index], config=CorpusConfig(min_count=1, validation=0.25))
        known = more if team.leads else {}
        own = encode_corpus(opened, tokenizer=known.get("known"))
        return share_vocabulary(
            team, own, lambda wanted: encode_corpus(opened, tokenizer=wanted), min_count=min_count, **known
        )

    return as_threads(2, act)


def test_all_parts_are_in_the_vocabulary_of_both(files: list[Path]) -> None:
    (first, parts), (second, nothing) = share(files)
    assert first.tokenizer == second.tokenizer == CharTokenizer("abc\u00e9")
    assert first.tokenizer.decode(first.ids) == TEXTS[0] and second.tokenizer.decode(second.ids) == TEXTS[1]
    assert [each["characters"] for each in parts] == [91, 120] and nothing == []
    assert [each["sources"] for each in parts] == [[str(path)] for path in files]


def test_worker_0s_held_out_text_validates_and_the_others_train_on_all_of_theirs(files: list[Path]) -> None:
    (first, _), (second, _) = share(files)
    assert first.split == 68 and first.held_out.tolist() == second.held_out.tolist() == first.ids[68:].tolist()
    assert second.training.tolist() == second.ids.tolist()


def test_a_character_is_rare_that_is_rare_in_all_parts_together(files: list[Path]) -> None:
    # The second part alone has c, 30 times; é occurs once.
    (first, _), (second, _) = share(files, min_count=30)
    assert first.tokenizer == second.tokenizer == CharTokenizer("abc", has_unknown=True)


def test_a_continued_run_keeps_its_vocabulary_and_refuses_another_part_by_name(files: list[Path]) -> None:
    (first, parts), _ = share(files)
    again = share(files, known=first.tokenizer, before=parts)
    assert [each.tokenizer for each, _ in again] == [first.tokenizer] * 2 and again[0][1] == parts
    files[1].write_text("abcb" * 30)
    for error in share(files, known=first.tokenizer, before=parts):
        assert isinstance(error, TrainingError)
        assert str(error).startswith("Worker 1 (127.0.0.1:") and "has another part of the text (sha256" in str(error)


def test_a_run_keeps_whether_its_workers_have_parts() -> None:
    check_as_before({}, parts=True)
    check_as_before({"count": 2, "parts": []}, parts=True)
    with pytest.raises(ConfigError, match="text_part must be given: the workers of this run had a part of the text"):
        check_as_before({"count": 2, "parts": []}, parts=False)
    with pytest.raises(ConfigError, match="text_part must be left out: the workers of this run had one text"):
        check_as_before({"count": 2}, parts=True)


def test_records_have_no_parts(files: list[Path]) -> None:
    records = encode_corpus(open_corpus(files[1], config=CorpusConfig(records="lines", validation=0.0)))
    with pytest.raises(ConfigError, match="text_part must be left out where the text is made of records"):
        check_part(records)
