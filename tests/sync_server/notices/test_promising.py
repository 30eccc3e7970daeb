"""What may be promised to be told: once per happening, in the words of a template, with values that do no harm."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from sync_server.centre import Centre
from sync_server.notices.kinds import KINDS, MAX_VALUE, To, tidy_values
from sync_server.notices.promising import MAX_KEY, Promise, promise
from sync_server.notices.tables import notice
from tests.sync_server.conftest import START_MS

PARTY = UUID(int=7)
SHORT = Promise("low_stock", "stock:1:100", {"product": "龙亭公园", "left": 3})


def promised(centre: Centre) -> list[sa.Row[tuple[object, ...]]]:
    with centre.read() as connection:
        return list(connection.execute(sa.select(notice).order_by(notice.c.key)))


def test_what_happened_once_is_promised_once(any_centre: Centre) -> None:
    with any_centre.write() as connection:
        assert promise(connection, START_MS, SHORT, SHORT._replace(key="stock:2:100")) == 2
    with any_centre.write() as connection:
        assert promise(connection, START_MS + 1, SHORT) == 0
    assert [(row.key, row.cause, row.promised_at_ms) for row in promised(any_centre)] == [
        ("stock:1:100", "stock:1:100", START_MS),
        ("stock:2:100", "stock:2:100", START_MS),
    ]


def test_nothing_is_promised_of_what_was_rolled_back(centre: Centre) -> None:
    with pytest.raises(RuntimeError), centre.write() as connection:
        promise(connection, START_MS, SHORT)
        raise RuntimeError
    assert promised(centre) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (SHORT._replace(variables={"product": "x"}), "has the variables product, left, not product"),
        (SHORT._replace(variables={"product": "x", "left": 1, "more": 2}), "not product, left, more"),
        (SHORT._replace(about_id=PARTY), "goes to roles"),
        (Promise("account_changed", "a", {"account": "1", "hours": "2"}), "goes to party"),
        (Promise("sign_in_code", "a", {"code": "1", "minutes": "2"}), "goes to phone"),
        (SHORT._replace(key="k" * (MAX_KEY + 1)), "more than 100"),
        (SHORT._replace(cause="k" * (MAX_KEY + 1)), "more than 100"),
    ],
)
def test_a_mistake_of_the_caller_is_told_to_the_caller(centre: Centre, wrong: Promise, words: str) -> None:
    with pytest.raises(ValueError, match=words), centre.write() as connection:
        promise(connection, START_MS, wrong)
    assert promised(centre) == []


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("龙亭公园", "龙亭公园"),
        ("两\r\n行\x00\x1b[2J", "两 行 [2J"),
        ("${left}", "left"),
        ("【银行】请转账", "银行请转账"),
        ("\u202etxt.exe\u200b", "txt.exe"),
        ("", "-"),
        ("\t \n", "-"),
        ("长" * 36, "长" * 34 + "…"),
        ("长" * 35, "长" * 35),
        ("x" * 10_000_000, "x" * 34 + "…"),
        (49, "49"),
    ],
)
def test_a_value_is_one_short_line_without_signs_of_its_own(value: object, kept: str) -> None:
    assert tidy_values("low_stock", {"product": value, "left": 1})["product"] == kept


@pytest.mark.slow
@given(st.text(max_size=200), st.text(max_size=200))
def test_no_value_becomes_another_variable(product: str, left: str) -> None:
    values = tidy_values("low_stock", {"product": product, "left": left})
    for value in values.values():
        assert 0 < len(value) <= MAX_VALUE and value.isprintable() and not set(value) & set("${}【】")
    assert KINDS["low_stock"].rendered(values) == f"{values['product']}库存仅剩{values['left']}张，请及时补充。"
    assert json.loads(json.dumps(values)) == values


def test_every_kind_says_whom_it_tells_and_every_text_can_be_filled() -> None:
    for kind in KINDS.values():
        assert (kind.to is To.ROLES) == bool(kind.roles)
        text = kind.rendered(dict.fromkeys(kind.variables, "某"))
        assert "$" not in text and len(text) <= 70, "one part of a long message"
        assert len(set(kind.variables)) == len(kind.variables)
