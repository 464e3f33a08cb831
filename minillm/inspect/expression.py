"""A small expression in Tensors, written as text: `tanh(x @ w + b).sum()`."""

import ast

import numpy as np

from minillm import ops
from minillm.errors import UsageError
from minillm.tensor import Tensor

METHODS = {
    "T",
    "exp",
    "log",
    "max",
    "mean",
    "reshape",
    "sqrt",
    "sum",
    "tanh",
    "transpose",
}
OPS = {name: getattr(ops, name) for name in ops.__all__ if name != "IGNORED"}
# What an expression may consist of; all else, imports and assignments too, is refused.
PARTS = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.Call,
    ast.keyword,
    ast.Attribute,
    ast.Subscript,
    ast.Slice,
    ast.Tuple,
    ast.Constant,
    ast.Name,
    ast.Load,
    ast.operator,
    ast.unaryop,
)


def evaluate(text: str, shapes: dict[str, tuple]) -> tuple[Tensor, dict[str, Tensor]]:
    """The value of an expression, and its variables: every name that is not an op's.

    A variable is a leaf of the given shape, a scalar where none is given, with drawn
    numbers from 0.5 to 1.5. Raises UsageError for what is not such an expression.
    """
    try:
        tree = ast.parse(text.strip(), "the expression", mode="eval")
    except SyntaxError as error:
        raise UsageError(f"{text}: {error.msg}") from None
    for node in ast.walk(tree):
        _check(node, text)
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    unused = sorted(set(shapes) - set(names))
    if unused:
        raise UsageError(f"{text}: has no {unused[0]!r} to give a shape to")
    rng = np.random.default_rng(0)
    variables = {
        name: Tensor(
            rng.uniform(0.5, 1.5, shapes.get(name, ())).astype(np.float32),
            requires_grad=True,
        )
        for name in sorted(set(names) - set(OPS))
    }
    code = compile(tree, "the expression", "eval")
    try:
        value = eval(code, {"__builtins__": {}, **OPS}, variables)
    except (TypeError, ValueError, IndexError) as error:
        raise UsageError(f"{text}: {error}") from None
    if not isinstance(value, Tensor):
        raise UsageError(f"{text}: is no Tensor: use at least one variable")
    return value, variables


def _check(node: ast.AST, text: str) -> None:
    if not isinstance(node, PARTS):
        raise UsageError(
            f"{text}: a {type(node).__name__.lower()} is not an expression"
        )
    if isinstance(node, ast.Attribute) and node.attr not in METHODS:
        raise UsageError(
            f"{text}: unknown method {node.attr!r}: choose among "
            f"{', '.join(sorted(METHODS))}"
        )
    if isinstance(node, ast.Call) and not isinstance(node.func, ast.Attribute):
        called = ast.unparse(node.func)
        if called not in OPS:
            raise UsageError(
                f"{text}: unknown op {called!r}: choose among {', '.join(OPS)}"
            )
