"""Computation graph: the ops behind a tensor, drawn as DOT or Mermaid.

Backward frees the graph on its way, so it is drawn before:

    loss = (x @ w).sum()
    drawing = draw(loss, {"x": x, "w": w})
    loss.backward()
    print(drawing.mermaid())
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from minillm import backend
from minillm.errors import UsageError
from minillm.inspect.graph_figure import MOST, draw_svg
from minillm.models import ModelConfig, build, size, usual
from minillm.nn import Module
from minillm.tensor import FREED, Tensor, topological_order
from minillm.text import Batch

MOST_KINDS = 6  # of ops in the text of a drawing


def draw(tensor: Tensor, names: Mapping[str, Tensor] | Module = ()) -> "Drawing":
    """The graph behind a tensor that backward will walk, from the leaves to it.

    names: names of tensors, as a dictionary, or a module with named parameters. Every
    tensor keeps its gradient from here on, so that after `backward()` the drawing shows
    the norms. Raises UsageError where nothing is recorded.
    """
    if tensor.edges is FREED:
        raise UsageError(
            "backward() has freed this graph: draw it before, show it after"
        )
    if not tensor.requires_grad:
        raise UsageError("nothing is recorded behind a tensor that needs no gradient")
    if isinstance(names, Module):
        names = dict(names.named_parameters())
    called = {id(t): name for name, t in dict(names).items()}
    order = topological_order(tensor)
    place = {id(t): i for i, t in enumerate(order)}
    edges = []
    for t in order:
        t.retain_grad()
        parents = [p for inputs, _ in t.edges for p in inputs if p is not None]
        edges += [(place[id(p)], place[id(t)]) for p in parents]
    nodes = [Node(called.get(id(t), ""), _op(t), t.shape, t) for t in order]
    return Drawing(nodes, edges)


@dataclass(frozen=True)
class Node:
    """A tensor in the graph. op: the name of the op that made it, "" for a leaf."""

    name: str
    op: str
    shape: tuple
    tensor: Tensor = field(compare=False)  # == of tensors is element-wise

    def grad_norm(self) -> float | None:
        """‖gradient‖ after backward; None before, and for what keeps none."""
        gradient = vars(self.tensor).get("grad")  # tensor.grad may warn
        if gradient is None:
            return None
        return float(np.linalg.norm(backend.to_numpy(gradient)))

    def lines(self) -> list[str]:
        """The lines of its box."""
        norm = self.grad_norm()
        title = " = ".join(part for part in (self.name, self.op) if part) or "leaf"
        return [title, str(self.shape), *([] if norm is None else [f"‖g‖ {norm:.3g}"])]


@dataclass(frozen=True)
class Drawing:
    """Nodes in the order of computation, and edges as pairs of their numbers."""

    nodes: list[Node]
    edges: list[tuple[int, int]]

    def dot(self) -> str:
        """In the language of Graphviz."""
        lines = ["digraph {", "  node [shape=box];"]
        for i, node in enumerate(self.nodes):
            label = r"\n".join(map(_dot_text, node.lines()))
            shape = "" if node.op else ", shape=ellipse"
            lines.append(f'  n{i} [label="{label}"{shape}];')
        lines += [f"  n{a} -> n{b};" for a, b in self.edges]
        return "\n".join([*lines, "}"])

    def mermaid(self) -> str:
        """In the language of Mermaid, which Markdown pages show."""
        lines = ["flowchart TD"]
        for i, node in enumerate(self.nodes):
            label = "<br>".join(map(_mermaid_text, node.lines()))
            left, right = ("[", "]") if node.op else ("([", "])")
            lines.append(f'  n{i}{left}"{label}"{right}')
        lines += [f"  n{a} --> n{b}" for a, b in self.edges]
        return "\n".join(lines)

    def __repr__(self) -> str:
        kinds = Counter(node.op or "leaf" for node in self.nodes)
        most = ", ".join(f"{n} × {kind}" for kind, n in kinds.most_common(MOST_KINDS))
        more = ", …" if len(kinds) > MOST_KINDS else ""
        return f"Drawing({len(self.nodes)} nodes: {most}{more})"

    def _repr_svg_(self) -> str | None:
        if len(self.nodes) > MOST:  # the text has to do
            return None
        return draw_svg([node.lines() for node in self.nodes], self.edges)

    def to_json(self) -> dict:
        nodes = [
            {
                "name": node.name,
                "op": node.op,
                "shape": list(node.shape),
                "grad_norm": node.grad_norm(),
            }
            for node in self.nodes
        ]
        return {"nodes": nodes, "edges": [list(edge) for edge in self.edges]}


def model_step(size_name: str = "pico", arch: str = "gpt") -> tuple[Tensor, Module]:
    """The loss of one training step of a named size on two sequences of random tokens,
    and the model. Raises UsageError for an unknown size or architecture."""
    shape = size(size_name)
    sides = (shape.n_layers, shape.d_model, shape.n_heads, shape.context)
    config = ModelConfig(64, *sides, arch=arch, **usual(arch))
    rng = np.random.default_rng(0)
    model = build(config, rng)
    ids = rng.integers(0, config.vocab_size, (2, config.context + 1), dtype=np.int32)
    targets = ids[:, 1:]
    batch = Batch(ids[:, :-1], targets, targets.size)
    if arch == "bert":  # of two texts, the second of which follows the first or not
        segments = np.arange(config.context) // (config.context // 2)
        batch = replace(
            batch,
            segments=np.tile(segments, (2, 1)),
            labels=np.array([0, 1]),
            n_labels=2,
        )
    if arch == "encdec":
        batch = replace(batch, source=ids[::-1, :-1])
    return model.loss(batch), model


def _op(tensor: Tensor) -> str:
    return (tensor.made_by or "").split(" ")[0]  # debug mode adds the line


def _dot_text(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"")


def _mermaid_text(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
