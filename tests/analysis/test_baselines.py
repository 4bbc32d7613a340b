"""Baselines, against values computed by hand."""

import bz2
import gzip
import lzma
import math

import numpy as np
import pytest

from textgen.analysis.evaluation import baselines
from textgen.analysis.evaluation.baselines import compress, uniform, unigram


def noise(seed: int, length: int) -> bytes:
    """Unpredictable text: 6 bits in each byte."""
    return bytes(np.random.default_rng(seed).integers(48, 112, length).astype(np.uint8))


def xz(data: bytes, size: int) -> int:
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": max(4096, size)}]
    return len(lzma.compress(data, filters=chain))


@pytest.mark.parametrize("chunk", [1 << 20, 97])
def test_after_training_the_cost_is_the_difference_of_two_sizes(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(baselines, "_CHUNK", chunk)
    training, text = b"the sea was out and so were we. " * 40 + noise(0, 500), b"the sea was so out. " * 5
    both = training + text
    expected = {
        "xz": xz(both, len(both)) - xz(training, len(both)),
        "bz2": len(bz2.compress(both, 9)) - len(bz2.compress(training, 9)),
        "gzip": len(gzip.compress(both, 9)) - len(gzip.compress(training, 9)),
    }
    found = {each.name: each for each in compress(text, characters=len(text), training=training)}
    assert {name: round(each.bits * len(text) / 8) for name, each in found.items()} == expected
    assert all(each.after_training and each.is_compressor for each in found.values())


def test_without_training_text_the_cost_is_the_compressed_size() -> None:
    text = noise(0, 3000)
    found = {each.name: each for each in compress(text, characters=1500, training=None)}
    sizes = {"xz": xz(text, 3000), "bz2": len(bz2.compress(text)), "gzip": len(gzip.compress(text))}
    assert {name: each.nats for name, each in found.items()} == {
        name: pytest.approx(8 * math.log(2) * size / 1500) for name, size in sizes.items()
    }
    assert not any(each.after_training for each in found.values())


def test_xz_uses_matches_beyond_gzips_window() -> None:
    once = noise(1, 5000)
    found = {each.name: each.bits for each in compress(once, characters=5000, training=once + noise(2, 100_000))}
    assert found["xz"] < 0.1
    assert found["gzip"] > 5.9


def test_progress_rises_to_all_the_bytes_that_are_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "_CHUNK", 100)
    for training, total in ((None, 3 * 250), (noise(0, 1000), 3 * 2250)):
        calls: list[tuple[int, int]] = []
        compress(
            noise(1, 250), characters=250, training=training, progress=lambda *call, calls=calls: calls.append(call)
        )
        done = [call[0] for call in calls]
        assert done == sorted(done)
        assert calls[-1] == (total, total)


def test_unigram_has_add_one_smoothing() -> None:
    rng = np.random.default_rng(0)
    counts, ids = rng.integers(0, 50, 12), rng.integers(0, 12, 300)
    expected = np.mean([-math.log((counts[each] + 1) / (counts.sum() + 12)) for each in ids])
    assert unigram(ids, counts).nats == pytest.approx(expected)


def test_uniform_is_the_logarithm_of_the_vocabulary() -> None:
    assert uniform(65).nats == pytest.approx(math.log(65))
    assert uniform(1).nats == 0.0
