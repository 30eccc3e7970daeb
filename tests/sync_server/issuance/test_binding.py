"""A ticket that asks for its holder, sold without one: no gate admits it 待激活 until somebody is named 待游玩."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec

from sync_server.audit.tables import event_log
from sync_server.catalog.products import NewProduct, add_product
from sync_server.catalog.stock import add_stock
from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.checks import flaws_of
from sync_server.create_app import app_of
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.feed.publishing import publish_feeds
from sync_server.issuance.binding import bind
from sync_server.issuance.credentials import bind_id_numbers
from sync_server.issuance.holder_keys import register
from sync_server.issuance.passes import change_status, token_of
from sync_server.issuance.reissuing import reissue_revoked
from sync_server.issuance.tables import credential, issued_pass
from sync_server.keys import key_set
from sync_server.orders import placing
from sync_server.orders.holders import Holder
from sync_server.orders.refusals import Unfit
from sync_server.orders.tables import ticket
from sync_server.settlement.item_status import statuses_of
from sync_server.settlement.refunding import ask
from tests.sync_server.command_line import command
from tests.sync_server.device_api.handheld import Handheld
from tests.sync_server.feed.fetching import fetch
from tests.sync_server.town import HOLDER, START_MS, Sold, Town, build_town
from wire import holder_proof
from wire.entitlement import PassStatus
from wire.reasons import Reason
from wire.token import unverified_claims

HOUR_MS = 3_600_000
OTHER = Holder("王小明")


def with_named_tickets(centre: Centre) -> Town:
    """The town, and a single ticket "named" that asks for its holder."""
    town = build_town(centre)
    with centre.write() as connection:
        new = NewProduct("SINGLE", "实名票", "Named", 5_200, {town.venues["bridge"]: 5_000}, 7, total=1)
        product_id = add_product(connection, replace(new, holder_required=True), START_MS)
        add_stock(connection, product_id, 5_200, 100, START_MS)
        named = connection.scalars(sa.select(product.c.number).where(product.c.id == product_id)).one()
    town.products["named"] = named
    return town


@pytest.fixture
def town(centre: Centre) -> Town:
    return with_named_tickets(centre)


def number_of(town: Town, sold: Sold) -> str:
    with town.centre.read() as connection:
        return str(connection.scalars(sa.select(ticket.c.number).where(ticket.c.id == sold.ticket_id)).one())


def name(town: Town, sold: Sold, who: Holder = HOLDER) -> bool:
    with town.centre.write() as connection:
        return bind(connection, town.centre.secrets, number_of(town, sold), who, town.clock.now_ms, "test")


def state(town: Town, sold: Sold) -> tuple[str, str]:
    """Of the pass, and of its item."""
    with town.centre.read() as connection:
        order_id = connection.scalars(sa.select(ticket.c.order_id).where(ticket.c.id == sold.ticket_id)).one()
        status = connection.scalars(sa.select(issued_pass.c.status).where(issued_pass.c.id == sold.pass_id)).one()
        items = [item.state for item in statuses_of(connection, order_id) if item.ticket_id == sold.ticket_id]
        assert flaws_of(connection) == []
    return status, *items


def test_it_is_refused_until_its_holder_is_named(any_centre: Centre) -> None:
    town = with_named_tickets(any_centre)
    device = Handheld(app_of(any_centre).test_client(), town, town.gate())
    sold, other = town.sell("named", 2)
    publish_feeds(any_centre)
    before = fetch(town)
    assert before.passes[sold.pass_id].status is PassStatus.NOT_BOUND
    assert device.show(sold.token).reason is Reason.NOT_BOUND
    assert state(town, sold) == ("NOT_BOUND", "INACTIVE HELD")

    assert name(town, sold) is True
    assert name(town, sold) is False, "the same again"
    assert state(town, sold) == ("ACTIVE", "READY HELD")
    publish_feeds(any_centre)
    after = fetch(town, after=before)
    assert (after.passes[sold.pass_id].status, after.names[sold.pass_id].masked_name) == (PassStatus.ACTIVE, "李*花")
    assert after.passes[other.pass_id].status is PassStatus.NOT_BOUND
    assert bind_id_numbers(any_centre) == 1
    assert device.show(sold.token).reason is None
    assert device.show(other.token).reason is Reason.NOT_BOUND
    assert state(town, sold) == ("ACTIVE", "USED DUE")
    with any_centre.read() as connection:
        assert connection.scalars(sa.select(credential.c.pass_id)).all() == [sold.pass_id]
        said = connection.execute(sa.select(event_log).where(event_log.c.action == "ticket.bind")).all()
    assert [row.actor for row in said] == ["test"]
    assert "李" not in said[0].detail


def test_its_code_is_worth_nothing_where_no_list_names_it(town: Town) -> None:
    """A gate believes a code that it does not find in its list only if the code is newer than the list."""
    [waiting] = town.sell("named")
    [named] = town.sell("named", holders=[HOLDER])
    assert unverified_claims(waiting.token).issued_version == 0 < unverified_claims(named.token).issued_version
    phone = holder_proof.public_key_of(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(NotAllowedError, match="name one first"), town.centre.write() as connection:
        register(connection, waiting.number, phone, START_MS, "test")
    publish_feeds(town.centre)
    key_set.revoke_key(town.centre, 1, "leaked", "test")
    assert reissue_revoked(town.centre) == 2
    with town.centre.read() as connection:
        again = [unverified_claims(token_of(connection, one.pass_id)) for one in (waiting, named)]
    assert [one.issue for one in again] == [2, 2]
    assert again[0].issued_version == 0 < again[1].issued_version


def suspend(town: Town, sold: Sold) -> None:
    with town.centre.write() as connection:
        change_status(connection, sold.number, "suspend", "lost", START_MS, "test")


def revoke(town: Town, sold: Sold) -> None:
    with town.centre.write() as connection:
        change_status(connection, sold.number, "revoke", "lost", START_MS, "test")


def ask_back(town: Town, sold: Sold) -> None:
    with town.centre.write() as connection:
        ask(connection, number_of(town, sold), "test", START_MS, "test")


def use(town: Town, sold: Sold) -> None:
    gate = town.gate()
    gate.admit(sold, START_MS + HOUR_MS)
    town.clock.pass_ms(2 * HOUR_MS)
    town.upload(gate)


def end(town: Town, _sold: Sold) -> None:
    town.clock.pass_ms(8 * 24 * HOUR_MS)


def name_other(town: Town, sold: Sold) -> None:
    name(town, sold, OTHER)


REFUSED: list[tuple[str, Callable[[Town, Sold], None], Holder, str]] = [
    ("named", name_other, HOLDER, r"has a holder already: 王\*明"),
    ("named", revoke, HOLDER, "is REVOKED"),
    ("single", suspend, HOLDER, "is SUSPENDED"),
    ("named", ask_back, HOLDER, "asked back"),
    ("single", use, HOLDER, "was used"),
    ("named", end, HOLDER, "has ended"),
    ("named", lambda *_: None, Holder("李小花", "110105194912310021"), "check digit"),
]


@pytest.mark.parametrize(("sells", "before", "who", "said"), REFUSED, ids=[said for *_, said in REFUSED])
def test_nobody_is_named_where_it_would_change_nothing(
    town: Town, sells: str, before: Callable[[Town, Sold], None], who: Holder, said: str
) -> None:
    [sold] = town.sell(sells)
    before(town, sold)
    was = state(town, sold)
    with pytest.raises(NotAllowedError, match=said):
        name(town, sold, who)
    assert state(town, sold) == was


def test_a_ticket_that_asks_for_nobody_may_be_given_a_holder(town: Town) -> None:
    [sold] = town.sell("single")
    assert state(town, sold) == ("ACTIVE", "INACTIVE HELD")
    assert name(town, sold, OTHER) is True
    assert state(town, sold) == ("ACTIVE", "READY HELD")


def test_a_visitor_names_the_holders_at_once(town: Town) -> None:
    with town.centre.write() as connection:
        placed = placing.place(town.centre, connection, placing.NewOrder(town.products["named"], 1, "其他"), "test")
    assert placed == Unfit("this product needs its holders' names")


def test_the_command(town: Town) -> None:
    [sold] = town.sell("named")
    number = number_of(town, sold)

    def run(*arguments: str) -> object:
        done = CliRunner().invoke(command("ticket"), ("bind", *arguments), obj=lambda: town.centre)
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout)

    assert run(number, "--holder", "李小花,110101199003078515") == {"ticket": number, "bound": True, "new": True}
    assert run(number, "--holder", "李小花, 110101199003078515") == {"ticket": number, "bound": True, "new": False}
    assert state(town, sold) == ("ACTIVE", "READY HELD")
    with pytest.raises(NotFoundError, match="no issued ticket"), town.centre.write() as connection:
        bind(connection, town.centre.secrets, "1", OTHER, START_MS, "test")


@pytest.mark.parametrize(("sells", "status"), [("named", "ACTIVE"), ("single", "NOT_BOUND")])
def test_a_planted_flaw_is_named(town: Town, sells: str, status: str) -> None:
    town.sell(sells)
    with town.centre.write() as connection:
        connection.execute(issued_pass.update().values(status=status))
        assert [flaw for flaw in flaws_of(connection) if "waits for its holder" in flaw]
