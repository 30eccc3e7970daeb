"""`python -m sync_server.money_document`: prints docs/money.md from the tables that the code walks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sync_server.catalog.states import SALE
from sync_server.issuance.pass_states import PASS
from sync_server.ledger.accounts import CHART
from sync_server.ledger.postings import ALL, POSTINGS
from sync_server.machines import Machine
from sync_server.notices.states import MESSAGE
from sync_server.orders.states import APPLICATION, PASS_ORDER, TICKET_ORDER
from sync_server.payments.states import TRANSFER
from sync_server.reconciliation.case_states import CASE
from sync_server.reconciliation.differences import NO_FAULT, WORDS
from sync_server.settlement.item_states import ITEM, first_list, second_list
from sync_server.settlement.payout_states import PAYOUT

DOCUMENT = Path(__file__).parent.parent / "docs" / "money.md"

CHAPTERS = (
    (
        TRANSFER,
        "A movement of money at the provider. SUCCEEDED is final, VOID if nothing moved; what is open is asked for.",
    ),
    (TICKET_ORDER, "Tickets 订单状态."),
    (APPLICATION, "人工出票申请: a distributor wants its held order to go on after a top-up."),
    (PASS_ORDER, "An annual pass for one holder 年票订单."),
    (
        PASS,
        "Stored is what a person decided; WAITING, ACTIVE, EXPIRED follow from dates, refunds from the order.",
    ),
    (
        ITEM,
        "A ticket at one venue 景区状态: usage, money, and `hold` while a refund is asked for. Nothing is stored.",
    ),
    (SALE, "What is sold 产品: tickets, combos and annual passes."),
    (PAYOUT, "What a venue is paid 结算单. Its lines never change once it is sealed."),
    (CASE, "A difference between our book and a provider's statement 对账差异, or a transfer that was given up."),
    (MESSAGE, "A short message 短信 to one recipient. What a person sends again is another message."),
)


def money_document() -> str:
    """The whole text of docs/money.md."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# States and accounts of money"
    yield ""
    yield "Printed from the tables that the code walks, by `python -m sync_server.money_document`; do not edit."
    yield "What is not in a table does not happen: the event changes nothing, or is refused with the state it met."
    for machine, about in CHAPTERS:
        yield from _chapter(machine, about)
    yield ""
    yield "## What the two lists of venue states show"
    yield ""
    rows = []
    for state, words in ITEM.words.items():
        usage, money = state.split()[:2]
        rows.append([f"`{state}`", words, *first_list(usage, money), *second_list(usage, money)])
    yield from _table(["state", "shown", "单票 使用", "单票 票款", "联票 使用", "联票 票款"], rows)
    yield ""
    yield "## What reconciliation tells apart"
    yield ""
    rows = [
        [f"`{difference}`", words.chinese, words.english, "" if difference in NO_FAULT else "a case"]
        for difference, words in WORDS.items()
    ]
    yield from _table(["difference", "差异", "is", ""], rows)
    yield ""
    yield "## Chart of accounts"
    yield ""
    yield "A covered account is never debited beyond its credits, debits on their way counted."
    yield ""
    rows = [
        [code, kept.english, kept.chinese, kept.owner or "", "covered" if kept.covered else ""]
        for code, kept in CHART.items()
    ]
    yield from _table(["code", "holds", "科目", "one for each", ""], rows)
    yield ""
    yield "## Postings"
    yield ""
    yield "A transaction touches some of the accounts of its kind, and no other. One by bank is on 1030 instead of the"
    yield "provider's account, one accepted after it was given up on 1310."
    yield ""
    rows = [
        [one.name, f"`{one.key}`", one.about, *("any" if codes == ALL else ", ".join(codes) for codes in one[3:])]
        for one in POSTINGS
    ]
    yield from _table(["", "key", "when", "debit", "credit"], rows)


def _chapter(machine: Machine, about: str) -> Iterator[str]:
    yield ""
    yield f"## {machine.name[0].upper()}{machine.name[1:]}"
    yield ""
    yield about
    yield ""
    yield ", ".join(f"`{state}` {word}" for state, word in machine.words.items()) + "."
    yield ""
    rows = [
        [", ".join(f"`{state}`" for state in row.states), row.event, f"`{row.next}`", row.guard, row.books, row.effects]
        for row in machine.rows
    ]
    yield from _table(["in", "event", "leads to", "if", "booked", "besides"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield "| " + " | ".join(row) + " |"


if __name__ == "__main__":
    DOCUMENT.write_text(money_document(), encoding="utf-8")
    print(DOCUMENT)
