"""等人处理: what waits for a person, of which an operator is shown what is theirs; with a page, or else the command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import url_for
from flask_babel import gettext as _
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.admin.action_words import ACTION_WORDS
from sync_server.admin.paging import whole_sum
from sync_server.admin.shown import centre, money
from sync_server.admin.words import CHIPS, TRANSFER_KIND_WORDS
from sync_server.approvals.approvals import open_requests
from sync_server.orders import applying
from sync_server.payments.tables import LATE_ENTRY, external_transfer
from sync_server.people.permissions import Permission
from sync_server.people.sessions import SignedIn
from sync_server.reconciliation.case_states import OPEN
from sync_server.reconciliation.tables import recon_case
from sync_server.redemptions.tables import decision, redemption
from sync_server.second_person.deeds import DEEDS
from sync_server.settlement.debts import debts

QUESTIONABLE = ("CONFLICT", "LATE", "UNPROVEN", "UNKNOWN_PASS", "IMPLAUSIBLE")
NOT_THROUGH = ("INSUFFICIENT", "DEFINITE_FAIL", "UNKNOWN")
OF_THE_PLATFORM = ("REFUND", "FUND_BUY", "FUND_SELL", "FUND_CLOSE", "SWEEP_OUT", "SWEEP_IN")
"""Nobody else begins these anew, as a buyer does a payment; payouts have a page of their own."""


@dataclass(frozen=True)
class Waiting:
    """One line: `command` is what shows it where it has no page (`address`)."""

    tone: str
    icon: str
    word: str
    detail: str
    count: int
    address: str | None = None
    command: str | None = None


def waiting(
    connection: Connection, who: SignedIn, stuck: sa.Row[Any] | None, gates: Iterable[tuple[sa.Row[Any], str]]
) -> list[Waiting]:
    """The most urgent first; `stuck` are the payouts that could not be made, `gates` those that this operator sees."""
    found: list[Waiting] = []
    if stuck is not None and stuck.payouts:
        tab = url_for("admin.payouts", tab="todo")
        found.append(Waiting("no", "xc", _("打款未能付出"), money(stuck.total_fen), stuck.payouts, tab))
    if who.may(Permission.SETTLEMENT_VIEW):
        found += _not_through(connection)
    found += _gates(gates, "frozen", "no", "snow", _("闸机上报自相矛盾"))
    found += _second_person(connection, who)
    if who.may(Permission.APPLICATIONS_DECIDE):
        found += _applications(connection)
    if who.may(Permission.SETTLEMENT_VIEW):
        found += _differences(connection)
    if who.may(Permission.ENTRIES_VIEW):
        found += _entries(connection)
    found += _gates(gates, "pending", "warn", "ask", _("闸机待比对"))
    return found


def _not_through(connection: Connection) -> Iterator[Waiting]:
    kind, late = external_transfer.c.kind, external_transfer.c.subject_key.startswith(LATE_ENTRY)
    query = sa.select(kind, sa.func.count().label("many")).where(external_transfer.c.state.in_(NOT_THROUGH))
    rows = connection.execute(query.where(sa.or_(kind.in_(OF_THE_PLATFORM), late)).group_by(kind).order_by(kind)).all()
    if rows:
        told = " · ".join(f"{TRANSFER_KIND_WORDS[row.kind]} {row.many}" for row in rows)
        yield Waiting("no", "xc", _("其他款项未能办成"), told, sum(row.many for row in rows), command="transfer list")


def _second_person(connection: Connection, who: SignedIn) -> Iterator[Waiting]:
    acts = [one.act for one in open_requests(connection, centre().now_ms())]
    mine = Counter(act for act in acts if who.may(DEEDS[act].act.needs))
    if mine:
        told = " · ".join(f"{ACTION_WORDS[act]} {count}" for act, count in mine.items())
        yield Waiting("warn", "users", _("等第二人复核"), told, mine.total(), command="request list")


def _applications(connection: Connection) -> Iterator[Waiting]:
    if queued := applying.queue(connection):
        asked = money(sum(one.amount_fen for one in queued))
        yield Waiting("warn", "ticket", _("人工出票申请"), asked, len(queued), command="order applications")


def _differences(connection: Connection) -> Iterator[Waiting]:
    """What statements and book do not agree on, what parties owe, and what the worker had to put aside."""
    amount = whole_sum(sa.func.abs(recon_case.c.amount_fen))
    cases = sa.select(sa.func.count(), amount).where(recon_case.c.state.in_(OPEN))
    count, amount_fen = connection.execute(cases).one()
    if count:
        yield Waiting("warn", "scale", _("对账差异"), money(amount_fen), count, command="recon-case list")
    if owed := debts(connection):
        owed_fen = money(sum(one.amount_fen for one in owed))
        yield Waiting("warn", "coins", _("欠款"), owed_fen, len(owed), command="debt list")
    if aside := setbacks.listed(connection):
        yield Waiting("warn", "clockx", _("没有办成，已搁置"), aside[0].reason, len(aside), command="setbacks")


def _entries(connection: Connection) -> Iterator[Waiting]:
    """Entries whose truth a person must judge, and nobody did: most decisions leave the outcome as it is."""
    outcome = redemption.c.outcome
    decided = sa.exists().where(decision.c.redemption_id == redemption.c.id)
    query = sa.select(outcome, sa.func.count().label("entries")).where(outcome.in_(QUESTIONABLE), ~decided)
    for row in connection.execute(query.group_by(outcome)):
        chip = CHIPS["redemption"][row.outcome]
        page = url_for("admin.entries", state=row.outcome)
        yield Waiting("warn", chip.icon, chip.word, _("入园记录要人核对"), row.entries, page)


def _gates(gates: Iterable[tuple[sa.Row[Any], str]], state: str, tone: str, icon: str, word: str) -> Iterator[Waiting]:
    if named := [row.name for row, now in gates if now == state]:
        yield Waiting(tone, icon, word, named[0], len(named), url_for("admin.gates", state=state))
