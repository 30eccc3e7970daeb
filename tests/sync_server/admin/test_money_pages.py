"""Overview, payouts and ledger: every figure is the sum of the rows it leads to."""

from __future__ import annotations

import re
from datetime import date

import pytest
import sqlalchemy as sa

from sync_server.admin.shown import money
from sync_server.ledger.balances import trial_balance
from sync_server.ledger.tables import ledger_txn
from sync_server.orders.tables import order
from sync_server.payments import remitting
from sync_server.payments.tables import transfer_attempt
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from sync_server.people.sessions import permissions_of
from sync_server.people.tables import operator
from sync_server.settlement.payouts import follow_transfers
from sync_server.settlement.tables import payout
from tests.sync_server.admin.conftest import SignedInAs
from tests.sync_server.admin.town import Town
from tests.sync_server.operators import employ


@pytest.mark.parametrize(
    ("amount_fen", "signed", "text"),
    [
        (123456, False, "¥1,234.56"),
        (-19800, False, "−¥198.00"),
        (5, True, "+¥0.05"),
        (0, True, "¥0.00"),
        (100_000_000_00, False, "¥100,000,000.00"),
    ],
)
def test_money_is_written_to_the_fen(amount_fen: int, signed: bool, text: str) -> None:
    assert money(amount_fen, signed) == text


def test_the_overview_counts_today(signed_in_as: SignedInAs) -> None:
    page = signed_in_as("zhoumin").get("/admin/").text
    for text in (
        "11月21日 星期六",
        "截至",
        "14:32",
        "1,356.18",
        "年票 5 笔",
        "门票 4 笔",
        "未放行 2 次",
        "¥198.80",
        "4 笔打款",
    ):
        assert text in page, text
    assert re.findall(r"<small>人次</small>", page)
    assert ">11 <small>" in page
    bars = [int(figure or 0) for figure in re.findall(r'<li><span class="num">(\d*)</span>', page)]
    assert sum(bars) == 11


def test_the_overview_of_yesterday_is_empty_tomorrow(signed_in_as: SignedInAs, town: Town) -> None:
    town.clock.pass_ms(10 * 3_600_000)  # 0:32 the next day
    page = signed_in_as("zhoumin").get("/admin/").text
    assert "11月22日 星期日" in page
    assert "年票 0 笔" in page
    assert ">0 <small>" in page
    assert "¥149.10" in page  # what is owed does not vanish at midnight


def test_the_overview_names_what_waits_for_a_person(signed_in_as: SignedInAs) -> None:
    page = signed_in_as("zhoumin").get("/admin/").text
    waiting = page[page.index("等人处理") :]
    assert re.findall(r"<b>([^<]+)</b><small>([^<]+)</small></span><span class=\"n\">(\d+)<", waiting) == [
        ("打款未能付出", "¥149.10", "3"),
        ("冲突", "入园记录要人核对", "1"),
        ("闸机待比对", "龙亭北门 1 号", "1"),
    ]


def test_payouts_that_need_a_person_are_the_first_tab(signed_in_as: SignedInAs) -> None:
    page = signed_in_as("qianwen").get("/admin/payouts").text
    assert sorted(re.findall(r'data-state="(\w+)"', page)) == ["INSUFFICIENT", "SETTLE_FAILED", "UNKNOWN"]
    assert re.search(r"PAYEE_STATUS_ERROR.*已试 1 次，下次 \S", page)
    for text in ("等充值，不自动重试", "不能重试或手汇", "3 单，合计 ¥149.10"):
        assert text in page, text
    assert len(re.findall("data-href", signed_in_as("qianwen").get("/admin/payouts?tab=paid").text)) == 4
    assert len(re.findall("data-href", signed_in_as("qianwen").get("/admin/payouts?tab=all").text)) == 7
    assert len(re.findall("data-href", signed_in_as("qianwen").get("/admin/payouts?tab=nonsense").text)) == 3


def test_a_payout_leads_to_its_redemptions_attempts_and_postings(signed_in_as: SignedInAs, town: Town) -> None:
    with town.centre.read() as connection:
        number = connection.scalars(sa.select(payout.c.number).where(payout.c.state == "PAID")).first()
    finance = signed_in_as("qianwen")
    page = finance.get(f"/admin/payouts/{number}").text
    for text in ("¥50.00", "−¥0.30", "¥49.70", "成功", '支付宝 <span class="code">…idge<'):
        assert text in page, text
    assert "venue-rainbow-bridge" not in page  # as the commands tell it
    links = re.findall(r'href="(/admin/ledger/[^"]+)"', page)
    assert len(links) == 3
    for link in links:
        posted = finance.get(link).text
        assert "¥49.70" in posted
    operations = signed_in_as("zhoumin").get(f"/admin/payouts/{number}").text
    assert "/admin/ledger" not in operations


