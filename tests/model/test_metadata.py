"""The document `textgen.json`: typed, checked, and written as it was read."""

import hashlib
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faults import EFFORT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_checkpoints import CONFIG, forge, metadata, refusal, setting

from textgen.config import CorpusConfig, TrainingConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CheckpointError, ConfigError
from textgen.model.description import CorpusDescription
from textgen.model.keras_file import WEIGHTS
from textgen.model.metadata import FORMAT, Metadata
from textgen.model.progress import SavedPlan, SavedProgress
from textgen.model.read import Checkpoint, describe, read_checkpoint, read_metadata, read_training_state
from textgen.model.results import Metrics, Validation
from textgen.system.versions import VERSION

HISTORY = (
    Validation(step=10, epoch=0.5, seconds=1.5, characters=640, loss=3.0, val_loss=2.5, learning_rate=0.5, sample="a"),
    Validation(step=20, epoch=1.0, seconds=3.0, characters=1280, loss=2.0, learning_rate=0.0, sample="the"),
)
PLAN = SavedPlan(steps=40, decay_start=None, validate_every=10, decay_done=0.5, whole_from=None)
PROGRESS = SavedProgress(
    plan=PLAN,
    step=20,
    best=2.5,
    waits=1,
    rate_factor=0.5,
    rescues=1,
    seconds=3.04,
    sources=("/texts/sea.txt",),
    created="2026-01-31T12:00:00+00:00",
    tensorboard="/events",
)
ENCODED = encode_corpus(open_corpus(Path(__file__)))
WHOLE = metadata(
    training=TrainingConfig(epochs=2.0).to_json(),
    corpus=CorpusDescription.of(ENCODED),
    metrics=Metrics(step=20, epoch=1.0, loss=2.0, best_val_loss=2.5, seconds=3.0, characters_seen=1280),
    history=HISTORY,
    progress=PROGRESS,
    versions={"python": "3.11.7"},
    members={"config.json": "0" * 64},
    weights={"head/bias": 4096},
)


def changed(*path: Any, value: Any) -> dict[str, Any]:
    """The document of `WHOLE` with another value at one place."""
    document = json.loads(json.dumps(WHOLE.to_json()))
    setting(*path, value=value)(document)
    return document


class TestDocument:
    def test_it_is_made_of_these_fields(self) -> None:
        """Files and readers of every textgen with this format depend on them."""
        document = WHOLE.to_json()
        assert {name: set(value) for name, value in document.items() if isinstance(value, dict)} == {
            "training": set(TrainingConfig().to_json()),
            "corpus": {"name", "sources", "characters", "bytes", "distinct", "sha256", "split", "settings"},
            "metrics": {
                "step", "epoch", "loss", "val_loss", "whole_val_loss", "logit_scale", "best_val_loss",
                "bits_per_character", "seconds", "characters_seen",
            },
            "versions": {"python"},
            "model": set(CONFIG.to_json()),
            "tokenizer": {"characters", "has_unknown"},
            "progress": {
                "plan", "step", "best", "waits", "rate_factor", "rescues", "seconds", "sources", "created",
                "tensorboard",
            },
            "members": {"config.json"},
            "weights": {"head/bias"},
        }  # fmt: skip
        rows = {"step", "epoch", "seconds", "characters", "loss", "val_loss", "learning_rate", "sample"}
        assert [set(row) for row in document["history"]] == [rows, rows]
        assert set(document["progress"]["plan"]) == {
            "steps", "decay_start", "validate_every", "decay_done", "whole_from"
        }  # fmt: skip
        assert (document["format"], document["textgen"]) == (FORMAT, VERSION) == (1, VERSION)
        assert "progress" not in replace(WHOLE, progress=None).to_json()

    def test_it_is_read_as_it_was_written(self) -> None:
        for whole in (WHOLE, replace(WHOLE, progress=None), metadata()):
            text = json.dumps(whole.to_json())
            assert Metadata.from_json(json.loads(text)) == whole
            assert json.dumps(Metadata.from_json(json.loads(text)).to_json()) == text

    def test_the_corpus_is_described_as_it_was_encoded(self, tmp_path: Path) -> None:
        (tmp_path / "poem.txt").write_bytes(b"banana")
        described = CorpusDescription.of(encode_corpus(open_corpus(tmp_path / "poem.txt")))
        assert described.to_json() == {
            "name": "poem",
            "sources": [str(tmp_path / "poem.txt")],
            "characters": 6,
            "bytes": 6,
            "distinct": 3,
            "sha256": hashlib.sha256(b"banana").hexdigest(),
            "split": 5,
            "settings": CorpusConfig(min_count=1, strip="none").to_json(),
        }
        assert described.config == CorpusConfig(min_count=1, strip="none")

    @pytest.mark.parametrize(
        "place",
        [(), ("corpus",), ("corpus", "settings"), ("metrics",), ("history", 0), ("progress",), ("progress", "plan")],
        ids=str,
    )
    def test_keys_of_a_newer_textgen_are_ignored(self, place: tuple[Any, ...]) -> None:
        read = Metadata.from_json(changed(*place, "novelty", value={"deep": [1]}))
        assert read.corpus.config == CorpusConfig(min_count=1, strip="none")
        if place != ("corpus", "settings"):
            assert read == WHOLE

    def test_a_setting_of_a_newer_textgen_is_kept_for_whoever_has_to_refuse_it(self) -> None:
        read = Metadata.from_json(changed("training", "novelty", value=1))
        assert read.training["novelty"] == 1


