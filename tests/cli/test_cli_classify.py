"""`textgen classify`, and the tables that `score` and `eval` read as the run reads its own."""

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from front_door import Outcome, judge, run
from labelled_models import labelled_writer, slow_logprob, write_words
from small_models import random_writer, slow_logits

from textgen.analysis.surprisal import surprise
from textgen.cli import reading
from textgen.corpus.tokenizer import CharTokenizer
from textgen.runs.run import Run
from textgen.sampling.writer import Writer

TABLE = 'word,kind,n\nabba,low,1\n"be,ad","mid,high",2\n\nc,,3\n,low,4\n'
TEXTS = ["abba", "be,ad", "c"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "given.csv").write_text(TABLE)
    (tmp_path / "given.jsonl").write_text('{"word": "abba", "kind": ["low"]}\n{"word": "be\\nad", "kind": null}\n')
    (tmp_path / "other.csv").write_text("title,kind\nabba,low\n")
    (tmp_path / "given.txt").write_text("abba\n\nc\n")
    return tmp_path


@pytest.fixture
def writer(here: Path, monkeypatch: pytest.MonkeyPatch) -> Writer:
    table = write_words(here / "words.csv")
    with table.open("a") as file:
        file.write('"a,\nb",low\n')
    found = labelled_writer(table)
    monkeypatch.setattr(reading, "load_writer", lambda *_: (found, "words"))
    return found


def classify(*arguments: str, stdin: bytes = b"", code: int = 0) -> Outcome:
    return judge(run("classify", "words", *arguments, stdin=stdin), code)


def test_each_text_has_a_line(writer: Writer) -> None:
    expected = [f"{each.label}\t{each.probability:.4f}\t{each.text}" for each in writer.classify(["abba", "c"])]
    for done in (classify("given.txt"), classify("-", stdin=b"abba\n\nc")):
        assert (done.out.splitlines(), done.err) == (expected, "")
    uniform = writer.classify(["abba", "c"], uniform=True)
    lines = classify("given.txt", "--uniform", "--top", "2").out.splitlines()
    for each, line in zip(uniform, lines, strict=True):
        (first, p), (second, q) = each.top(2)
        assert line == f"{first}\t{p:.4f}\t{second}\t{q:.4f}\t{each.text}"


def test_a_table_is_read_as_the_run_s_own(writer: Writer) -> None:
    found = writer.classify(TEXTS)
    lines = classify("given.csv").out.splitlines()
    assert [line.split("\t")[-1] for line in lines] == TEXTS
    assert [line.split("\t")[0] for line in lines] == [each.label for each in found]
    assert classify("other.csv", "--text-field", "title").out.splitlines() == lines[:1]
    assert classify("-", "--text-field", "word", stdin=TABLE.encode()).out.splitlines() == lines
    (*_, shown) = classify("given.jsonl").out.splitlines()
    assert shown.endswith("\tbe\\nad")


def test_given_labels_are_counted(writer: Writer) -> None:
    found = writer.classify(TEXTS)
    right = (found[0].label == "low") + (found[1].label in ("high", "mid"))
    done = classify("given.csv", "--label-field", "kind")
    assert [line.split("\t")[2] for line in done.out.splitlines()] == ["low", "high,mid", ""]
    assert done.err == f"({right} of 2 labels are right: {50 * right:.1f} %)\n"


