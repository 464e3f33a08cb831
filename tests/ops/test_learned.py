"""Tasks with a known best answer, learned through ops that a GPT does without."""

import numpy as np

from minillm import Tensor, ops


def descend(loss, parameters, lr: float, steps: int) -> float:
    for _ in range(steps):
        for p in parameters:
            p.grad = None
        value = loss()
        value.backward()
        for p in parameters:
            p.data -= lr * p.grad
    return float(value)


def test_a_logistic_regression_through_softplus_finds_the_likeliest_weights():
    """At the best weights the residuals are orthogonal to every feature."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 3))
    y = rng.random(400) < 1 / (1 + np.exp(-(x @ [2.0, -1.0, 0.5] + 0.3)))
    sign = np.where(y, 1.0, -1.0)
    w, b = Tensor(np.zeros(3), requires_grad=True), Tensor(np.zeros(1), True)
    descend(lambda: ((x @ w + b) * -sign).softplus().mean(), [w, b], 2.0, 300)
    residual = y - 1 / (1 + np.exp(-(x @ w.data + b.data)))
    np.testing.assert_allclose(residual @ x, 0, atol=1e-3)
    np.testing.assert_allclose(w.data, [2.0, -1.0, 0.5], atol=0.6)


def test_a_bias_of_attention_learns_to_look_at_the_token_before():
    """Queries and keys are zeros: only the bias can tell the positions apart."""
    rng = np.random.default_rng(0)
    v = rng.standard_normal((8, 6, 4))
    before = np.concatenate([v[:, :1], v[:, :-1]], 1)
    zeros = np.zeros((8, 6, 4))
    bias = Tensor(np.zeros((6, 6)), requires_grad=True)

    def loss():
        found = ops.attention(zeros, zeros, v, bias, causal=True)
        return ((found - before) ** 2).mean()

    assert descend(loss, [bias], 30.0, 300) < 0.01
    looked_at = np.where(np.tri(6), bias.data, -np.inf).argmax(1)
    assert looked_at.tolist() == [0, 0, 1, 2, 3, 4]
