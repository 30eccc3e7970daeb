"""The book in words: each kind of transaction has its own, and stands with the number that people know."""

from __future__ import annotations

import re

import pytest

from sync_server.admin.book_words import KEY_WORDS
from sync_server.ledger.postings import POSTINGS
from tests.sync_server.admin.conftest import SignedInAs
from tests.sync_server.admin.test_money_pages import remitted
from tests.sync_server.admin.town import Town

PLACEHOLDER = re.compile(r":\{[^}]+\}")


def test_every_kind_of_transaction_has_its_words() -> None:
    kinds = {PLACEHOLDER.sub("", planned.key) for planned in POSTINGS} - {"reverse"}
    assert kinds - set(KEY_WORDS) == set()


def lines(page: str) -> list[tuple[str, str]]:
    """The words and the number of each transaction of the list."""
    return re.findall(r'<a href="/admin/ledger/[^"]+">([^<]+)</a><span class="code nowrap"> ([^<]+)</span>', page)


def test_a_transaction_is_told_in_words_with_its_number(signed_in_as: SignedInAs, town: Town) -> None:
    number = remitted(town, "PAID", "HK-0094", beside=True)
    finance = signed_in_as("qianwen")
    found = lines(finance.get("/admin/ledger").text)
    assert ("另有动账", number) in found
    assert ("打款", number) in found
    owed = lines(finance.get("/admin/ledger?code=2110").text)
    ticket_orders = tuple(town.ticket_orders)
    assert {word for word, _ in owed} == {"扣款", "扣款（未定）", "核销"}
    assert all(told.startswith(ticket_orders) for _, told in owed)


@pytest.mark.parametrize(("code", "words"), [("4010", "扣款"), ("2510", "年票收款")])
def test_one_transaction_is_headed_by_its_words(signed_in_as: SignedInAs, code: str, words: str) -> None:
    finance = signed_in_as("qianwen")
    address = re.findall(r'data-href="(/admin/ledger/[^"]+)"', finance.get(f"/admin/ledger?code={code}").text)[0]
    assert re.search(f'<h1>{words}(（未定）)? <span class="code">2611', finance.get(address).text)


def test_what_was_announced_and_is_booked_stands_once_in_the_list(signed_in_as: SignedInAs) -> None:
    finance = signed_in_as("qianwen")
    page = finance.get("/admin/ledger?code=4010").text
    assert "了结未定" not in page
    address = re.findall(r'data-href="(/admin/ledger/charge:[0-9a-f]+)"', page)[0]
    assert "了结未定" in finance.get(address).text
