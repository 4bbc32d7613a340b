"""Runs on tables and on labelled strings: what they report, and that they go on only with the same ones."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from recording import Recorder
from tiny_runs import TINY

import textgen
from textgen.cli import cli
from textgen.config import CorpusConfig
from textgen.errors import CorpusError, RunError

CONFIG = CorpusConfig(text_field="text", label_field="kind")


@pytest.fixture
def table(tmp_path: Path, bundled_corpus: Path) -> Path:
    """The first 120 rows of the bundled table."""
    lines = (bundled_corpus / "short_texts.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    path = tmp_path / "short_texts.csv"
    path.write_text("".join([*lines[:121], ",riddle\n", "Unlabelled.,\n"]), encoding="utf-8")
    return path


def test_a_run_on_a_table_names_its_labels_and_goes_on_only_with_the_same(table: Path) -> None:
    reporter = Recorder()
    run = textgen.train(
        table, name="run", checkpoints=table.parent, corpus=CONFIG, epochs=0.2, seed=5, reporter=reporter, **TINY
    )
    summary = reporter.summary
    assert "121 records of" in summary.corpus
    assert "1 empty" in summary.corpus
    assert summary.labels.endswith("; 1 record without")
    counts = [int(part.split()[1]) for part in summary.labels.partition(";")[0].split(", ")]
    assert sum(counts) == 120
    assert counts == sorted(counts, reverse=True)
    description = run.metadata.corpus
    assert description.config == CONFIG.replace(min_count=1, strip="none")
    assert description.seed == 5
    assert description.records is not None
    assert description.records.labels == ("diary", "headline", "proverb", "recipe", "riddle", "weather")
    shown = CliRunner().invoke(cli, ["info", str(run.path)]).stdout
    assert f"121, {description.records.training} of them to train on\n" in shown
    assert "diary, headline, proverb, recipe, riddle, weather\n" in shown
    assert ", one of them for the end of a record\n" in shown
    textgen.resume("run", checkpoints=table.parent, epochs=0.3)
    table.write_text(table.read_text().replace(",riddle", ",proverb", 1))
    with pytest.raises(RunError, match="The text of the run 'run' has changed since it was trained"):
        textgen.resume("run", checkpoints=table.parent, epochs=0.4)


def test_a_table_whose_fields_nobody_named_is_refused_in_python_too(table: Path) -> None:
    with pytest.raises(CorpusError, match="is a table with the fields 'text' and 'kind'"):
        textgen.train(table, checkpoints=table.parent, **TINY)
    assert not (table.parent / "short_texts").exists()


@pytest.mark.slow
def test_labelled_strings_train_and_go_on(tmp_path: Path) -> None:
    texts = [(f"{word} {number}", [word]) for number in range(60) for word in ("sea", "land")]
    run = textgen.train(
        texts=texts, name="run", checkpoints=tmp_path, corpus=CorpusConfig(records="files"), epochs=0.2, **TINY
    )
    assert run.metadata.corpus.records is not None
    assert (run.metadata.corpus.records.count, run.metadata.corpus.records.labels) == (120, ("land", "sea"))
    textgen.resume("run", texts=iter(texts), checkpoints=tmp_path, epochs=0.3)
    with pytest.raises(RunError, match="has changed"):
        textgen.resume("run", texts=texts[::-1], checkpoints=tmp_path, epochs=0.4)
