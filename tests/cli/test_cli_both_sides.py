"""The command line with a run of both sides, from its archive: filling, proofreading, writing backwards, adapting."""

import json
from pathlib import Path

import numpy as np
import pytest
from front_door import Outcome, judge, run
from pages import data_of, unpacked
from small_models import ALPHABET

import textgen
from textgen.analysis.proofreading import proofread
from textgen.config import ModelConfig
from textgen.model.metadata import Metadata
from textgen.model.write import write_checkpoint
from textgen.sampling.writer import Writer

TEXT = "the sea was clam\nand te ship lay stil\n"
OTHER = "a fox came home to the mill\n" * 8
SHAPE = ModelConfig(vocab_size=ALPHABET.vocab_size, layers=1, units=8, embedding=4, sides="both")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from textgen.training.keras_model import build_model

    folder = tmp_path_factory.mktemp("sides")
    path = folder / "checkpoints" / "both" / "best.keras"
    path.parent.mkdir(parents=True)
    model = build_model(SHAPE, seed=1)
    # Weights that are far from those at the beginning of training, so that something is likelier than something else.
    model.set_weights([3.0 * each for each in model.get_weights()])
    write_checkpoint(path, model, metadata=Metadata(model=SHAPE, tokenizer=ALPHABET))
    (folder / "text.txt").write_bytes(TEXT.replace("\n", "\r\n").encode())
    (folder / "other.txt").write_text(OTHER)
    return folder


@pytest.fixture
def both(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Writer:
    monkeypatch.chdir(folder)
    return textgen.load("both")


def half(writer: Writer) -> Writer:
    """The forward half alone."""
    return Writer(config=writer.config.forwards, weights=writer.weights.forwards, tokenizer=writer.tokenizer)


def command(*arguments: str, code: int = 0, stdin: bytes = b"") -> Outcome:
    return judge(run(*arguments, stdin=stdin), code)


def test_gaps_are_filled_from_both_sides(both: Writer) -> None:
    gapped = "the [2] was [1-3] and still"
    found = both.fill(gapped, count=4)
    rows = [f"{each.probability:.4f}\t{each.text}" for each in found]
    assert command("fill", gapped, "-n", "4").out.splitlines() == rows
    assert rows != [f"{each.probability:.4f}\t{each.text}" for each in half(both).fill(gapped, count=4)]
    assert command("fill", stdin=f"{gapped}\r\n".encode()).out == both.fill(f"{gapped}\r\n")[0].text


def test_a_text_is_proofread_from_both_sides(both: Writer) -> None:
    line = ("proofread", "text.txt", "--threshold", "0.05", "--noise", "0.2")
    proof = proofread(both, TEXT, threshold=0.05, noise=0.2)
    assert json.loads(command(*line, "--json").out)["findings"] == [each.to_json() for each in proof.findings]
    assert len(proof.findings) >= 2
    assert proof.noted != proofread(half(both), TEXT, threshold=0.05, noise=0.2).noted
    fixed = command(*line, "--fix").out
    assert fixed == proof.fixed.replace("\n", "\r\n")
    assert fixed != TEXT.replace("\n", "\r\n")


def test_the_page_has_the_verdict_of_each_side(both: Writer) -> None:
    command("proofread", "text.txt", "--html", "page.html")
    data = data_of(Path("page.html").read_text(encoding="utf-8"))
    assert data["text"] == TEXT
    assert [side["title"] for side in data["sides"]] == [
        "most likely after what stands before",
        "most likely before what stands behind",
    ]
    assert both.weights.backward is not None
    turned = Writer(config=both.config.forwards, weights=both.weights.backward, tokenizer=both.tokenizer)
    # From the right the last line break stands for the end of the text.
    expected = half(both).score(TEXT).logprobs, np.append(turned.score(TEXT[-2::-1]).logprobs[::-1], 0.0)
    for side, logprobs in zip(data["sides"], expected, strict=True):
        bits = unpacked(side["bits"]) / data["steps"]
        np.testing.assert_allclose(bits, -logprobs / np.log(2), atol=2e-3)
        assert len(unpacked(side["alternatives"])) == 6 * len(TEXT)


def test_a_text_is_written_backwards_from_an_ending(both: Writer) -> None:
    line = ("sample", "--ending", " the sea", "--length", "30", "--seed", "4")
    found = both.generate_towards(" the sea", count=2, seed=4, max_new_tokens=30)
    done = command(*line, "-n", "2")
    assert done.out == "".join(f"{'-----' * (n > 0)}{chr(10) * (n > 0)}{each.text}\n" for n, each in enumerate(found))
    assert done.err == "(both, --seed 4)\n"
    assert all(len(each.text) == 38 for each in found)
    of_a_line = command(*line[:3], "--length", "0", "--seed", "4", "--until", "line").out
    assert of_a_line.endswith(" the sea\n")
    assert of_a_line[0] != "\n"
    assert command(*line, "--starts-with", "a ship").out.startswith("a ship")
    error = command(*line, "--match", "a+", code=1).err
    assert error.startswith("Error: --match must be left out where a text is written towards an ending")


def test_both_halves_are_adapted(both: Writer) -> None:
    adapted = both.adapt(OTHER)
    to = ("--adapt", "other.txt")
    assert command("fill", "the [3] home", *to).out == adapted.fill("the [3] home")[0].text + "\n"
    found = json.loads(command("proofread", "text.txt", "--json", "--threshold", "0.05", "--noise", "0.2", *to).out)
    expected = proofread(adapted, TEXT, threshold=0.05, noise=0.2).findings
    assert found["findings"] == [each.to_json() for each in expected]
    (written,) = adapted.generate_towards("the sea", seed=4, max_new_tokens=30)
    assert command("sample", "--ending", "the sea", "--length", "30", "--seed", "4", *to).out == f"{written.text}\n"
    assert written.text != both.generate_towards("the sea", seed=4, max_new_tokens=30)[0].text


def test_a_mixture_says_that_it_writes_forwards_only(both: Writer) -> None:
    mixed = ("--run", "both", "--run", "both:0.5")
    error = command("sample", *mixed, "--ending", "sea", code=1).err
    assert "several that are mixed write forwards only" in error
    filled = Writer.mix([both, both], [1.0, 0.5]).fill("the [3] home")[0].text
    assert command("fill", "the [3] home", *mixed).out == f"{filled}\n"
