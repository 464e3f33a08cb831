"""Drawings of graphs: what stands in them, and that the languages are written right."""

import json

import numpy as np
import pytest

from minillm import Tensor, debug
from minillm.errors import UsageError
from minillm.inspect import draw
from minillm.inspect.expression import evaluate
from minillm.inspect.graph import model_step


@pytest.fixture
def small():
    """(a drawing of sum(x @ w), its root)"""
    x = Tensor(np.array([[3.0, 4.0]]), requires_grad=True)
    w = Tensor(np.array([[1.0], [2.0]]), requires_grad=True)
    loss = (x @ w).sum()
    return draw(loss, {"x": x, "w": w}), loss


def test_dot(small):
    drawing, loss = small
    loss.backward()
    assert sorted(drawing.dot().splitlines()) == sorted(
        [
            "digraph {",
            "  node [shape=box];",
            r'  n0 [label="w\n(2, 1)\n‖g‖ 5", shape=ellipse];',
            r'  n1 [label="x\n(1, 2)\n‖g‖ 2.24", shape=ellipse];',
            r'  n2 [label="matmul\n(1, 1)\n‖g‖ 1"];',
            r'  n3 [label="sum\n()\n‖g‖ 1"];',
            "  n0 -> n2;",
            "  n1 -> n2;",
            "  n2 -> n3;",
            "}",
        ]
    )


def test_two_drawings_can_be_compared():
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert draw(x * 2).nodes == draw(x * 2).nodes
    assert draw(x * 2).nodes != draw(x + 2).nodes


def test_mermaid(small):
    drawing, loss = small
    before = drawing.mermaid()
    assert "‖g‖" not in before
    assert before.startswith("flowchart TD\n")
    assert '  n1(["x<br>(1, 2)"])' in before
    assert '  n2["matmul<br>(1, 1)"]' in before
    assert "  n2 --> n3" in before
    loss.backward()
    assert '  n3["sum<br>()<br>‖g‖ 1"]' in drawing.mermaid()


def test_backward_frees_the_graph_all_the_same(small):
    drawing, loss = small
    loss.backward()
    with pytest.raises(UsageError, match="freed this graph: draw it before"):
        draw(loss)
    assert [node.grad_norm() for node in drawing.nodes if node.op] == [1, 1]


def test_a_tensor_used_twice_has_two_arrows():
    x = Tensor([2.0], requires_grad=True)
    drawing = draw(x * x)
    assert len(drawing.nodes) == 2
    assert drawing.edges == [(0, 1), (0, 1)]
    assert "leaf" in drawing.dot()


def test_nothing_to_draw():
    with pytest.raises(UsageError, match="nothing is recorded"):
        draw(Tensor([1.0]) * 2)


def test_names_are_written_safely():
    x = Tensor([1.0], requires_grad=True)
    drawing = draw(x * 2, {'a "b" <c> \\': x})
    assert r'label="a \"b\" <c> \\\n(1,)"' in drawing.dot()
    assert '"a &quot;b&quot; &lt;c> \\<br>(1,)"' in drawing.mermaid()


def test_in_debug_mode_the_line_is_left_out():
    with debug():
        drawing = draw(Tensor([1.0], requires_grad=True) * 2)
    assert [node.op for node in drawing.nodes] == ["", "mul"]


TRANSFORMER = {"embedding", "self_attention", "layer_norm", "gelu", "linear"}


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        ("gpt", TRANSFORMER | {"linear_cross_entropy"}),
        (
            "llama",
            {"embedding", "rms_norm", "rotary", "self_attention", "swiglu", "linear"},
        ),
        ("encoder", TRANSFORMER | {"linear_cross_entropy"}),
        ("lstm", {"embedding", "lstm", "layer_norm", "linear_cross_entropy"}),
        ("bert", TRANSFORMER | {"tanh", "cross_entropy"}),
        ("encdec", TRANSFORMER | {"cross_attention", "linear_cross_entropy"}),
    ],
)
def test_a_model_step_has_every_parameter_and_its_gradient(arch, expected):
    loss, model = model_step("pico", arch)
    drawing = draw(loss, model)
    loss.backward()
    names = {node.name for node in drawing.nodes if node.name}
    assert names == {name for name, _ in model.named_parameters()}
    norms = [node.grad_norm() for node in drawing.nodes]
    assert all(norm > 0 for norm in norms)
    assert json.dumps(drawing.to_json())
    assert expected <= {node.op for node in drawing.nodes}


def test_an_expression():
    value, variables = evaluate("tanh(x @ w + b).sum() / 2", {"x": (2, 3), "w": (3, 4)})
    assert set(variables) == {"x", "w", "b"}
    assert variables["b"].shape == ()
    x, w, b = (variables[name].numpy() for name in "xwb")
    assert value.item() == pytest.approx(np.tanh(x @ w + b).sum() / 2, rel=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "softmax(x, axis=0)[0]",
        "concatenate(x, -x).reshape(2, -1).T",
        "x.mean(axis=0, keepdims=True) ** 2",
        'gelu(x, form="erf").max()',
        "x ** 2 ** 0.5 + 7 // 2 - 2 ** 3 % 3",
        "x.reshape((1,) * 2 + (3,))",
        "x[2 ** 2 - 4 : 1 + 1]",
        "+".join(["x"] * 500),
    ],
)
def test_expressions_of_many_kinds(text):
    value, _ = evaluate(text, {"x": (3,)})
    draw(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x +", "invalid syntax"),
        ("x + 9**9**9", "beyond all measure"),
        ("x * 9**9**9", "beyond all measure"),
        ("x + (9,)[0] ** (9,)[0] ** (9,)[0]", "beyond all measure"),
        ("x + (1,) * 10**9", "beyond all measure"),
        ("x + ((1,) * 999) * 999", "beyond all measure"),
        ("x + 'a' * 10**9", "an operator is for Tensors and numbers"),
        ("x + (1 << 10**10)", "LShift is no operator of Tensors"),
        ("x * (1 / 0)", "division by zero"),
        ("x * " + "9" * 5_000, "4300 digits"),
        ("(" * 9_999 + "x", "too many nested parentheses"),
        ("x * " + "-" * 9_999 + "1", "too deep"),
        ("x\0", "null byte"),
        ("", "invalid syntax"),
        ("import os", "invalid syntax"),
        ("__import__('os').system('ls')", "unknown method 'system'"),
        ("open('/etc/passwd')", "unknown op 'open'"),
        ("x.data", "unknown method 'data'"),
        ("(lambda: x)()", "lambda"),
        ("[y for y in x]", "listcomp is not an expression"),
        ("f(x)(x)", "unknown op 'f(x)'"),
        ("x @ x", "matmul of shapes (2, 3) and (2, 3)"),
        ("x.sum(axis=3)", "axis 3"),
        ("x[7]", "out of bounds"),
        ("y * 2", "has no 'x'"),
    ],
)
def test_what_is_no_expression_is_one_line(text, words):
    with pytest.raises(UsageError) as caught:
        evaluate(text, {"x": (2, 3)})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_expression_of_numbers_only_is_no_tensor():
    with pytest.raises(UsageError, match="no Tensor"):
        evaluate("3 + 4", {})


@pytest.mark.parametrize("shape", [(1 << 25,), (1,) * 33, (10**20,)])
def test_a_variable_that_is_too_large(shape):
    with pytest.raises(UsageError, match="x is too large: at most 32 axes"):
        evaluate("x + 1", {"x": shape})
