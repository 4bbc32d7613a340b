"""Unit states: correlations, saturation, the page, the command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import data_of, unpacked
from slow_cells import STATES
from slow_traces import slow_traces
from small_models import ALPHABET, random_weights, random_writer

import textgen
import textgen.analysis.neurons as activity
from textgen.analysis.features import find_features
from textgen.analysis.neurons import Neurons, correlate
from textgen.cli import cli, reading
from textgen.config import CELLS, ModelConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, CorpusError, UnknownCharacterError
from textgen.sampling.writer import Writer

TEXT = "the sea was calm\nand the wind was low\n\nso we went on and on\nto the other side\n" * 3
GATES = {"gru": ["update", "reset"], "rnn": []}


def slow(cell: Any) -> tuple[Writer, list[list[dict[str, np.ndarray]]]]:
    """A writer and what its layers do over `TEXT`, in float64."""
    config = ModelConfig(vocab_size=ALPHABET.vocab_size, layers=2, units=24, embedding=8, cell=cell)
    weights = random_weights(config, scale=1.5)
    writer = Writer(config=config, weights=weights, tokenizer=ALPHABET)
    return writer, [layer[1:] for layer in slow_traces(config, weights, ALPHABET.encode("\n" + TEXT))]


@pytest.mark.parametrize("cell", CELLS)
def test_states_and_saturation_agree_with_the_slow_network(cell: Any) -> None:
    writer, traces = slow(cell)
    found = textgen.neurons(writer, TEXT)
    assert [(use.layer, use.gate) for use in found.gates] == [
        (layer, gate) for layer in (1, 2) for gate in GATES.get(cell, ["input", "forget", "output"])
    ]
    for layer, trace in enumerate(traces):
        memory = np.array([step["cell_state"] for step in trace])
        expected = np.tanh(memory) if STATES[cell] == 2 else memory
        np.testing.assert_allclose(found.states[layer], expected.T, atol=1e-4)
        for use in (each for each in found.gates if each.layer == layer + 1):
            values = np.array([step[use.gate] for step in trace])
            np.testing.assert_allclose(use.above, (values > 0.9).mean(axis=0), atol=2 / len(TEXT))
            np.testing.assert_allclose(use.below, (values < 0.1).mean(axis=0), atol=2 / len(TEXT))


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    writer, calls = random_writer(), []
    whole = textgen.neurons(writer, TEXT)
    monkeypatch.setattr(activity, "_CHUNK", 50)
    parts = textgen.neurons(writer, TEXT, progress=lambda done, total: calls.append((done, total)))
    np.testing.assert_allclose(parts.states, whole.states, atol=1e-4)
    assert calls[0] == (50, len(TEXT))
    assert calls[-1] == (len(TEXT), len(TEXT))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 50))
def test_correlations_are_those_of_numpy(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    states = np.tanh(rng.standard_normal((2, 3, count))).astype(np.float32)
    features = [rng.standard_normal(count), np.arange(count) % 2.0, rng.integers(0, 2, count).astype(float)]
    found = correlate(features, states)
    for place in np.ndindex(found.shape):
        feature, state = features[place[0]], states[place[1:]].astype(float)
        expected = np.corrcoef(feature, state)[0, 1] if feature.std() > 0 else 0.0
        assert found[place] == pytest.approx(expected, abs=1e-9)


def test_constant_states_and_features_have_no_correlation() -> None:
    states = np.full((1, 2, 5), 0.1, np.float32)
    states[0, 1] = [0.1, 0.2, 0.1, 0.2, 0.1]
    found = correlate([np.array([0.0, 1, 0, 1, 0]), np.full(5, 0.1)], states)
    np.testing.assert_allclose(found, [[[0.0, 1.0]], [[0.0, 0.0]]])
    assert correlate([], states).shape == (0, 1, 2)


def watched(**shape: Any) -> Neurons:
    return textgen.neurons(random_writer(**shape), TEXT)


def test_the_best_units_come_first_counted_from_one() -> None:
    found = watched()
    for place, feature in enumerate(found.features):
        top = found.top(place, 5)
        strengths = [abs(unit.correlation) for unit in top]
        assert strengths == sorted(strengths, reverse=True)
        assert strengths[0] == np.abs(found.correlations[place]).max()
        for unit in top:
            expected = np.corrcoef(feature.values, found.state(unit.layer, unit.unit))[0, 1]
            assert unit.correlation == pytest.approx(expected, abs=1e-6)
    assert [feature.name for feature in found.features] == [feature.name for feature in find_features(TEXT)]


def test_a_unit_that_tracks_a_feature_is_found() -> None:
    found = watched()
    planted = found.states.copy()
    place = next(n for n, feature in enumerate(found.features) if feature.name == "position in line")
    planted[1, 7] = -np.tanh(found.features[place].values / 30)
    correlations = correlate([feature.values for feature in found.features], planted)
    changed = Neurons(**{**vars(found), "states": planted, "correlations": correlations})
    (best,) = changed.top(place, 1)
    assert (best.layer, best.unit) == (2, 8)
    assert best.correlation < -0.9


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    found = textgen.neurons(random_writer(), TEXT, limit=30)
    assert found.states.shape == (2, 24, 30)
    assert f"the first 30 of {len(TEXT)} characters" in found.to_html()


@pytest.mark.parametrize(
    ("text", "arguments", "error"),
    [
        ("", {}, CorpusError),
        ("É", {}, UnknownCharacterError),
        ("É", {"unknown": "skip"}, CorpusError),
        ("a", {"limit": 0}, ConfigError),
    ],
)
def test_invalid_texts_and_settings_raise_errors(text: str, arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        textgen.neurons(random_writer(), text, **arguments)


@pytest.mark.parametrize("text", ["a", "aaaaa", "one line without an end"])
def test_short_and_uniform_texts_have_pages(text: str) -> None:
    found = textgen.neurons(random_writer(), text)
    assert np.isfinite(found.correlations).all()
    assert data_of(found.to_html())["text"] == text
    json.dumps(found.to_json(), allow_nan=False)


def test_chinese_is_text_like_any_other() -> None:
    text = "山中有诗。\n「水中有月。」\n" * 4
    found = textgen.neurons(random_writer(CharTokenizer.from_text(text)), text)
    assert {"position in line", "inside quotes", "start of a word"} <= {feature.name for feature in found.features}
    assert data_of(found.to_html())["text"] == text


def test_a_page_holds_states_correlations_marks_and_saturation() -> None:
    found = watched(cell="gru")
    page = found.to_html(title="The <sea>")
    data = data_of(page)
    states = unpacked(data["states"]).reshape(2, 24, -1) / 127
    np.testing.assert_allclose(states, found.states, atol=0.5 / 127 + 1e-6)
    correlations = unpacked(data["correlations"]).reshape(len(found.features), 2, 24)
    np.testing.assert_allclose(correlations, found.correlations, atol=1e-6)
    for shown, feature in zip(data["features"], found.features, strict=True):
        assert (shown["name"], shown["binary"]) == (feature.name, feature.binary)
        if feature.binary:
            marks = np.unpackbits(unpacked(shown["marks"]))[: len(TEXT)]
            np.testing.assert_array_equal(marks, feature.values)
    for shown, use in zip(data["gates"], found.gates, strict=True):
        assert (shown["layer"], shown["gate"]) == (use.layer, use.gate)
        np.testing.assert_allclose(unpacked(shown["above"]), use.above, atol=1e-6)
        np.testing.assert_allclose(unpacked(shown["below"]), use.below, atol=1e-6)
    assert "The &lt;sea&gt;" in page
    assert page == watched(cell="gru").to_html(title="The <sea>")


def test_a_large_page_omits_characters_and_then_units(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = watched()
    monkeypatch.setattr(activity, "_FEWEST", 40)
    monkeypatch.setattr(activity, "_VALUES", 48 * 60)
    page = found.to_html()
    assert len(data_of(page)["text"]) == 60
    assert f"the first 60 characters; the correlations are over all {len(TEXT)}" in page
    monkeypatch.setattr(activity, "_VALUES", 40 * 5)
    page = found.to_html()
    data = data_of(page)
    assert len(data["text"]) == 40
    kept = unpacked(data["units"])
    assert len(kept) == 5
    assert "the 5 of 48 with the highest correlations" in page
    strengths = np.abs(found.correlations).max(axis=0).ravel()
    assert set(kept.tolist()) == set(np.argsort(-strengths, kind="stable")[:5].tolist())
    np.testing.assert_allclose(
        unpacked(data["states"]).reshape(5, 40) / 127, found.states.reshape(48, -1)[kept, :40], atol=0.005
    )


def test_a_simple_network_has_no_gates() -> None:
    found = watched(cell="rnn")
    assert found.gates == ()
    assert found.to_json()["saturation"] == []
    assert data_of(found.to_html())["gates"] == []


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Writer:
    writer = random_writer()
    monkeypatch.setattr(reading, "load_writer", lambda *_: (writer, "letters"))
    return writer


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["neurons", "letters", "-", *arguments], input=TEXT)
    assert result.exit_code == 0, result.output
    return result


def test_the_command_prints_correlations_and_saturation(loaded: Writer) -> None:
    found = textgen.neurons(loaded, TEXT)
    lines = run("--top", "2").stdout.splitlines()
    assert f"text   {len(TEXT)} characters, sha256 {found.passage.sha256[:12]}" in lines
    (row,) = (line for line in lines if line.startswith("position in line"))
    best, second = found.top(0, 2)
    assert row.split()[-3:] == [str(best.layer), str(best.unit), f"{best.correlation:+.2f}"]
    after = lines[lines.index(row) + 1].split()
    assert after == [str(second.layer), str(second.unit), f"{second.correlation:+.2f}"]
    forget = next(use for use in found.gates if use.gate == "forget")
    shares = [f"{100 * share.mean():.1f}" for share in (forget.above, forget.below)]
    assert ["1", "forget", shares[0], "%", shares[1], "%"] in [line.split() for line in lines]
    values = json.loads(run("--json", "--top", "2").stdout)
    assert values == {"file": "-", **json.loads(json.dumps(found.to_json(top=2)))}


def test_the_command_writes_the_page(loaded: Writer, tmp_path: Path) -> None:
    out = tmp_path / "neurons.html"
    assert run("--html", str(out)).stdout == run().stdout
    assert out.read_text(encoding="utf-8") == textgen.neurons(loaded, TEXT).to_html(title="Standard input")


def test_user_errors_are_one_line(loaded: Writer) -> None:
    for arguments, text, code, said in (
        (["letters", "-"], "", 1, "the text is empty"),
        (["letters", "-"], "É", 1, "never saw"),
        (["letters", "-", "--html", "no/such/page.html"], TEXT, 1, "no/such/page.html"),
        (["letters", "-", "--limit", "0"], TEXT, 1, "limit must be"),
        (["letters"], TEXT, 2, "Missing argument"),
    ):
        result = CliRunner().invoke(cli, ["neurons", *arguments], input=text)
        assert (result.exit_code, result.stdout) == (code, "")
        assert said in result.stderr