class TestOddValues:
    @pytest.mark.parametrize("odd", [None, "low", True, [], {}, 10**400, float("nan"), float("inf")], ids=repr)
    @pytest.mark.parametrize(
        ("section", "name"),
        [*(("metrics", each) for each in Metrics().to_json()), ("corpus", "characters"), ("corpus", "split")],
    )
    def test_a_figure_of_another_kind_is_unknown(self, section: str, name: str, odd: Any) -> None:
        read = Metadata.from_json(changed(section, name, value=odd))
        assert getattr(getattr(read, section), name) is None

    @pytest.mark.parametrize("odd", [None, 7, [], {}], ids=repr)
    def test_a_text_of_another_kind_is_unknown(self, odd: Any) -> None:
        assert Metadata.from_json(changed("corpus", "sha256", value=odd)).corpus.sha256 is None
        assert Metadata.from_json(changed("corpus", "name", value=odd)).corpus.name is None
        assert Metadata.from_json(changed("history", 0, "sample", value=odd)).history[0].sample == ""

    @pytest.mark.parametrize("odd", [None, "low", True, -1, 1.5, 10**400], ids=repr)
    def test_a_count_is_a_whole_number(self, odd: Any) -> None:
        assert Metadata.from_json(changed("metrics", "step", value=odd)).metrics.step is None
        with pytest.raises(ValueError, match="is not as textgen writes it at 'history'"):
            Metadata.from_json(changed("history", 1, "step", value=odd))

    @pytest.mark.parametrize("odd", [None, [1], {}, []], ids=repr)
    @pytest.mark.parametrize("name", list(PROGRESS.to_json()))
    def test_a_progress_that_is_none_leaves_the_model(self, name: str, odd: Any) -> None:
        read = Metadata.from_json(changed("progress", name, value=odd))
        assert read == replace(WHOLE, progress=replace(PROGRESS, best=None) if (name, odd) == ("best", None) else None)

    def test_a_setting_out_of_its_range_is_an_error_when_it_is_asked_for(self) -> None:
        read = Metadata.from_json(changed("corpus", "settings", value={"validation": 7}))
        with pytest.raises(ConfigError, match="validation must be in"):
            _ = read.corpus.config