def test_csv_and_json(writer: Writer) -> None:
    found = writer.classify(TEXTS)
    header, *rows = csv.reader(io.StringIO(classify("given.csv", "--csv", "--top", "9", "--label-field", "kind").out))
    assert header == [
        "label", "probability", "label_2", "probability_2", "label_3", "probability_3", "given", "word",
    ]  # fmt: skip
    assert [row[-1] for row in rows] == TEXTS
    assert [row[0] for row in rows] == [each.label for each in found]
    values = [json.loads(line) for line in classify("given.csv", "--json", "--top", "2").out.splitlines()]
    for value, each in zip(values, found, strict=True):
        assert (value["text"], value["label"], value["run"]) == (each.text, each.label, "words")
        assert value["probability"] == each.probability
        assert [(one["label"], one["probability"]) for one in value["labels"]] == each.top(2)
        assert "given" not in value
    given = classify("given.csv", "--json", "--label-field", "kind").out.splitlines()
    assert [json.loads(line)["given"] for line in given] == [["low"], ["high", "mid"], []]
    assert "cannot be given together" in classify("given.csv", "--json", "--csv", code=2).err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["other.csv"],
            "has no field 'word'; it has 'title' and 'kind'. Name one of them with --text-field.",
        ),
        (["given.csv", "--label-field", "type"], "Name one of them with --label-field."),
        (["given.txt", "--text-field", "word"], "given.txt is not named as a table, but --text-field reads .csv,"),
        (["given.txt", "--label-field", "kind"], "given.txt is not named as a table, but --label-field reads .csv,"),
        (["given.csv", "--text-field", ""], "must be a field's name"),
        (["missing.txt"], "missing.txt"),
        (["-"], "1 character that the model never saw"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_what_cannot_be_classified_is_said_in_a_sentence(writer: Writer, arguments: list[str], message: str) -> None:
    done = classify(*arguments, "--csv", stdin="☃".encode(), code=1)
    assert message in done.err
    assert done.out == ""


def test_nothing_to_classify_is_a_note(writer: Writer) -> None:
    done = classify("-", "--csv", stdin=b"\n \n")
    assert (done.out, done.err) == ("label,probability,word\n", "Note: standard input has no text that is not empty.\n")


def test_a_run_without_labels_is_refused_with_what_to_train(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for model, told in (
        (random_writer(), "'model' was trained on running text"),
        (random_writer(CharTokenizer("abc", has_end=True)), "those of 'model' have none"),
    ):
        monkeypatch.setattr(reading, "load_writer", lambda *_, model=model: (model, "model"))
        assert classify("given.txt", code=1).err == (
            f"Error: textgen classify needs a run whose records have labels, and {told}. Train one: textgen train "
            "TABLE --text-field NAME --label-field NAME\n"
        )
    assert (
        "--label-field needs a run whose records have labels"
        in judge(run("eval", "model", "given.csv", "--text-field", "word", "--label-field", "kind"), 1).err
    )


def test_score_and_eval_read_a_table_row_by_row(writer: Writer) -> None:
    bits = [-slow_logprob(writer, text) / math.log(2.0) for text in TEXTS]
    sizes = [len(text) + 1 for text in TEXTS]
    found = json.loads(judge(run("score", "given.csv", "--json"), 0).out)
    assert found["characters"] == found["of"] == sum(sizes)
    assert found["bits"] == pytest.approx(sum(bits), rel=1e-5)
    ranked = judge(run("score", "given.csv", "--by", "record"), 0).out.splitlines()
    order = sorted(range(3), key=lambda n: -bits[n] / sizes[n])
    assert ranked == [f"{bits[n] / sizes[n]:.3f}\t{n + 1}\t{TEXTS[n]}" for n in order]
    top = json.loads(judge(run("score", "given.csv", "--by", "record", "--top", "1", "--json"), 0).out)
    assert (top["by"], top["bits"]) == ("record", pytest.approx(sum(bits), rel=1e-5))
    assert [each["record"] for each in top["ranking"]] == [order[0] + 1]
    limited = json.loads(judge(run("score", "given.csv", "--limit", "7", "--json", "--show"), 0).out)
    assert (limited["text"], limited["characters"], limited["of"]) == ("abba\nbe", 7, sum(sizes))
    judge(run("score", "given.csv", "--html", "page.html"), 0)
    assert Path("page.html").stat().st_size > 1000
    logprobs = [slow_logprob(writer, *each) for each in (("abba", ["low"]), ("be,ad", ["high", "mid"]), ("c",))]
    table = json.loads(judge(run("eval", "given.csv", "--run", "words", "--json"), 0).out)
    assert table["text"]["source"] == "3 records of given.csv"
    assert table["protocols"][0]["nats_per_character"] == pytest.approx(-sum(logprobs) / sum(sizes), rel=1e-5)
    assert table["classification"]["records"] == 2
    Path("bare.csv").write_text("word\nabba\n")
    bare = json.loads(judge(run("eval", "bare.csv", "--run", "words", "--json"), 0).out)
    assert bare["protocols"][0]["nats_per_character"] == pytest.approx(-slow_logprob(writer, "abba") / 5, rel=1e-5)
    assert "classification" not in bare


def test_lines_of_running_text_are_ranked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_writer()
    monkeypatch.setattr(reading, "load_writer", lambda *_: (model, "model"))
    (here / "log.txt").write_text("the sea\n\nthe bay\nxqj\n")
    bits = -model.score("the sea\n\nthe bay\nxqj\n").logprobs / math.log(2.0)
    means = {1: bits[:8].mean(), 3: bits[9:17].mean(), 4: bits[17:].mean()}
    lines = judge(run("score", "log.txt", "--by", "line"), 0).out.splitlines()
    order = sorted(means, key=lambda n: -means[n])
    assert [line.split("\t")[:2] for line in lines] == [[f"{means[n]:.3f}", str(n)] for n in order]
    assert judge(run("score", "log.txt", "--by", "line", "--top", "1"), 0).out.splitlines() == lines[:1]
    assert judge(run("score", "-", "--by", "line", "--limit", "8", stdin=b"the sea\nthe bay"), 0).out.count("\n") == 1
    for wrong in (["--by", "line", "--show"], ["--by", "line", "--html", "page.html"], ["--top", "3"]):
        judge(run("score", "log.txt", *wrong), 2)
    for option in (["--by", "record"], ["--text-field", "word"]):
        assert "needs a run on records" in judge(run("score", "log.txt", *option), 1).err


def test_a_text_is_scored_as_records_with_a_label(writer: Writer) -> None:
    for given, labels in ((["low"], ["low"]), (["high", "mid:1"], ["high", "mid"])):
        logprobs = [slow_logprob(writer, text, labels) for text in TEXTS]
        options = [option for each in given for option in ("--label", each)]
        found = json.loads(judge(run("score", "given.csv", *options, "--json", "--show"), 0).out)
        assert found["label"] == given
        assert found["bits"] == pytest.approx(-sum(logprobs) / math.log(2.0), rel=1e-5)
        ranked = json.loads(judge(run("score", "given.csv", *options, "--by", "record", "--json"), 0).out)["ranking"]
        bits = {each["text"]: each["bits"] for each in ranked}
        assert bits == pytest.approx({text: -each / math.log(2.0) for text, each in zip(TEXTS, logprobs, strict=True)})
        own = writer.score(TEXTS, label=given).logprobs
        assert own.sum() == pytest.approx(sum(logprobs), rel=1e-5)
        np.testing.assert_allclose(surprise(writer, TEXTS, label=given).logprobs, own, atol=1e-5)
    halves = {"low": 0.5, "high": 0.5}
    np.testing.assert_array_equal(
        writer.score("abba", label=halves).logprobs, writer.score("abba", label=["low:0.5", "high:0.5"]).logprobs
    )
    judge(run("score", "given.csv", "--label", "low", "--html", "low.html"), 0)
    assert f"{writer.score(TEXTS, label='low').bits_per_character:.3f}" in Path("low.html").read_text()


def test_suggestions_are_those_of_the_label(writer: Writer) -> None:
    seen = {}
    for label in writer.labels:
        weights = np.array([float(each == label) for each in writer.labels])
        found = writer.suggest("ab", n=5, label=label)
        for each in found:
            ids = np.append(writer.tokenizer.end_id, writer.tokenizer.encode("ab" + each.text))
            odds = np.exp(slow_logits(writer.config, writer.weights, ids, weights))[2:]
            odds /= odds.sum(-1, keepdims=True)
            ends = odds[-1, [*writer.tokenizer.encode(",\n"), writer.tokenizer.end_id]].sum()
            written = odds[np.arange(len(each.text)), ids[3:]].prod()
            assert each.probability == pytest.approx(written * ends, rel=1e-4)
        options = ("complete", "--json", "--seed", "1", "--temperature", "1", "--label", label)
        lines = judge(run(*options, stdin=b"ab\n:line\n"), 0).out.splitlines()
        shown, written_line = map(json.loads, lines)
        assert shown["suggestions"] == [{"text": each.text, "probability": each.probability} for each in found]
        seen[label] = (tuple(each.text for each in found), written_line["text"])
    assert len({text for _, text in seen.values()}) > 1


@pytest.mark.parametrize(
    "command", [["score", "given.txt"], ["score", "given.txt", "--by", "line"], ["complete"]], ids=" ".join
)
def test_a_label_is_refused_where_it_means_nothing(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    done = judge(run(*command, "--label", "lo"), 1)
    assert done.err == "Error: --label must be one of the run's labels, 'low', 'high', 'mid'; got 'lo'.\n"
    for model in (random_writer(), random_writer(CharTokenizer("abc", has_end=True))):
        monkeypatch.setattr(reading, "load_writer", lambda *_, model=model: (model, "model"))
        assert judge(run(*command, "--label", "low"), 1).err == (
            "Error: --label needs a run whose records have labels, and 'model' has none. Leave it out, or train one on "
            "a table with labels.\n"
        )


def test_the_report_shows_scores_and_the_confusion_matrix(kinds: Run) -> None:
    place = ["--checkpoints", str(kinds.path.parent)]
    done = judge(run("eval", "kinds", *place), 0)
    lines = done.out.splitlines()
    assert max(map(len, lines[1:])) <= 80
    head = next(n for n, line in enumerate(lines) if line.startswith("labels of "))
    found = json.loads(judge(run("eval", "kinds", "--json", *place), 0).out)
    scores = found["classification"]
    assert lines[head].split() == ["labels", "of", str(scores["records"]), "records", "accuracy", "macro", "F1"]
    model = lines[head + 1].split()
    assert model[-3:] == [f"{100 * scores['accuracy']:.1f}", "%", f"{scores['macro_f1']:.3f}"]
    start = next(n for n, line in enumerate(lines) if line.endswith("<- the model's answer")) + 1
    for line, row, label in zip(lines[start:], scores["confusion"], scores["labels"], strict=False):
        *counts, _, _, name = line.split()
        assert ([int(count) for count in counts], name) == (row, label)
    assert scores["labels"] == ["diary", "headline", "proverb", "recipe", "riddle", "weather"]
