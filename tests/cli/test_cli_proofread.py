"""`textgen proofread`: the list, the corrected text, the page, the curve, and what is refused."""

import json
from pathlib import Path

import pytest
from front_door import Outcome, judge, run
from pages import data_of
from small_models import random_writer

from textgen.analysis.proofreading import calibrate, proofread
from textgen.cli import reading
from textgen.sampling.writer import Writer

TEXT = "the sea was clam\nand te ship\n"


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Writer:
    found = random_writer(units=8, seed=2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reading, "load_writer", lambda *_: (found, "poems"))
    (tmp_path / "text.txt").write_text(TEXT)
    return found


def command(*arguments: str, stdin: bytes = b"", code: int = 0) -> Outcome:
    return judge(run("proofread", *arguments, stdin=stdin), code)


def test_each_place_has_a_line(writer: Writer) -> None:
    found = proofread(writer, TEXT, threshold=0.3).findings
    assert len(found) >= 2
    rows = [
        (
            f"{each.line}:{each.column}",
            f"{each.probability:.2f}",
            each.kind,
            each.stands.replace("\n", r"\n") or "(nothing)",
            each.expected.replace("\n", r"\n") or "(nothing)",
        )
        for each in found
    ]
    done = command("text.txt", "--threshold", "0.3")
    assert ([tuple(line.split("\t")) for line in done.out.splitlines()], done.err) == (rows, "")
    assert command("-", "--threshold", "0.3", stdin=TEXT.encode()).out == done.out


def test_the_text_is_corrected_on_standard_output(writer: Writer) -> None:
    done = command("text.txt", "--fix", "--threshold", "0.3", "--noise", "0.02", "--passes", "1")
    assert done.out == proofread(writer, TEXT, threshold=0.3, noise=0.02, passes=1).fixed
    assert (Path("text.txt").read_text(), done.err) == (TEXT, "")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_newlines_and_the_end_of_the_file_stay(writer: Writer, mark: str) -> None:
    line = ("-", "--fix", "--threshold", "0.3", "--noise", "0.02", "--passes", "1")
    text = TEXT.rstrip().replace("\n", "\r\n")
    done = command(*line, stdin=(mark + text).encode())
    proof = proofread(writer, text, threshold=0.3, noise=0.02, passes=1)
    assert done.out == mark + proof.fixed
    assert done.out.count("\r\n") == done.out.count("\n") == proof.fixed.count("\n") > 0
    assert proof.fixed != text
    assert command("-", "--fix", "--threshold", "1", stdin=text.encode()).out == text


def test_json_holds_the_findings(writer: Writer) -> None:
    values = json.loads(command("text.txt", "--json").out)
    assert values == {"file": "text.txt", **proofread(writer, TEXT).to_json(), "run": "poems"}


def test_the_page_is_written(writer: Writer) -> None:
    command("text.txt", "--html", "proof.html", "--limit", "10")
    data = data_of(Path("proof.html").read_text(encoding="utf-8"))
    assert data["text"] == TEXT[:10]
    assert data["findings"] == [each.to_json() for each in proofread(writer, TEXT).findings if each.start < 10]


def test_the_curve_of_a_given_text(writer: Writer) -> None:
    line = ("text.txt", "--calibrate", "--noise", "0.2", "--seed", "4", "--limit", "20", "--passes", "1")
    curve = calibrate(writer, TEXT, noise=0.2, seed=4, limit=20, passes=1)
    out = command(*line).out.splitlines()
    assert out[0] == f"{curve.errors} errors in 20 characters; character error {100 * curve.error_before:.3f} %"
    assert len(out) == 3 + len(curve.rows)
    first = curve.rows[0]
    assert out[3].split()[:4] == ["0.10", str(first.found), f"{first.precision:.3f}", f"{first.recall:.3f}"]
    values = json.loads(command(*line, "--json").out)
    assert values["rows"] == list(curve.to_json()["rows"])
    more = json.loads(command(*line, "--json", "--threshold", "0.333").out)
    assert [each for each in more["rows"] if each["threshold"] != 0.333] == values["rows"]
    assert [each["threshold"] for each in more["rows"]][2:4] == [0.3, 0.333]
    assert command(*line, "--threshold", "0.333").out.splitlines()[6].split()[0] == "0.333"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 2, "Missing argument 'FILE'."),
        (("text.txt", "--calibrate", "--fix"), 2, "--calibrate cannot be given with --fix or --html."),
        (("text.txt", "--json", "--fix"), 2, "--fix and --json cannot be given together."),
        (("missing.txt",), 1, "missing.txt"),
        (("text.txt", "--threshold", "2"), 1, "--threshold must be in [0.05, 1]"),
        (("text.txt", "--calibrate", "--threshold", "0.01"), 1, "--threshold must be in [0.05, 1]"),
        (("text.txt", "--seed", "1"), 2, "--seed needs --calibrate."),
        (("text.txt", "--limit", "9"), 2, "--limit needs --calibrate or --html."),
        (("text.txt", "--html", "none/page.html"), 1, "none/page.html"),
        (("--calibrate",), 1, "Give a text without errors as FILE."),
        (("text.txt", "--label", "a"), 1, "--label needs a run whose records have labels"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(
    writer: Writer, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    assert sentence in command(*arguments, code=code).err