class TestStrangers:
    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (setting("model", "units", value=8192), "its model needs"),
            (setting("model", "layers", value=16), "does not say where recurrent_3/kernel lies"),
            (setting("model", "vocab_size", value=10**9), "vocab_size must be a whole number in [1, 1114113]"),
            (setting("model", "units", value=10**400), "units must be a whole number in [1, 8192]"),
            (setting("model", "units", value=-1), "units must be a whole number"),
            (setting("model", "units", value="6"), "units must be a whole number"),
            (setting("model", "cell", value=["lstm"]), "cell must be one of"),
            (setting("model", "cell", value={"a": []}), "cell must be one of"),
            (setting("model", "code", value="import os"), "made of known fields only"),
            (setting("model", "units", value="x" * 10_000_000), "units must be a whole number"),
            (setting("model", value=[]), "is not as textgen writes it at 'model'"),
            (setting("model", value={}), "ModelConfig must hold all of its fields"),
            (setting("model", "vocab_size", value=CONFIG.vocab_size + 1), "ids where its model has"),
            (setting("tokenizer", value={}), "its vocabulary is not one that textgen writes"),
            (setting("tokenizer", value={"characters": 5, "has_unknown": {}}), "its vocabulary is not one"),
            (setting("tokenizer", value=None), "is not as textgen writes it at 'tokenizer'"),
            (setting("tokenizer", value=CharTokenizer.from_text(["abc"]).to_json()), "its vocabulary has 3 ids"),
            (setting("weights", value={}), "does not say where embedding/embeddings lies"),
            (setting("weights", "head/bias", value=10**9), "does not say where head/bias lies"),
            (setting("weights", "head/bias", value=-4), "does not say where head/bias lies"),
            (setting("weights", "head/bias", value=1), "does not say where head/bias lies"),
            (setting("weights", "head/bias", value=4.0), "does not say where head/bias lies"),
            (setting("weights", "head/bias", value=True), "does not say where head/bias lies"),
            (setting("weights", "head/bias", value=None), "does not say where head/bias lies"),
            (setting("format", value=2), "has checkpoint format 2"),
            (setting("format", value=0), "has checkpoint format 0"),
            (setting("format", value=10**4000), "has checkpoint format unknown"),
            (setting("format", value="1"), "names no format"),
            (setting("format", value=True), "names no format"),
            (setting("history", value=[1]), "is not as textgen writes it at 'history'"),
            (setting("history", value={}), "is not as textgen writes it at 'history'"),
            (setting("members", value=[]), "is not as textgen writes it at 'members'"),
            (setting("members", WEIGHTS, value=None), "is not what was written"),
            (setting("metrics", value="x"), "is not as textgen writes it at 'metrics'"),
            (setting("corpus", "sources", value=["a", 1]), "is not as textgen writes it at 'corpus'"),
            (setting("corpus", "settings", value=[]), "is not as textgen writes it at 'corpus'"),
            (setting("history", value=[{"loss": 2.0}]), "is not as textgen writes it at 'history'"),
            (setting("created", value=5), "is not as textgen writes it at 'created'"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_metadata_that_lies(self, good: Path, tmp_path: Path, change: Any, sentence: str) -> None:
        path = forge(good, tmp_path / "a.keras", change=change)
        tracemalloc.start()
        try:
            assert sentence in refusal(lambda: read_checkpoint(path))
            assert tracemalloc.get_traced_memory()[1] < 200_000 + 10 * path.stat().st_size
        finally:
            tracemalloc.stop()

    @settings(max_examples=200 * EFFORT, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_any_metadata_is_read_or_refused(self, good: Path, tmp_path: Path, data: st.DataObject) -> None:
        scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
        values = st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v))

        def change(document: dict[str, Any]) -> None:
            for _ in range(data.draw(st.integers(1, 3))):
                place: Any = document
                keys = data.draw(st.permutations(sorted(place)))[:1]
                while isinstance(place[keys[-1]], dict) and place[keys[-1]] and data.draw(st.booleans()):
                    place = place[keys[-1]]
                    keys = [data.draw(st.sampled_from(sorted(place)))]
                place[keys[-1]] = data.draw(values)

        path = forge(good, tmp_path / "a.keras", change=change)
        for read in (read_checkpoint, read_metadata, read_training_state, describe):
            try:
                found = read(path)
            except CheckpointError as error:
                assert "\n" not in str(error)
            else:
                if isinstance(found, Checkpoint):
                    found.weights.validate(found.model)
