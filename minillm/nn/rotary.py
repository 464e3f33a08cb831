"""What blocks of today do to queries and keys: norms in each head, rotary positions."""

from minillm import nn, ops  # opened when used: ops.rotary
from minillm.nn.positions import rotations
from minillm.tensor import Tensor


def normed_and_turned(
    attention: "nn.MultiHeadAttention",
    qkv: Tensor,
    columns: "nn.Columns | None" = None,
) -> Tensor:
    """Queries, keys and values side by side, as attention sees them.

    (B, T, D + 2Gd) -> the same

    Queries and keys of every head are normalised, which keeps scores from growing
    (Henry et al. 2020; per head as in Qwen 3), and turned by their positions, so that a
    score depends on how far the two stand apart: by those of the next columns of a
    cache, else by the first ones.
    """
    (batch, length, _), width = qkv.shape, attention.head_width
    n_q, n_qk = attention.n_heads, attention.n_heads + attention.n_kv_heads
    heads = qkv.reshape(batch, length, n_qk + attention.n_kv_heads, width)
    if attention.q_norm is not None:
        q, k, v = heads[:, :, :n_q], heads[:, :, n_q:n_qk], heads[:, :, n_qk:]
        heads = ops.concatenate(attention.q_norm(q), attention.k_norm(k), v, axis=2)
    if attention.rotary:
        if columns is None:
            turns = rotations(length, width, base=attention.rope_base)
        else:
            turns = columns.rotations(width, qkv.dtype, attention.rope_base)
        heads = ops.rotary(heads, n_turned=n_qk, **turns)
    return heads.reshape(qkv.shape)
