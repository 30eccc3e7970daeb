"""What waits for a second person, of every kind: told in words, confirmed or withdrawn by one command."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from sandbox_provider.faults import FaultKind
from sync_server.approvals.approvals import LIFE_MS
from sync_server.parties.accounts import SettlementAccount, account_of
from sync_server.payments import abandoning, account_changes, remitting, top_ups
from sync_server.payments.tables import external_transfer
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from sync_server.reconciliation import recon_cases
from sync_server.reconciliation.differences import Difference
from sync_server.settlement import clawing_back
from tests.sync_server.command_line import command
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.operators import PASSWORD, employ, two_of_finance
from tests.sync_server.sandbox import World

VOUCHER = Voucher("工商银行", date(2026, 9, 21), "0007", "a1b2c3d4" * 8)
SAID = "工商银行, voucher 0007 of 2026-09-21, its copy a1b2c3d4…"


@pytest.fixture
def two(world: World) -> tuple[Person, Person]:
    return two_of_finance(world.centre)


def run(world: World, *arguments: str, by: str | None = None) -> list[dict[str, Any]]:
    """A command of `sync-server request`; where it fails, its error."""
    who = [] if by is None else ["--organisation", "1000", "--account", by, "--password-stdin"]
    group, said = command("request"), [*arguments, *who]
    done = CliRunner().invoke(group, said, obj=lambda: world.centre, input=f"{PASSWORD}\n")
    if done.exception is not None:
        raise done.exception
    return [json.loads(line) for line in done.stdout.splitlines()]


def failed_payout(world: World) -> UUID:
    """A payout that the provider does not make."""
    order_id = world.buy()
    world.turn()
    world.sandbox.play(FaultKind.INSUFFICIENT, "payout")
    world.enter(world.items(order_id)[0])
    world.turn()
    query = sa.select(external_transfer.c.id).where(external_transfer.c.kind == "PAYOUT")
    with world.centre.read() as connection:
        transfer_id: UUID = connection.scalars(query.where(external_transfer.c.state == "INSUFFICIENT")).one()
    return transfer_id


def paid_visit(world: World) -> str:
    """A visit whose venue was paid; the ticket's number."""
    order_id = world.buy()
    world.turn()
    world.enter(world.items(order_id)[0])
    world.turn()
    with world.centre.read() as connection:
        return str(connection.scalar(sa.text("SELECT number FROM ticket")))


def test_the_list_says_what_each_would_do_who_asked_and_why(world: World, two: tuple[Person, Person]) -> None:
    number, asks, now_ms = paid_visit(world), two[0], START_MS
    payout = failed_payout(world)
    new = SettlementAccount("HUIJINBAO", "venue-account-5678")
    case = recon_cases.NewCase(Difference.FOREIGN, "ALIPAY", "theirs", 700, True)
    with world.centre.write() as connection:
        recon_cases.open_cases(connection, [case], now_ms)
        case_id = connection.scalars(sa.text("SELECT id FROM recon_case")).one()
        account_changes.ask(connection, asks, world.venue, new, "their letter", now_ms)
        top_ups.ask(connection, asks, world.distributor, 100_050, VOUCHER, "on the list", now_ms + 1)
        abandoning.ask(connection, asks, payout, "wrong account", now_ms + 2)
        remitting.ask(connection, asks, payout, replace(VOUCHER, number="0008"), "the venue waits", now_ms + 3)
        clawing_back.ask(connection, asks, number, 1, "it was shut", now_ms + 4)
        recon_cases.ask_write_off(connection, asks, UUID(str(case_id)), "5090", "nobody knows", now_ms + 5)
    told = run(world, "list")
    refunded = f"52.00 yuan go back to the buyer for the visit with ticket {number} to 汴河 (2001)"
    booked = "7.00 yuan are booked, debit 1310 suspense, credit 5090 write-off"
    failed = told[2]["does"][told[2]["does"].index("PAYOUT of 49.70 yuan") :]
    assert failed.endswith(", 汴河 (2001), ALIPAY …enue; INSUFFICIENT)")
    assert [(one["act"], one["does"]) for one in told] == [
        (
            "party.account",
            "money of 汴河 (2001) goes to HUIJINBAO …5678 instead of ALIPAY …enue, from 24 hours after it is confirmed",
        ),
        ("top_up.record", f"1000.50 yuan, paid in by bank ({SAID}), are added to the balance of 旅行社 (3001)"),
        ("transfer.abandon", f"given up, so that nothing pays it any more: {failed}"),
        ("transfer.remit", f"counts as paid by bank ({SAID.replace('0007', '0008')}): {failed}"),
        ("visit.refund", f"{refunded}, whose next payouts are 49.70 yuan less"),
        ("recon_case.write_off", f"{booked} (FOREIGN at ALIPAY, theirs: a movement under a number that is not ours)"),
    ]
    first = told[0]
    assert (first["requested_by"], first["account"], first["reason"]) == ("Qian", "qian", "their letter")
    assert (first["needs"], first["requested_at_ms"]) == ("accounts.change", START_MS)
    assert first["expires_at_ms"] == START_MS + LIFE_MS


def test_one_command_confirms_what_was_told(world: World, two: tuple[Person, Person], clock: Clock) -> None:
    new = SettlementAccount("HUIJINBAO", "venue-account-5678")
    employ(world.centre, "zhao", "auditor")
    with world.centre.write() as connection:
        asked = str(account_changes.ask(connection, two[0], world.venue, new, "their letter", clock()))
    (told,) = run(world, "list")
    for account, refusal in (("qian", "two persons"), ("zhao", r"accounts\.change")):
        with pytest.raises(Exception, match=refusal):
            run(world, "confirm", asked, by=account)
    (done,) = run(world, "confirm", asked, by="sun")
    assert (done["act"], done["state"], done["done"]) == ("party.account", "confirmed", told["does"])
    assert run(world, "list") == []
    clock.pass_ms(24 * 3_600_000)
    with world.centre.read() as connection:
        assert account_of(connection, world.venue, clock()) == new


def test_one_command_takes_a_request_back(world: World, two: tuple[Person, Person], clock: Clock) -> None:
    with world.centre.write() as connection:
        asked = str(top_ups.ask(connection, two[0], world.distributor, 100, VOUCHER, "on the list", clock()))
    assert run(world, "withdraw", asked, by="sun")[0]["act"] == "top_up.record"
    assert run(world, "list") == []
    with pytest.raises(Exception, match="WITHDRAWN"):
        run(world, "confirm", asked, by="sun")
    with pytest.raises(Exception, match="no request"):
        run(world, "confirm", str(UUID(int=7)), by="sun")
