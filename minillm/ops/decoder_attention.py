"""Cross-attention: a decoder looks at what an encoder has made of the source."""

from minillm.backend import joint, xp
from minillm.backend.arrays import merge_heads, split_heads
from minillm.ops import checks
from minillm.ops.attention import attention
from minillm.tensor import op


@op(check=checks.kv_fits)
def cross_attention(
    q,
    kv,
    bias=None,
    *,
    n_heads: int,
    n_kv_heads: int | None = None,
    mask=None,
    rate: float = 0.0,
    key: int = 0,
    first_row: int = 0,
):
    """Attention of one sequence to another in several heads at once.

    q (B, T, D) and kv (B, S, 2D), which holds the other's keys and values side by side
    -> (B, T, D). Heads as in `self_attention`. `bias` and `mask` broadcast to
    (B, H, T, S).
    """
    (queries,) = split_heads(q, n_heads)
    k, v = split_heads(kv, *2 * [n_kv_heads or n_heads])
    settings = {"mask": mask, "rate": rate, "key": key, "first_row": first_row}
    y, pull = attention.rule(queries, k, v, bias, **settings)

    def pullback(g):
        (gy,) = split_heads(g, n_heads)
        gq, gk, gv, *g_bias = pull(gy)
        gkv = xp.concatenate([merge_heads(gk), merge_heads(gv)], -1)
        return merge_heads(gq), gkv, *g_bias

    return merge_heads(y), joint(pullback)
