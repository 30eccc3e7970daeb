"""等人处理: what waits for a person is named to those who may do something about it, and nothing else is claimed."""

from __future__ import annotations

import re
from uuid import UUID

import sqlalchemy as sa

from sync_server.admin.action_words import ACTION_WORDS
from sync_server.approvals import approvals
from sync_server.orders.tables import issue_application, order
from sync_server.payments.remitting import REMIT
from sync_server.payments.tables import external_transfer
from sync_server.people.identifying import Person
from sync_server.people.sessions import permissions_of
from sync_server.people.tables import operator
from sync_server.reconciliation.tables import recon_case
from sync_server.redemptions import decisions
from sync_server.redemptions.tables import redemption
from sync_server.second_person.deeds import DEEDS
from sync_server.setbacks import setback
from sync_server.settlement.tables import clawback
from tests.sync_server.admin.conftest import SignedInAs
from tests.sync_server.admin.town import NOON_MS, Town

LINE = r"<b>([^<]+)</b><small>([^<]+)</small>(?:<small class=\"code\">([^<]+)</small>)?</span><span class=\"n\">(\d+)<"


def waits(page: str) -> list[tuple[str, ...]]:
    return re.findall(LINE, page[page.index("等人处理") :])


def plant(town: Town) -> None:
    """One of each thing that has no page of its own."""
    id_ = UUID(int=7)
    with town.centre.write() as connection:
        refund = {"id": id_, "kind": "FUND_BUY", "subject_key": "fundbuy:7", "subject_id": id_, "amount_fen": 176_00}
        times = {"created_at_ms": NOON_MS, "changed_at_ms": NOON_MS}
        connection.execute(external_transfer.insert().values(**refund, **times, title="理财", state="INSUFFICIENT"))
        asker = connection.scalars(sa.select(operator.c.id).where(operator.c.account == "qianwen")).one()
        person = Person(asker, permissions_of(connection, "finance"))
        approvals.request(connection, person, REMIT, "transfer:07", "银行已付", NOON_MS)
        held = connection.execute(sa.select(order).where(order.c.distributor_id.is_not(None)).limit(1)).one()
        connection.execute(
            issue_application.insert().values(
                id=id_, order_id=held.id, state="APPLIED", applied_at_ms=NOON_MS, applied_by="test"
            )
        )
        case = {
            "id": id_,
            "difference": "DOUBLE_PAID",
            "provider": "ALIPAY",
            "subject": "double:7",
            "amount_fen": -4970,
        }
        connection.execute(
            recon_case.insert().values(**case, in_suspense=True, state="OPEN", opened_at_ms=NOON_MS, changed_at_ms=0)
        )
        debt = {"id": id_, "case_id": id_, "venue_id": town.venues["2001"], "owed_fen": 9940, "agreed_at_ms": NOON_MS}
        connection.execute(clawback.insert().values(**debt))
        tried = {"reason": "no such account", "times": 3, "first_at_ms": NOON_MS, "again_at_ms": NOON_MS}
        connection.execute(setback.insert().values(step="settlement.clear", subject=bytes(16), **tried))


def test_what_has_no_page_is_named_with_the_command_that_shows_it(signed_in_as: SignedInAs, town: Town) -> None:
    plant(town)
    assert waits(signed_in_as("qianwen").get("/admin/").text) == [
        ("打款未能付出", "¥149.10", "", "3"),
        ("其他款项未能办成", "理财买入 1", "sync-server transfer list", "1"),
        ("等第二人复核", "手动汇款 1", "sync-server request list", "1"),
        ("人工出票申请", "¥52.31", "sync-server order applications", "1"),
        ("对账差异", "¥49.70", "sync-server recon-case list", "1"),
        ("欠款", "¥99.40", "sync-server debt list", "1"),
        ("没有办成，已搁置", "no such account", "sync-server setbacks", "1"),
        ("冲突", "入园记录要人核对", "", "1"),
    ]


def test_an_entry_that_a_person_decided_waits_no_more(signed_in_as: SignedInAs, town: Town) -> None:
    assert "冲突" in [found[0] for found in waits(signed_in_as("qianwen").get("/admin/").text)]
    with town.centre.write() as connection:
        entry_id = connection.scalars(sa.select(redemption.c.id).where(redemption.c.outcome == "CONFLICT")).one()
        decisions.reject(connection, entry_id, "nobody there", NOON_MS, "operator:test")
    assert "冲突" not in [found[0] for found in waits(signed_in_as("qianwen").get("/admin/").text)]


def test_who_may_do_nothing_about_it_is_not_told(signed_in_as: SignedInAs, town: Town) -> None:
    plant(town)
    assert waits(signed_in_as("qianwen").get("/admin/").text)
    venue = signed_in_as("qiaozhang").get("/admin/").text
    assert "对账差异" not in venue
    assert "等第二人复核" not in venue


def test_every_act_of_two_persons_has_its_words() -> None:
    assert set(DEEDS) - set(ACTION_WORDS) == set()
