"""Amounts in integer fen: how they are shared, what fee they bear, how they are written."""

from __future__ import annotations

from collections.abc import Sequence

BASIS_POINTS = 10_000
MAX_FEN = 10**15
"""More than this is no amount, whoever names it; thousands of postings of it fit a BIGINT's sums."""


def fee_of(amount_fen: int, bps: int, min_fen: int = 0, max_fen: int | None = None) -> int:
    """The fee on an amount: basis points rounded half up, then held between the bounds (money.md Q8).

    >>> fee_of(5200, 60), fee_of(5000, 60)
    (31, 30)
    """
    if amount_fen < 0 or bps < 0:
        raise ValueError(f"a fee needs an amount and a rate of at least 0, not {amount_fen} fen and {bps} basis points")
    fee_fen = max((amount_fen * bps * 2 + BASIS_POINTS) // (2 * BASIS_POINTS), min_fen)
    return fee_fen if max_fen is None else min(fee_fen, max_fen)


def bounds_flaw(min_fen: int, max_fen: int | None) -> str | None:
    """What is wrong with the bounds of a fee, for the person who typed them."""
    if max_fen is not None and min_fen > max_fen:
        return f"a fee of at least {min_fen} fen cannot be {max_fen} fen at most"
    return None


def shares_of(total_fen: int, weights: Sequence[int]) -> list[int]:
    """Split a total by weights so that the parts sum to it: largest remainder, the earlier of equals first.

    All weights 0 counts as all weights equal.

    >>> shares_of(11000, [5000, 3000, 2000])
    [5500, 3300, 2200]
    """
    if not weights or min(weights) < 0 or total_fen < 0:
        raise ValueError(f"cannot split {total_fen} fen by {list(weights)}: needs at least one weight, none below 0")
    if not any(weights):
        weights = [1] * len(weights)
    whole = sum(weights)
    parts = [total_fen * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total_fen * weights[i] % whole), i))
    for i in by_remainder[: total_fen - sum(parts)]:
        parts[i] += 1
    return parts


def yuan(fen: int) -> str:
    """An amount in yuan, without ever being a float.

    >>> yuan(-120050)
    '-1200.50'
    """
    whole, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{whole}.{rest:02d}"
