"""Fees, shares and how amounts are written."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_server import money


def test_the_examples_in_the_code() -> None:
    assert doctest.testmod(money).failed == 0


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
def test_shares_sum_to_the_whole_and_are_within_one_fen_of_fair(total_fen: int, weights: list[int]) -> None:
    shares = money.shares_of(total_fen, weights)
    assert sum(shares) == total_fen
    whole = sum(weights)
    for share, weight in zip(shares, weights, strict=True):
        fair = (total_fen * weight / whole) if whole else total_fen / len(weights)
        assert abs(share - fair) <= 1 + fair * 1e-9


@pytest.mark.parametrize(("amount_fen", "fee_fen"), [(0, 0), (83, 0), (84, 1), (5200, 31), (5000, 30), (250, 2)])
def test_a_fee_of_sixty_basis_points_is_rounded_half_up(amount_fen: int, fee_fen: int) -> None:
    assert money.fee_of(amount_fen, 60) == fee_fen


@pytest.mark.parametrize("weights", [[], [1, -1]])
def test_nonsense_is_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="cannot split"):
        money.shares_of(100, weights)
