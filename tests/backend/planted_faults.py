"""Faults to plant in `kernels.cu`, each of which the cases must find.

A fault is a piece of the text, what is put in its place, and the cases that run it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import kernel_cases

from minillm.backend import cuda_kernels


@dataclass(frozen=True)
class Fault:
    name: str
    old: str
    new: str
    cases: Callable[[], list]

    line: int | None = None  # by default wherever the text stands

    def planted(self) -> str:
        """The text of the kernels with this fault."""
        lines = cuda_kernels.source().split("\n")
        where = range(len(lines)) if self.line is None else [self.line - 1]
        here = [i for i in where if self.old in lines[i]]
        assert here, f"{self.old!r} is not in kernels.cu any more"
        for i in here:
            lines[i] = lines[i].replace(self.old, self.new)
        return "\n".join(lines)


def attention() -> list:
    narrow, wide = kernel_cases.attentions(20), kernel_cases.attentions(34)
    return [*kernel_cases.groups()[1:], *wide, *narrow]


NORMS, LOOKUPS, LOSSES = kernel_cases.norms, kernel_cases.lookups, kernel_cases.losses
FAULTS = [  # (name, the text, what is put in its place, cases)
    Fault("mean of one row too many", "int row = (", "int row = 1 + (", NORMS),
    Fault("a row beyond the last", "if (row >= n) r", "if (row > n) r", NORMS),
    Fault("not every lane sums", "bit < 32; bit *= 2) x +=", "bit < 16; bit *= 2) x +=",
          NORMS),
    Fault("eps forgotten", "/ width + eps", "/ width", NORMS),
    Fault("bias forgotten", "(bias ? bias[i] : 0)", "0", NORMS),
    Fault("mean of gradients kept", "- mean_gu -", "-", NORMS),
    Fault("sums of a warp are not cleared", "of_gain[i] = of_bias[i] = 0",
          "of_gain[i] = 0", NORMS),
    Fault("rows of a block overlap", "begin + rows)", "begin + rows + 1)", NORMS),
    Fault("the last warp's sums are left out", "w < warps; ++w) total += sums",
          "w < warps - 1; ++w) total += sums", NORMS),
    Fault("too few rows are added", "row < n; row +=", "row < n - 1; row +=", NORMS),
    Fault("gain and bias mixed up", "width ? of_gain", "width - 1 ? of_gain", NORMS),
    Fault("nothing is added to", "add ? *sum + total", "add ? total", LOOKUPS),
    Fault("a run ends early", "j < end; ++j", "j < end - 1; ++j", LOOKUPS),
    Fault("a run ends late", "j < end; ++j", "j <= end; ++j", LOOKUPS),
    Fault("the order is ignored", "order ? order[j] : j", "j", LOOKUPS),
    Fault("another bit is shifted", "h >> 13", "h >> 12", LOOKUPS),
    Fault("a number beyond the last", "if (i >= n) r", "if (i > n) r", LOOKUPS),
    Fault("as much is dropped as kept", ") >= least", ") < least", LOOKUPS),
    Fault("the largest of a few lanes", "bit < 32; bit *= 2) x = f",
          "bit < 8; bit *= 2) x = f", LOSSES),
    Fault("ignored targets count", "if (target < 0)", "if (target < -1)", LOSSES),
    Fault("the neighbour's target", "i == target", "i == target + 1", LOSSES),
    Fault("divided by nothing", ") / n;", ");", LOSSES),
    Fault("the total is not shrunk", "total *= expf(largest - x);", "", LOSSES),
    Fault("a query sees its successor", "key - n_keys <= query",
          "key - n_keys <= 1 + query", attention),
    Fault("a query does not see itself", "key - n_keys <= query",
          "key - n_keys < query", attention),
    Fault("queries line up with the first key", "key - n_keys <= query - n_queries",
          "key <= query", attention),
    Fault("padding is looked at", "!key_mask || ", "!key_mask || true || ", attention),
    Fault("the mask of another sequence", "(size_t)blockIdx.z * n_keys + key", "key",
          attention),
    Fault("a key beyond the last", "&& key < n_keys", "&& key <= n_keys", attention),
    Fault("a tile too few", "begin < end; b", "begin < end - TILE; b", attention),
    Fault("the last key of a tile is left out", "j < TILE; ++j", "j < TILE - 1; ++j",
          attention),
    Fault("half of a row is taken for all of it", "bit < LANES", "bit < 1", attention),
    Fault("what was added up is not shrunk", "multiply(sum, shrink);", "", attention),
    Fault("scores are not scaled", "query, n_queries, scale);", "query, n_queries, 1);",
          attention),
    Fault("y is not taken off", "(slope - along)", "slope", attention),
    Fault("heads look at each other's keys", "head / group", "0", attention),
    Fault("a group is left out", "(blockIdx.y + 1) * group", "(blockIdx.y + 1)",
          attention),
    Fault("queries begin too late", "max(0, first - n_keys + n_queries)",
          "max(0, first + 1 - n_keys + n_queries)", attention),
]  # fmt: skip


def missing_barriers() -> list[Fault]:
    """Every barrier of the file, removed one at a time."""
    barrier, lines = "__syncthreads();", cuda_kernels.source().split("\n")
    of_losses = next(i for i, line in enumerate(lines) if " cross_entropy(" in line)
    of_attention = lines.index("#else")
    found = []
    for i, line in enumerate(lines):
        if barrier in line:
            cases = LOSSES if i > of_losses else NORMS
            cases = attention if i > of_attention else cases
            name = f"no barrier on line {i + 1}"
            found.append(Fault(name, barrier, ";", cases, line=i + 1))
    return found