def remitted(town: Town, state: str, voucher: str, *, beside: bool) -> str:
    """A payout in this state that two persons say a bank paid; its number."""
    now_ms, other = town.clock.now_ms, employ(town.centre, "sunli", "finance")
    with town.centre.write() as connection:
        row = connection.execute(sa.select(payout).where(payout.c.state == state).order_by(payout.c.number)).first()
        assert row is not None
        asker = connection.scalars(sa.select(operator.c.id).where(operator.c.account == "qianwen")).one()
        one = Person(asker, permissions_of(connection, "finance"))
        paid = Voucher("工商银行", date(2026, 11, 20), voucher, None)
        asked = remitting.ask(connection, one, row.transfer_id, paid, "通道故障", now_ms, beside=beside)
        remitting.confirm(connection, other, asked, now_ms)
    follow_transfers(town.centre)
    return str(row.number)


def test_a_payout_that_a_bank_paid_says_which_and_who(signed_in_as: SignedInAs, town: Town) -> None:
    number = remitted(town, "FAILED", "HK-0093", beside=False)
    page = signed_in_as("qianwen").get(f"/admin/payouts/{number}").text
    drawer = page[page.index("drawer-title") :]
    for text in ("手动汇款 · 工商银行 2026-11-20", "凭证 HK-0093 · 钱文申请，Sunli复核", "<dt>凭证号</dt>"):
        assert text in drawer, text
    assert "通道流水号" not in drawer


def test_a_payout_that_was_paid_twice_says_so_in_list_head_and_book(signed_in_as: SignedInAs, town: Town) -> None:
    number = remitted(town, "PAID", "HK-0094", beside=True)
    finance = signed_in_as("qianwen")
    assert finance.get("/admin/payouts?tab=paid").text.count('data-state="EXTRA"') == 1
    page = finance.get(f"/admin/payouts/{number}?tab=todo").text
    assert page.count('data-state="EXTRA"') == 2  # the head and its attempt
    assert "/admin/ledger/double:" in page
    with town.centre.read() as connection:
        transfer_id = connection.scalars(sa.select(payout.c.transfer_id).where(payout.c.number == number)).one()
    assert f">{transfer_id}<" in page  # what `transfer remit` asks for


@pytest.mark.slow
@pytest.mark.parametrize(("state", "word"), [("EXTRA", "另有动账"), ("RETURNED", "动账已了结"), ("REVERSED", "已冲回")])
def test_an_attempt_that_moved_beside_its_transfer_says_so(
    signed_in_as: SignedInAs, town: Town, state: str, word: str
) -> None:
    with town.centre.write() as connection:
        undone_key = transfer_attempt.c.out_no if state == "REVERSED" else None
        connection.execute(transfer_attempt.update().values(state=state, undone_key=undone_key))
        paid = connection.execute(sa.select(payout.c.number).where(payout.c.state == "PAID")).first()
        bought = connection.execute(sa.select(order.c.number).where(order.c.paid_at_ms.is_not(None))).first()
    assert paid is not None
    assert bought is not None
    finance = signed_in_as("qianwen")
    for page in (f"/admin/payouts/{paid.number}", f"/admin/orders/{bought.number}"):
        assert f'data-state="{state}"' in finance.get(page).text
    assert word in finance.get(page).text


def test_the_ledger_balances_and_shows_every_transaction(signed_in_as: SignedInAs, town: Town) -> None:
    page = signed_in_as("qianwen").get("/admin/ledger").text
    with town.centre.read() as connection:
        lines = trial_balance(connection)
        txns = connection.scalar(sa.select(sa.func.count()).select_from(ledger_txn)) or 0
    for line in lines:
        assert money(line.balance_fen) in page
    assert sum(line.balance_fen for line in lines) == 0
    seen: list[str] = []
    address: str | None = "/admin/ledger"
    while address:
        page = signed_in_as("qianwen").get(address).text
        seen += re.findall(r'data-href="/admin/ledger/([^"]+)"', page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        address = older[1].replace("&amp;", "&") if older else None
    assert len(seen) == len(set(seen)) == txns


def test_one_account_shows_only_what_touched_it(signed_in_as: SignedInAs, town: Town) -> None:
    finance, venue = signed_in_as("qianwen"), town.venues["2001"].hex
    page = finance.get(f"/admin/ledger?code=2210&owner={venue}").text
    assert "汴河虹桥景区" in page
    assert page.count("data-href") == 18  # 7 redeemed, 7 announced payouts, 4 paid
    empty = finance.get(f"/admin/ledger?code=2210&owner={town.venues['2002'].hex}").text
    assert "还没有分录" in empty
    assert finance.get("/admin/ledger?code=9999&owner=zz").status_code == 200
