"""The softmax estimated from drawn characters, beside all of it."""

import numpy as np
import tensorflow as tf

from textgen.training.sampled_softmax import SampledSoftmax

VOCAB, UNITS, POSITIONS = 40, 6, 30
FREQUENCIES = np.round(1e5 / np.arange(1, VOCAB + 1) ** 1.5)


def problem() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(0)
    targets = rng.choice(VOCAB, POSITIONS, p=FREQUENCIES / FREQUENCIES.sum())
    columns, kernel = rng.standard_normal((UNITS, POSITIONS)), rng.standard_normal((UNITS, VOCAB))
    bias = np.log(FREQUENCIES / FREQUENCIES.sum())
    return (*(tf.constant(each, tf.float32) for each in (columns, kernel, bias)), tf.constant(targets))


def whole(columns: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, targets: tf.Tensor, scale: float = 1.0) -> tf.Tensor:
    logits = scale * (tf.transpose(columns) @ kernel + bias)
    return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))


def test_nearly_all_characters_drawn_give_nearly_the_whole_softmax() -> None:
    softmax, given = SampledSoftmax(FREQUENCIES, VOCAB - 2), problem()
    plain, scaled = softmax.loss(*given, softmax.draw(tf.constant([1, 2])), 1.25)
    np.testing.assert_allclose(plain, whole(*given), rtol=5e-3)
    np.testing.assert_allclose(scaled, whole(*given, scale=1.25), rtol=5e-3)


def test_a_character_is_drawn_as_often_as_its_chance_says() -> None:
    draw = tf.function(SampledSoftmax(FREQUENCIES, 12).draw)
    sums = np.zeros(VOCAB)
    for seed in range(3000):
        ids, log_chances = draw(tf.constant([3, seed]))
        assert len(set(ids.numpy().tolist())) == 12
        # The expectation of this is 1 for every character.
        sums[ids.numpy()] += np.exp(-log_chances.numpy())
    np.testing.assert_allclose(sums / 3000, 1.0, atol=0.25)
    assert abs(sums.mean() / 3000 - 1.0) < 0.02


def test_the_gradient_is_that_of_the_whole_softmax_on_average() -> None:
    softmax, (columns, kernel, bias, targets) = SampledSoftmax(FREQUENCIES, 30), problem()

    @tf.function
    def gradient(seed: tf.Tensor | None) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch((columns, kernel, bias))
            if seed is None:
                loss = whole(columns, kernel, bias, targets)
            else:
                loss, _ = softmax.loss(columns, kernel, bias, targets, softmax.draw(seed), 1.0)
        parts = tape.gradient(loss, (columns, kernel, bias))
        return tf.concat([tf.reshape(tf.convert_to_tensor(part), (-1,)) for part in parts], 0)

    expected = gradient(None).numpy()
    mean = np.mean([gradient(tf.constant([0, seed])).numpy() for seed in range(600)], axis=0)
    assert np.dot(mean, expected) / np.linalg.norm(mean) / np.linalg.norm(expected) > 0.99
    assert 0.95 < np.linalg.norm(mean) / np.linalg.norm(expected) < 1.05


def test_a_character_that_the_text_lacks_can_be_drawn() -> None:
    softmax = SampledSoftmax(np.array([5, 0, 3, 9]), 2)
    drawn = {each for seed in range(200) for each in softmax.draw(tf.constant([7, seed])).ids.numpy().tolist()}
    assert drawn == {0, 1, 2, 3}
