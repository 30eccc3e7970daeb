"""`check` adds every account up a second time: money that stands where no row of ours put it is seen on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from sync_server.checks import flaws_of
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.orders.tables import charge_back, order_item
from sync_server.parties.parties import NewParty, add_party
from sync_server.settlement.tables import payout_line
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.settlement.test_settlement_checks import everything
from tests.sync_server.test_checks import without_triggers

SEEN = {
    "1010": "the platform's accounts hold",
    "1020": "the platform's accounts hold",
    "1030": "the platform's accounts hold",
    "2010": "a distributor's balance",
    "2210": "what a venue was credited",
    "2310": "what is to be given back",
    "2510": "an annual pass has earned",
    "3010": "appropriated of the profit",
    "4010": "earned of charge fees",
    "4020": "earned of payout fees",
    "4030": "earned of margins",
    "4040": "what funds yielded",
    "4050": "kept of unused items and earned of passes",
    "4060": "kept of unused items and earned of passes",
    "5010": "what providers took",
    "5020": "what honoured entries cost",
    "5030": "what funds yielded",
    "5040": "what visits with passes cost",
    "5090": "what was lost",
}
"""Of each account, the rule that says what it holds; of the others settlement.checks and recon_checks do."""

FROZEN = "frozen when its item was sold"


@contextmanager
def planted(connection: sa.Connection, *statements: sa.sql.dml.UpdateBase) -> Iterator[list[str]]:
    """The flaws of a centre in which these were done, which are undone again."""
    with connection.begin_nested() as planting:
        for statement in statements:
            connection.execute(statement)
        yield flaws_of(connection)
        planting.rollback()


def named(flaws: list[str], rule: str) -> bool:
    """Whether a rule found something, and says what."""
    found = [flaw for flaw in flaws if rule in flaw.split("):")[0]]
    return bool(found) and bool(found[0].split("): ")[1])


def credited(code: str, fen: int) -> sa.sql.dml.UpdateBase:
    """So much more on one account of this code, as a wrong transaction leaves it."""
    one = sa.select(sa.func.min(ledger_account.c.name)).where(ledger_account.c.code == code).scalar_subquery()
    more = {"credits_posted_fen": ledger_account.c.credits_posted_fen + fen}
    return ledger_account.update().where(ledger_account.c.name == one).values(more)


def test_what_stands_on_an_account_and_no_row_put_there_is_named(world: World, clock: Clock) -> None:
    everything(world, clock)
    with world.centre.write() as connection:
        assert money_flaws(connection) == []
        there = set(connection.scalars(sa.select(ledger_account.c.code)))
        for code in SEEN.keys() - there:
            owner = world.distributor if code == "2010" else None
            name = code if owner is None else f"{code}:{owner.hex}"
            row = {"id": world.centre.new_id(), "name": name, "code": code, "owner_id": owner}
            connection.execute(ledger_account.insert().values(row))
        for code, rule in SEEN.items():
            with planted(connection, credited(code, 100)) as flaws:
                assert named(flaws, rule), (code, flaws)


@pytest.mark.parametrize(
    ("statements", "rules"),
    [
        ((credited("2210", 30), credited("4020", -30)), ("what a venue was credited", "earned of payout fees")),
        (
            (payout_line.update().values(fee_fen=0, net_fen=payout_line.c.gross_fen),),
            ("frozen when its item was sold",),
        ),
        ((payout_line.update().values(gross_fen=6000, fee_fen=1030),), ("frozen when its item was sold",)),
        ((order_item.update().values(payout_fee_fen=1),), ("frozen when its item was sold",)),
        ((credited("4010", -31), credited("4050", 31)), ("earned of charge fees", "kept of unused items")),
    ],
    ids=["no fee booked", "no fee kept", "another price", "another fee", "the charge fee elsewhere"],
)
def test_what_the_programs_could_get_wrong_is_named(
    world: World, clock: Clock, statements: tuple[sa.sql.dml.UpdateBase, ...], rules: tuple[str, ...]
) -> None:
    order_id = world.buy()
    world.turn()
    world.enter(world.items(order_id)[0])
    world.turn()
    with world.centre.write() as connection:
        account = {"id": world.centre.new_id(), "name": "4050", "code": "4050"}
        connection.execute(ledger_account.insert().values(account))
        assert money_flaws(connection) == []
        with planted(connection, *statements) as flaws:
            assert [rule for rule in rules if not named(flaws, rule)] == [], flaws


@pytest.mark.parametrize(
    ("code", "instead", "key"),
    [("4010", "4020", "charge"), ("4020", "4030", "redeem"), ("4030", "4010", "margin")],
)
def test_the_transaction_of_many_that_is_wrong_is_named(
    world: World, clock: Clock, code: str, instead: str, key: str
) -> None:
    """It stands on an account of another kind that there are millions of."""
    order_id = world.buy()
    world.buy()
    world.turn()
    world.enter(world.items(order_id)[0])
    world.turn()
    accounts = sa.select(ledger_account.c.id).order_by(ledger_account.c.name).limit(1)
    with world.centre.write() as connection:
        without_triggers(connection, posting)
        at, to = (connection.scalars(accounts.where(ledger_account.c.code == one)).one() for one in (code, instead))
        moved = sa.select(posting.c.txn_id, posting.c.leg, posting.c.amount_fen).where(posting.c.account_id == at)
        txn_id, leg, fen = connection.execute(
            moved.where(posting.c.amount_fen < 0, posting.c.layer == "posted").limit(1)
        ).one()
        mine = posting.update().where(posting.c.txn_id == txn_id, posting.c.leg == leg)
        name = connection.scalar(sa.select(ledger_txn.c.txn_key).where(ledger_txn.c.id == txn_id))
        assert name is not None and name.startswith(f"{key}:")
        with planted(connection, mine.values(account_id=to), credited(code, fen), credited(instead, -fen)) as flaws:
            assert [flaw for flaw in flaws if f"): ledger_txn {name} " in flaw], flaws


def test_an_item_that_another_venue_is_paid_for_is_named(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    world.enter(world.items(order_id)[0])
    world.turn()
    with world.centre.write() as connection:
        another = add_party(connection, NewParty("VENUE", "2002", "古城", "Old town", "venue-2"), "Asia/Shanghai", 0)
        with planted(connection, order_item.update().values(venue_id=another)) as flaws:
            assert named(flaws, FROZEN), flaws


def test_a_late_entry_that_says_it_was_charged_was(world: World, clock: Clock) -> None:
    everything(world, clock)
    line = sa.select(payout_line.c.redemption_id).where(payout_line.c.kind == "REDEEM").limit(1).scalar_subquery()
    borne = {"distributor_id": world.distributor, "amount_fen": 5000, "honoured_at_ms": 0, "charged_at_ms": 1}
    claimed = charge_back.insert().values(redemption_id=line, **borne)
    with world.centre.write() as connection, planted(connection, claimed) as flaws:
        assert named(flaws, "what a distributor bears is charged exactly")
