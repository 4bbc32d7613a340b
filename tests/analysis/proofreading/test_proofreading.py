"""Proofreading: gains against the slow network, findings by a scripted one, records, noise, calibration."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ALPHABET, Scripted, random_weights, random_writer, slow_logits

import textgen
from textgen.analysis.proofreading import Finding, calibrate, proofread
from textgen.analysis.proofreading.calibration import match
from textgen.analysis.proofreading.candidates import Likeliest, log_priors, propose
from textgen.analysis.proofreading.distance import edit_distance
from textgen.analysis.proofreading.edits import KINDS, Edits
from textgen.analysis.proofreading.finding import fixed
from textgen.analysis.proofreading.joint import JointReader
from textgen.analysis.proofreading.noise import Error, add_noise
from textgen.analysis.proofreading.scoring import TextReader
from textgen.analysis.proofreading.sides import JOINT, Sides
from textgen.analysis.proofreading.text import place_text
from textgen.config import CorpusConfig, ModelConfig, ProofConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, CorpusError, RunError, UnknownCharacterError
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.runs.run import Run
from textgen.sampling.writer import Writer

SMALL = CharTokenizer("\nabcde")


@pytest.fixture(scope="module")
def writer() -> Writer:
    return random_writer(SMALL, units=12, seed=3)


def logprob(writer: Writer, ids: Sequence[int]) -> float:
    logits = slow_logits(writer.config, writer.weights, np.array(ids[:-1]))
    logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return float(logprobs[np.arange(len(ids) - 1), ids[1:]].sum())


def all_edits(ids: np.ndarray) -> Edits:
    """All edits of a text with the ids 1 to 5."""
    places = np.arange(len(ids))
    return Edits.join(
        [
            *(Edits.of_kind(0, places, np.full((len(ids), 1), each)) for each in range(1, 6)),
            Edits.of_kind(1, places, np.empty((len(ids), 0), np.intp)),
            *(Edits.of_kind(2, np.append(places, len(ids)), np.full((len(ids) + 1, 1), each)) for each in range(1, 6)),
            Edits.of_kind(3, places[:-1], np.column_stack([ids[1:], ids[:-1]]).astype(np.intp)),
        ]
    )


def test_a_gain_is_the_difference_of_two_log_probabilities(writer: Writer) -> None:
    ids = SMALL.encode("abcdeabdce")
    edits = all_edits(ids)
    before = after = np.array([0], np.uint8)
    reader = TextReader(writer.engine, ids, before=before, after=after)
    own = reader.logprobs()
    assert own.sum() == pytest.approx(logprob(writer, [0, *ids, 0]), abs=1e-4)
    gains = reader.gains(edits, own, reach=99, floor=np.full(len(edits), -np.inf))
    for which in range(len(edits)):
        changed = edits.applied(ids, which)
        expected = logprob(writer, [0, *changed, 0]) - logprob(writer, [0, *ids, 0])
        assert gains[which] == pytest.approx(expected, abs=2e-4)


def test_a_text_read_in_parts_gives_nearly_the_gains_of_one_read_as_a_whole() -> None:
    config = ModelConfig(vocab_size=6, layers=1, units=12, embedding=8)
    writer = Writer(config=config, weights=random_weights(config), tokenizer=SMALL)
    text = "".join(np.random.default_rng(4).choice(list("abcde"), 900))
    ids = SMALL.encode(text)
    before = after = np.array([0], np.uint8)
    reader = TextReader(writer.engine, ids, before=before, after=after)
    assert reader._parts == 7
    own = reader.logprobs()
    exact = textgen.engine.scoring.score_ids(writer.engine, np.concatenate([before, ids, after]))
    np.testing.assert_allclose(own, exact, atol=0.02)
    edits = all_edits(ids).take(np.arange(0, 9000, 7))
    gains = reader.gains(edits, own, reach=6, floor=np.full(len(edits), -np.inf))
    for which in range(0, len(edits), 40):
        changed = edits.applied(ids, which)
        place, grown = int(edits.places[which]), len(changed) - len(ids)
        stop = min(place + int(edits.taken[which]) + 6, len(ids) + 1)
        both = [np.concatenate([before, each, after]).astype(int) for each in (changed, ids)]
        first, second = (textgen.engine.scoring.score_ids(writer.engine, each) for each in both)
        expected = first[place : stop + grown].sum() - second[place:stop].sum()
        assert gains[which] == pytest.approx(expected, abs=0.05)


def test_edits_that_look_bad_are_dropped(writer: Writer) -> None:
    ids = SMALL.encode("abcdeabdceabc")
    edits = all_edits(ids)
    reader = TextReader(writer.engine, ids, before=ids[:1], after=ids[:1])
    own = reader.logprobs()
    all_gains = reader.gains(edits, own, reach=9, floor=np.full(len(edits), -np.inf))
    gains = reader.gains(edits, own, reach=9, floor=np.full(len(edits), 1.0))
    kept = np.isfinite(gains)
    assert 0 < kept.sum() < len(edits)
    np.testing.assert_allclose(gains[kept], all_gains[kept], atol=1e-4)


@given(st.text(alphabet="abcde", min_size=1, max_size=8), st.data())
def test_a_reversed_edit_is_the_edit_of_the_reversed_text(text: str, data: st.DataObject) -> None:
    ids = SMALL.encode(text)
    edits = all_edits(ids)
    which = data.draw(st.integers(0, len(edits) - 1))
    mirrored = edits.reversed(len(ids)).applied(ids[::-1], which)
    assert mirrored[::-1].tolist() == edits.applied(ids, which).tolist()


def test_all_edits_that_may_be_worth_it_are_proposed_once() -> None:
    """With a prior that makes every edit worth it, those are left out that do nothing, or what another one does."""
    text = place_text(scripted({"": {"a": 1.0}}), "aab", "error")
    n, vocab = len(text.ids), ALPHABET.vocab_size
    likeliest = Likeliest(np.tile(np.arange(vocab), (n + 1, 1)), np.zeros((n + 1, vocab)))
    edits = propose(text, np.zeros(n + 1), likeliest, np.full(4, 1e3), np.ones(vocab, np.bool_))
    results = [edits.applied(text.ids, which).tobytes() for which in range(len(edits))]
    assert len(set(results)) == len(results)
    assert text.ids.tobytes() not in results
    expected = {(*text.ids[:k], c, *text.ids[k:]) for k in range(n + 1) for c in range(vocab)}
    expected |= {(*text.ids[:k], c, *text.ids[k + 1 :]) for k in range(n) for c in range(vocab)} - {tuple(text.ids)}
    expected |= {(*text.ids[:k], *text.ids[k + 1 :]) for k in range(n)} | {tuple(text.ids[[0, 2, 1]])}
    assert {tuple(np.frombuffer(each, np.uint8)) for each in results} == expected


SENTENCE = "the sea was calm and the ship lay still\n"


def scripted(odds: dict[str, dict[str, float]]) -> Writer:
    writer = random_writer(units=4, layers=1)
    writer.engine = Scripted(odds)
    return writer


@pytest.fixture(scope="module")
def reciter() -> Writer:
    """A network that goes on with a sentence where it can, after the last two characters, and else writes anything."""
    even = dict.fromkeys(ALPHABET.characters, 1.0)
    known: dict[str, dict[str, float]] = {}
    for n in range(1, 3):
        for place in range(len(SENTENCE) - 1):
            context, following = ("\n" + SENTENCE)[place + 2 - n : place + 2], SENTENCE[place + 1]
            odds = known.setdefault(context, dict(even))
            odds[following] += 1e6 if n == 2 else 100.0
    return scripted({**known, "\n": {**even, "t": 1000.0}, "": even})


@pytest.mark.parametrize(
    ("wrong", "start", "kind", "stands", "expected"),
    [
        ("the sea wqs calm and the ship lay still\n", 9, "substitution", "q", "a"),
        ("the sea wass calm and the ship lay still\n", 10, "insertion", "s", ""),
        ("the sea ws calm and the ship lay still\n", 9, "deletion", "", "a"),
        ("the sea wsa calm and the ship lay still\n", 9, "transposition", "sa", "as"),
        ("the sea was calm and the ship lay stll\n", 36, "deletion", "", "i"),
        ("the sea was calm and the ship lay stil\n", 38, "deletion", "", "l"),
    ],
)
def test_what_went_wrong_is_found(
    reciter: Writer, wrong: str, start: int, kind: str, stands: str, expected: str
) -> None:
    proof = proofread(reciter, wrong)
    (found,) = proof.findings
    assert (found.kind, found.stands, found.expected) == (kind, stands, expected)
    # One of two equal characters is too many, or missing, in either place.
    assert abs(found.start - start) <= (kind in ("insertion", "deletion"))
    assert (found.line, found.column) == (1, found.start + 1)
    assert 0.5 <= found.probability <= 1.0
    assert proof.fixed == SENTENCE


def test_several_errors_are_found_and_lines_are_counted(reciter: Writer) -> None:
    text = "the sea wqs calm and the ship lay still\nthe sea was clam and te ship lay still\n"
    proof = proofread(reciter, text)
    assert proof.fixed == SENTENCE * 2
    assert [each.line for each in proof.findings] == [1, 2, 2]
    assert [text[each.start :].startswith(each.stands) for each in proof.findings] == [True] * 3


def test_a_text_without_errors_has_none(reciter: Writer) -> None:
    proof = proofread(reciter, SENTENCE * 3)
    assert proof.findings == ()
    assert proof.fixed == SENTENCE * 3


def test_the_highest_and_the_lowest_threshold(reciter: Writer) -> None:
    text = "the sea wqs calm and the ship lay still\n"
    assert proofread(reciter, text, threshold=1.0).findings == ()
    everything = proofread(reciter, text, threshold=0.05)
    assert everything.findings == everything.noted


def test_nothing_that_is_not_shown_is_corrected_before_the_next_reading(writer: Writer) -> None:
    text = "".join(np.random.default_rng(7).choice(list("abcde"), 300))
    once = proofread(writer, text, threshold=0.05, passes=1)
    above = 1.0 - (1.0 - max(each.probability for each in once.noted)) / 2
    assert sum(each.probability >= 0.5 for each in once.noted) >= 3
    assert above < 1.0
    assert proofread(writer, text, threshold=0.05, passes=2).noted != once.noted
    assert proofread(writer, text, threshold=above, passes=2).noted == once.noted


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r"])
def test_what_no_correction_touches_stays_as_it_was(reciter: Writer, end: str) -> None:
    wrong = "the sea wqs calm and the ship lay still"
    newline = end or "\n"
    proof = proofread(reciter, f"{wrong}{newline}{SENTENCE.strip()}{end}")
    assert proof.fixed == f"{SENTENCE.strip()}{newline}{SENTENCE.strip()}{end}"
    assert proof.text == f"{wrong}\n{SENTENCE.strip()}{end and chr(10)}"


def test_only_what_is_corrected_is_normalised() -> None:
    config = CorpusConfig(normalize="nfc")
    encoded = textgen.corpus.encode_corpus(textgen.corpus.open_texts(["abcdé\n" * 9], config=config))
    tokenizer = CharTokenizer("\nabcdé")
    metadata = Metadata(model=ModelConfig(vocab_size=6), tokenizer=tokenizer, corpus=CorpusDescription.of(encoded))
    text = "abcde\u0301dabe\u0301bca" * 20
    proof = proofread(random_writer(tokenizer, units=8, seed=3, metadata=metadata), text, noise=0.3, threshold=0.3)
    assert proof.text == text.replace("e\u0301", "é")
    assert 3 <= len(proof.findings) < 100
    touched = sum(each.stands.count("é") for each in proof.findings)
    assert proof.fixed.count("e\u0301") == 40 - touched
    assert proof.fixed.replace("e\u0301", "é") == fixed(proof.text, proof.findings)


def test_the_same_text_has_the_same_findings(writer: Writer) -> None:
    text = "".join(np.random.default_rng(7).choice(list("abcde"), 300))
    first, second = (proofread(writer, text, threshold=0.05) for _ in range(2))
    assert first.noted == second.noted


@settings(max_examples=15)
@given(st.text(alphabet="abcde\n", min_size=1, max_size=60))
def test_findings_do_not_overlap_and_are_what_stands_there(text: str) -> None:
    proof = proofread(random_writer(SMALL, units=8, layers=1, seed=3), text, threshold=0.05, noise=0.3)
    done = 0
    for each in proof.findings:
        assert each.start >= done
        assert text[each.start : each.start + len(each.stands)] == each.stands
        assert text.split("\n")[each.line - 1][each.column - 1 :][: len(each.stands)] == each.stands.split("\n")[0]
        done = each.start + max(len(each.stands), 1)
    assert fixed(text, proof.findings) == proof.fixed


@pytest.fixture(scope="module")
def records() -> Writer:
    config = CorpusConfig(records="lines")
    encoded = textgen.corpus.encode_corpus(textgen.corpus.open_texts(["abcde", "ba"] * 9, config=config))
    tokenizer = CharTokenizer("abcde", has_end=True)
    metadata = Metadata(model=ModelConfig(vocab_size=6), tokenizer=tokenizer, corpus=CorpusDescription.of(encoded))
    return random_writer(tokenizer, units=12, seed=5, metadata=metadata)


def test_records_are_read_each_by_itself(records: Writer) -> None:
    together = proofread(records, "\nabcde\n\nba\ncdcdcd\n", threshold=0.05, passes=1, noise=0.2)
    apart = [proofread(records, text, threshold=0.05, passes=1, noise=0.2) for text in ("abcde", "ba", "cdcdcd")]
    shifts, lines = (1, 8, 11), (2, 4, 5)
    expected = [
        (each.start + shift, line, each.column, each.stands, each.expected, pytest.approx(each.probability, abs=0.03))
        for proof, shift, line in zip(apart, shifts, lines, strict=True)
        for each in proof.findings
    ]
    assert [
        (each.start, each.line, each.column, each.stands, each.expected, each.probability) for each in together.findings
    ] == expected
    assert len(expected) >= 2


def test_what_is_outside_the_vocabulary_is_kept_or_replaced_or_refused(reciter: Writer) -> None:
    text = "the sea wÉs calm and the ship lay still\n"
    assert proofread(reciter, text).fixed == SENTENCE
    dropped = proofread(reciter, text, unknown="skip")
    assert [(each.start, each.kind, each.expected) for each in dropped.findings] == [(10, "deletion", "a")]
    with pytest.raises(UnknownCharacterError):
        proofread(reciter, text, unknown="error")


@pytest.mark.parametrize(
    ("text", "given", "error", "sentence"),
    [
        ("", {}, CorpusError, "There is nothing to proofread: the text is empty."),
        ("É", {"unknown": "skip"}, CorpusError, "none of the text's characters is in the model's vocabulary"),
        ("a", {"threshold": 1.5}, ConfigError, r"threshold must be in \[0.05, 1\]"),
        ("a", {"noise": 0.0}, ConfigError, r"noise must be in \(0, 1\)"),
        ("a", {"passes": 0}, ConfigError, "passes must be"),
    ],
)
def test_what_cannot_be_proofread_is_refused(
    writer: Writer, text: str, given: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        proofread(writer, text, **given)


def test_priors_are_those_of_the_noise() -> None:
    found = np.exp(log_priors(ProofConfig(noise=0.2), 10))
    assert found.tolist() == pytest.approx([0.2 / 4 / 10 / 0.8, 0.2 / 4 / 10 / 0.8, 0.2 / 4 / 0.8, 0.2 / 4 / 0.8])


@given(st.text(alphabet="ab\nc", max_size=80), st.floats(0.0, 1.0), st.integers(0, 99))
def test_noise_can_be_undone(text: str, rate: float, seed: int) -> None:
    noisy, errors = add_noise(text, rate, characters="abcd\n", seed=seed)
    findings = [
        Finding(start=e.start, stands=e.stands, expected=e.expected, kind=e.kind, probability=1.0, line=1, column=1)
        for e in errors
    ]
    assert fixed(noisy, findings) == text
    assert noisy.count("\n") == text.count("\n")
    assert add_noise(text, rate, characters="abcd\n", seed=seed) == (noisy, errors)


def test_noise_has_its_rate_and_all_kinds() -> None:
    _, errors = add_noise("the sea " * 5000, 0.1, characters="xyz")
    counts = [sum(each.kind == kind for each in errors) for kind in KINDS]
    assert sum(counts) == pytest.approx(4000, rel=0.1)
    assert min(counts) > 700


@given(st.text(alphabet="abc", max_size=9), st.text(alphabet="abc", max_size=9))
def test_the_distance_is_that_of_the_table(first: str, second: str) -> None:
    row = list(range(len(second) + 1))
    for n, a in enumerate(first, 1):
        last, row = row, [n]
        for m, b in enumerate(second, 1):
            row.append(min(row[-1] + 1, last[m] + 1, last[m - 1] + (a != b)))
    assert edit_distance(first, second) == row[-1]


def test_each_error_is_matched_once() -> None:
    errors = [Error(3, KINDS[0], "q", "a"), Error(9, KINDS[2], "", "e")]
    found = [
        Finding(start=start, stands=stands, expected=expected, kind="", probability=1.0, line=1, column=1)
        for start, stands, expected in ((2, "q", "b"), (4, "q", "a"), (9, "", "e"), (20, "", "x"))
    ]
    assert match(found, errors) == (2, 1)


def test_calibration_counts_what_is_found(reciter: Writer) -> None:
    curve = calibrate(reciter, SENTENCE * 20, noise=0.03, thresholds=(0.9, 0.1, 0.5), seed=2)
    noisy, errors = add_noise(SENTENCE * 20, 0.03, characters=ALPHABET.characters, seed=2)
    assert (curve.characters, curve.errors) == (800, len(errors))
    assert curve.error_before == edit_distance(noisy, SENTENCE * 20) / 800
    assert [each.threshold for each in curve.rows] == [0.1, 0.5, 0.9]
    sure = proofread(reciter, noisy, noise=0.03, threshold=0.9)
    assert (curve.rows[2].right, curve.rows[2].corrected) == match(sure.findings, errors)
    assert curve.rows[2].error_after == edit_distance(sure.fixed, SENTENCE * 20) / 800
    proof = proofread(reciter, noisy, noise=0.03)
    row = curve.rows[1]
    assert (row.right, row.corrected) == match(proof.findings, errors)
    assert row.precision == row.right / len(proof.findings)
    assert row.recall == row.right / len(errors)
    assert row.error_after == edit_distance(proof.fixed, SENTENCE * 20) / 800 < curve.error_before / 2
    assert all(a.recall >= b.recall for a, b in itertools.pairwise(curve.rows))


def test_calibration_shows_of_each_threshold_what_proofreading_with_it_finds(writer: Writer) -> None:
    text, thresholds = "".join(np.random.default_rng(7).choice(list("abcde"), 100)), (0.05, 0.6, 0.9)
    said: list[tuple[int, int]] = []
    curve = calibrate(writer, text, noise=0.1, thresholds=thresholds, seed=2, progress=lambda *each: said.append(each))
    noisy, _ = add_noise(text, 0.1, characters="\nabcde", seed=2)
    for row, threshold in zip(curve.rows, thresholds, strict=True):
        proof = proofread(writer, noisy, noise=0.1, threshold=threshold)
        assert row.found == len(proof.findings)
        assert row.error_after == edit_distance(proof.fixed, text) / 100
    assert all(done <= total for done, total in said)
    with pytest.raises(ConfigError, match=r"threshold must be in \[0.05, 1\]; got 0.01"):
        calibrate(writer, text, thresholds=[0.01])


def test_calibration_takes_the_held_out_text(uncut: Run) -> None:
    curve = calibrate(uncut.path, limit=100, passes=1, noise=0.05)
    assert curve.characters == 100
    assert curve == calibrate(uncut.path, limit=100, passes=1, noise=0.05)


def test_a_run_without_its_text_is_told_what_to_do(writer: Writer) -> None:
    with pytest.raises(RunError, match="Give a text without errors as FILE"):
        calibrate(writer)


def test_the_page_holds_what_was_found(reciter: Writer, tmp_path: Path) -> None:
    from pages import data_of, unpacked

    text = "the sea wqs calm and the ship lay still\n"
    proof = proofread(reciter, text)
    page = proof.to_html(title="<sea>")
    data = data_of(page)
    assert data["text"] == text
    assert data["findings"] == [each.to_json() for each in proof.findings]
    (side,) = data["sides"]
    bits = unpacked(side["bits"]) / data["steps"]
    scored = textgen.engine.scoring.score_text(reciter.engine, ALPHABET, text)
    np.testing.assert_allclose(bits, np.minimum(-scored.logprobs / math.log(2), 65_535 / data["steps"]), atol=2e-3)
    ids = unpacked(side["alternatives"]).reshape(len(text), -1)
    assert ALPHABET.characters[ids[9, 0]] == "a"
    assert "&lt;sea&gt;" in page


@given(st.text(alphabet="abc", min_size=1, max_size=8), st.data())
def test_a_settled_edit_makes_the_same_text_and_equal_ones_are_one(text: str, data: st.DataObject) -> None:
    ids = SMALL.encode(text)
    edits = all_edits(ids)
    which = data.draw(st.integers(0, len(edits) - 1))
    settled = edits.settled(ids)
    assert settled.applied(ids, which).tolist() == edits.applied(ids, which).tolist()
    same = [n for n in range(len(edits)) if edits.applied(ids, n).tolist() == edits.applied(ids, which).tolist()]
    alike = [n for n in same if edits.kinds[n] == edits.kinds[which] and edits.kinds[n] in (1, 2)]
    assert len({int(settled.places[n]) for n in alike}) <= 1


def test_both_sides_have_a_say() -> None:
    writer = random_writer(SMALL, units=12, seed=3, sides="both")
    text = "".join(np.random.default_rng(7).choice(list("abcde"), 100))
    proof = proofread(writer, text, threshold=0.1, passes=1, reach=200)
    assert [each.title for each in proof.verdicts] == [
        "most likely after what stands before",
        "most likely before what stands behind",
    ]
    assert writer.weights.backward is not None
    turned = Writer(config=writer.config.forwards, weights=writer.weights.backward, tokenizer=SMALL)
    scored = turned.score(text[::-1])
    np.testing.assert_allclose(proof.verdicts[1].logprobs[::-1], scored.logprobs, atol=1e-3)


def between(writer: Writer, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The log-probabilities of what stands between two parts of a text by the joint head."""
    assert writer.backward is not None
    assert writer.joint is not None
    before, _ = writer.engine.outputs(left[None], writer.engine.initial_state(1))  # type: ignore[attr-defined]
    after, _ = writer.backward.outputs(right[None, ::-1], writer.backward.initial_state(1))
    return np.asarray(writer.joint(before[0, -1], after[0, -1]))


