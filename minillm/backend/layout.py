"""Rows and heads: how ops and their faster bodies cut arrays, without a copy."""

import math


def as_rows(x):
    """All axes but the last made one: (..., D) -> (N, D)."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def split_heads(x, parts: int, n_heads: int):
    """(B, T, parts·D) -> parts views of shape (B, H, T, D/H)."""
    batch, length, width = x.shape
    heads = x.reshape(batch, length, parts, n_heads, width // (parts * n_heads))
    return heads.transpose(2, 0, 3, 1, 4)


def merge_heads(x):
    """(B, H, T, D/H) -> (B, T, D)."""
    batch, n_heads, length, width = x.shape
    return x.swapaxes(1, 2).reshape(batch, length, n_heads * width)
