"""Mutants of a solution: one small change each to what the student is to write."""

import ast
import copy
import difflib
from collections.abc import Iterator

from minillm.exercises.cutting import text_of
from minillm.exercises.table import exercise_of

OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
ONE_SIDED = ast.Add | ast.Sub | ast.Mult | ast.Div | ast.BitAnd
MODULES = {"np", "xp", "math", "itertools"}
SYMMETRIC = {"swapaxes", "minimum", "maximum", "logaddexp", "min", "max"}
ORDERED = ast.Sub | ast.Div | ast.Pow | ast.MatMult


def mutants(name: str) -> list[tuple[str, str]]:
    """Every one of an exercise: (the statement that has changed, the whole file)."""
    solved = text_of(exercise_of(name), solved=True)
    lines = _written(text_of(exercise_of(name)), solved)
    tree = ast.parse(solved)
    found = {}
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.stmt) or statement.lineno not in lines:
            continue
        for node in _parts(statement):
            for changed in _changes(node):
                replaced = _with({id(node): changed}, statement)
                text = _with({id(statement): replaced}, tree)
                found[ast.unparse(text)] = _words(statement, replaced)
    found.pop(ast.unparse(tree), None)  # two slices that are alike change places
    return [(words, text) for text, words in found.items()]


def _written(unsolved: str, solved: str) -> set[int]:
    """The numbers of the lines that only the solution has."""
    before, after = unsolved.splitlines(), solved.splitlines()
    found = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return {
        number + 1
        for what, _, _, begin, end in found.get_opcodes()
        if what != "equal"
        for number in range(begin, end)
    }


def _parts(statement: ast.stmt) -> Iterator[ast.AST]:
    """The statement and what it consists of, without the statements inside it."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if isinstance(node, ast.keyword) and node.arg == "strict":
            continue  # a safeguard: nothing where all is right
        inside = ast.iter_child_nodes(node)
        waiting += [each for each in inside if not isinstance(each, ast.stmt)]


def _with(replaced: dict[int, ast.AST], root: ast.AST) -> ast.AST:
    """A copy in which these nodes, by their id, are others."""
    # What deepcopy finds in its memo it takes for copied.
    return copy.deepcopy(root, dict(replaced))


def _words(before: ast.stmt, after: ast.AST) -> str:
    """The new statement, of a compound one its first line."""
    was, now = (ast.unparse(each).splitlines()[0] for each in (before, after))
    return f"pass  # {was}" if now == "pass" else now


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of a node."""

    def but(**fields) -> ast.AST:
        kept = {name: getattr(node, name, None) for name in node._fields}
        return type(node)(**(kept | fields))

    match node:
        case ast.BinOp(left, operator, right):
            if type(operator) in OPERATORS:
                yield but(op=OPERATORS[type(operator)]())
            if isinstance(operator, ONE_SIDED):
                yield left
                yield right
            if isinstance(operator, ORDERED):
                yield but(left=right, right=left)
        case ast.UnaryOp(ast.USub() | ast.Not() | ast.Invert(), operand):
            yield operand
        case ast.BoolOp(operator, values):
            yield but(op=OPERATORS[type(operator)]())
            yield from values
        case ast.Compare(left, [operator], [right]):
            yield but(ops=[OPERATORS[type(operator)]()])
            if type(operator) in (ast.Lt, ast.LtE, ast.Gt, ast.GtE):
                yield but(left=right, comparators=[left])
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        case ast.Call(function, arguments, keywords):
            of = getattr(function, "value", None)
            called = getattr(function, "attr", None) or getattr(function, "id", None)
            if arguments and not isinstance(arguments[0], ast.Starred):
                yield arguments[0]
            if of and getattr(of, "id", None) not in MODULES:
                yield of
            if len(arguments) > 1:
                if called not in SYMMETRIC:
                    yield but(args=[arguments[1], arguments[0], *arguments[2:]])
                yield but(args=arguments[:-1])
            for place, keyword in enumerate(keywords):
                if keyword.arg != "strict":
                    yield but(keywords=keywords[:place] + keywords[place + 1 :])
        case ast.IfExp(test, body, otherwise):
            yield but(body=otherwise, orelse=body)
            yield body
            yield otherwise
        case ast.If(test) | ast.While(test):
            yield but(test=ast.UnaryOp(ast.Not(), test))
        case ast.Slice(lower, upper):
            if lower:
                yield but(lower=None)
            if upper:
                yield but(upper=None)
        case ast.Tuple([first, second, *others], ast.Load()):
            yield but(elts=[second, first, *others])
        case ast.AugAssign(target, operator, value):
            yield but(op=OPERATORS[type(operator)]())
            yield ast.Assign([target], value, lineno=node.lineno)
            yield ast.Pass()
        case ast.Assign() | ast.Expr():
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