@pytest.mark.parametrize("length", [1, 20, 1500])
def test_the_joint_head_reads_a_text_in_windows_as_it_reads_it_whole(length: int) -> None:
    writer = random_writer(SMALL, units=8, seed=3, sides="both")
    text = place_text(writer, "".join(np.random.default_rng(4).choice(list("abcde"), length)), "error")
    reader = JointReader(writer.engine, writer.backward, writer.joint, text)  # type: ignore[arg-type]
    whole = np.concatenate([text.before, text.ids, text.after]).astype(np.intp)
    places = np.unique(np.linspace(0, length, 9).astype(np.intp))
    for gap in (0, 1):
        own = places[places + gap <= length]
        ids = own % 5 + 1
        found = reader.logprobs(own, own + gap, ids)
        expected = [between(writer, whole[: 1 + p], whole[1 + p + gap :])[k] for p, k in zip(own, ids, strict=True)]
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_odds_are_those_of_both_sides_and_of_the_joint_head() -> None:
    writer = random_writer(SMALL, units=12, seed=3, sides="both")
    assert writer.weights.backward is not None
    turned = Writer(config=writer.config.forwards, weights=writer.weights.backward, tokenizer=SMALL)
    text = place_text(writer, "abcdeabdceabcde", "error")
    config = ProofConfig(noise=0.5, reach=99)
    sides = Sides(writer, config, None)
    sides.read(text)
    edits, odds = sides.odds()
    assert set(edits.kinds) == {0, 1, 2, 3}
    ids, whole = text.ids, np.concatenate([text.before, text.ids, text.after]).astype(np.intp)
    mean = np.empty(len(edits))
    joint = np.empty(len(edits))
    for which in range(len(edits)):
        changed = np.array([0, *edits.applied(ids, which), 0])
        forwards = logprob(writer, changed.tolist()) - logprob(writer, whole.tolist())
        backwards = logprob(turned, changed[::-1].tolist()) - logprob(turned, whole[::-1].tolist())
        place, put = int(edits.places[which]), int(edits.put[which, 0])
        said = between(writer, whole[: 1 + place], whole[1 + place + int(edits.taken[which]) :])
        mean[which] = joint[which] = (forwards + backwards) / 2
        if edits.kinds[which] == 0:
            joint[which] = said[put] - said[ids[place]]
        elif edits.kinds[which] == 2:
            joint[which] = said[put]
    for place in np.unique(edits.places[edits.kinds == 2]):
        # Whether anything is missing is for the two sides to say.
        rows = np.flatnonzero((edits.kinds == 2) & (edits.places == place))
        joint[rows] += np.logaddexp.reduce(mean[rows]) - np.logaddexp.reduce(joint[rows])
    expected = (1 - JOINT) * mean + JOINT * joint + log_priors(config, 6)[edits.kinds]
    np.testing.assert_allclose(odds, expected, atol=1e-3)
