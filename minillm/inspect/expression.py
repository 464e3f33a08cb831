"""Expressions in Tensors, evaluated from a text: `tanh(x @ w + b).sum()`."""

import ast
import math
import operator

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
# The parts of an expression; all others, imports and assignments too, are refused.
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
OPERATORS = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
    "Pow": operator.pow,
    "MatMult": operator.matmul,
}
MOST_AXES = 32
LARGEST = 1 << 24  # numbers of a variable
GUARD = "guard "  # no name that can be typed
MOST_REPEATED = 1_000


def evaluate(text: str, shapes: dict[str, tuple]) -> tuple[Tensor, dict[str, Tensor]]:
    """The value of an expression, and its variables: every name that is not an op's.

    A variable is a leaf of the given shape, by default a scalar, with drawn numbers
    from 0.5 to 1.5. Raises UsageError for any other text.
    """
    try:
        tree = ast.parse(text.strip(), "the expression", mode="eval")
    except SyntaxError as error:
        raise UsageError(f"{text}: {error.msg}") from None
    except ValueError as error:
        raise UsageError(f"this is no expression: {error}") from None
    except (RecursionError, MemoryError):
        raise UsageError("this expression is too deep: divide it") from None
    for node in ast.walk(tree):
        _check(node, text)
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    unused = sorted(set(shapes) - set(names))
    if unused:
        raise UsageError(f"{text}: has no {unused[0]!r} to give a shape to")
    for name, shape in shapes.items():
        if len(shape) > MOST_AXES or math.prod(shape) > LARGEST:
            raise UsageError(
                f"{text}: {name} is too large: at most {MOST_AXES} axes and "
                f"{LARGEST:,} numbers"
            )
    rng = np.random.default_rng(0)
    variables = {
        name: Tensor(
            rng.uniform(0.5, 1.5, shapes.get(name, ())).astype(np.float32),
            requires_grad=True,
        )
        for name in sorted(set(names) - set(OPS))
    }
    try:
        code = compile(_guarded(tree), "the expression", "eval")
        names = {"__builtins__": {}, GUARD: _operate, **OPS}
        value = eval(code, names, variables)
    except OverflowError:
        raise UsageError(f"{text}: has a number beyond all measure") from None
    except (TypeError, ValueError, IndexError, ArithmeticError) as error:
        raise UsageError(f"{text}: {error}") from None
    except RecursionError:
        raise UsageError("this expression is too deep: divide it") from None
    if not isinstance(value, Tensor):
        raise UsageError(f"{text}: is no Tensor: use at least one variable")
    return value, variables


def _guarded(tree: ast.Expression) -> ast.Expression:
    """The same tree, in which each binary operator is a call of `_operate`."""
    for node in reversed(list(ast.walk(tree))):  # from the inside out
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                value[:] = map(_call, value)
            else:
                setattr(node, field, _call(value))
    return ast.fix_missing_locations(tree)


def _call(node):
    """A binary operator as a call, anything else as it is."""
    if not isinstance(node, ast.BinOp):
        return node
    name = ast.Constant(type(node.op).__name__)
    return ast.Call(ast.Name(GUARD, ast.Load()), [name, node.left, node.right], [])


def _operate(name: str, a, b):
    """a + b and the like, of Tensors and of numbers.

    A tuple may be repeated, as in concatenate((x,) * 3). Raises TypeError for another
    operator, and OverflowError for a result that would take all memory.
    """
    if name not in OPERATORS:
        raise TypeError(f"{name} is no operator of Tensors")
    if not (isinstance(a, Tensor) or isinstance(b, Tensor)):
        numbers = [float(each) for each in (a, b) if isinstance(each, int | float)]
        tuples = [each for each in (a, b) if isinstance(each, tuple)]
        if len(numbers) + len(tuples) < 2:
            raise TypeError("an operator is for Tensors and numbers")
        if len(numbers) == 2 and name == "Pow":
            numbers[0] ** numbers[1]
        if len(numbers) == 1 and len(tuples[0]) * numbers[0] > MOST_REPEATED:
            raise OverflowError
    return OPERATORS[name](a, b)


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
