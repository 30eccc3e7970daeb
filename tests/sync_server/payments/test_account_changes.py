"""Where a party's money goes: changed by two persons, used a day later, and never for what was requested before."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from sync_server.audit.tables import event_log
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.notices.tables import notice
from sync_server.parties.accounts import SettlementAccount, account_of, accounts_of, changes_of
from sync_server.parties.parties import NewParty, add_party
from sync_server.parties.tables import ACCOUNT_RESTS_MS, settlement_account
from sync_server.payments import account_changes
from sync_server.people.identifying import Person
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ
from tests.sync_server.sandbox import money_flaws

FIRST, SECOND = SettlementAccount("ALIPAY", "venue"), SettlementAccount("HUIJINBAO", "venue-new")


@pytest.fixture
def venue(any_centre: Centre, clock: Clock) -> UUID:
    with any_centre.write() as connection:
        add_party(connection, NewParty("PLATFORM", "1000", "平台", "Platform", "platform"), "Asia/Shanghai", clock())
        return add_party(connection, NewParty("VENUE", "2001", "汴河", "Bridge", "venue"), "Asia/Shanghai", clock())


@pytest.fixture
def two(any_centre: Centre, venue: UUID) -> tuple[Person, Person]:
    return employ(any_centre, "qian", "finance"), employ(any_centre, "sun", "finance")


def ask(centre: Centre, who: Person, party_id: UUID, account: SettlementAccount = SECOND) -> UUID:
    with centre.write() as connection:
        return account_changes.ask(connection, who, party_id, account, "letter of 2026-09-20", centre.now_ms())


def confirm(centre: Centre, who: Person, change_id: UUID) -> None:
    with centre.write() as connection:
        account_changes.confirm(connection, who, change_id, centre.now_ms())


def used(centre: Centre, party_id: UUID) -> SettlementAccount:
    with centre.read() as connection:
        return account_of(connection, party_id, centre.now_ms())


def test_a_new_account_is_used_a_day_after_a_second_person_confirmed_it(
    any_centre: Centre, clock: Clock, venue: UUID, two: tuple[Person, Person]
) -> None:
    change_id = ask(any_centre, two[0], venue)
    clock.pass_ms(2 * ACCOUNT_RESTS_MS)
    assert used(any_centre, venue) == FIRST  # asked for is not confirmed
    with pytest.raises(NotAllowedError, match="two persons"):
        confirm(any_centre, two[0], change_id)
    confirm(any_centre, two[1], change_id)
    clock.pass_ms(ACCOUNT_RESTS_MS - 1)
    assert used(any_centre, venue) == FIRST
    clock.pass_ms(1)
    assert used(any_centre, venue) == SECOND
    with any_centre.read() as connection:
        assert money_flaws(connection) == []
        said = connection.scalars(sa.select(event_log.c.detail).where(event_log.c.action == "party.account")).one()
        assert accounts_of(connection, [venue], clock() - 1) == {venue: FIRST}
    assert "venue-new" in str(said)


def test_who_may_not_or_names_nothing_new_is_refused(
    any_centre: Centre, venue: UUID, two: tuple[Person, Person]
) -> None:
    outsider = employ(any_centre, "zhao", "operations")
    for who, account, says in (
        (outsider, SECOND, "permission"),
        (two[0], FIRST, "in use"),
        (two[0], SettlementAccount("ALIPAY", ""), "1 to 64"),
        (two[0], SettlementAccount("ALIPAY", "a\nb"), "one line"),
    ):
        with pytest.raises(NotAllowedError, match=says):
            ask(any_centre, who, venue, account)
    ask(any_centre, two[0], venue)
    with pytest.raises(NotAllowedError, match="asked for already"):
        ask(any_centre, two[1], venue, SettlementAccount("ALIPAY", "another"))


def test_a_change_is_stopped_before_it_is_used_and_not_after(
    any_centre: Centre, clock: Clock, venue: UUID, two: tuple[Person, Person]
) -> None:
    first, second = ask(any_centre, two[0], venue), None
    confirm(any_centre, two[1], first)
    with any_centre.write() as connection:
        account_changes.stop(connection, two[0], first, "the venue knows nothing of it", clock())
    clock.pass_ms(2 * ACCOUNT_RESTS_MS)
    assert used(any_centre, venue) == FIRST
    second = ask(any_centre, two[0], venue)
    confirm(any_centre, two[1], second)
    clock.pass_ms(ACCOUNT_RESTS_MS)
    for change_id in (first, second):
        with pytest.raises(NotAllowedError, match="waits to be used"), any_centre.write() as connection:
            account_changes.stop(connection, two[0], change_id, "too late", clock())
    assert used(any_centre, venue) == SECOND
    with any_centre.read() as connection:
        assert [row.id for row in changes_of(connection, venue)] == [second, first]


def test_the_database_lets_no_account_be_used_within_the_day(any_centre: Centre, clock: Clock, venue: UUID) -> None:
    row = {"id": any_centre.new_id(), "party_id": venue, **SECOND._asdict(), "asked_at_ms": clock()}
    times = {"confirmed_at_ms": clock(), "used_from_ms": clock() + ACCOUNT_RESTS_MS - 1}
    with pytest.raises(sa.exc.IntegrityError), any_centre.write() as connection:
        connection.execute(settlement_account.insert().values(**row, **times))


def test_an_account_without_two_persons_is_a_flaw(any_centre: Centre, clock: Clock, venue: UUID) -> None:
    with any_centre.write() as connection:
        row = {"id": any_centre.new_id(), "party_id": venue, **SECOND._asdict(), "asked_at_ms": clock()}
        times = {"confirmed_at_ms": clock(), "used_from_ms": clock() + ACCOUNT_RESTS_MS}
        connection.execute(settlement_account.insert().values(**row, **times))
        assert [
            flaw
            for flaw in money_flaws(connection)
            if "word of two persons" in flaw and str(row["id"].hex)[:8] in flaw.replace("-", "")
        ]


def test_the_party_is_told_of_what_two_persons_confirmed(
    any_centre: Centre, venue: UUID, two: tuple[Person, Person]
) -> None:
    change_id = ask(any_centre, two[0], venue)
    with any_centre.read() as connection:
        assert connection.execute(sa.select(notice)).all() == []
    confirm(any_centre, two[1], change_id)
    with any_centre.read() as connection:
        (row,) = connection.execute(sa.select(notice)).all()
    assert (row.kind, row.about_id) == ("account_changed", venue)
    assert msgspec.json.decode(row.variables) == {"hours": "24", "account": f"尾号{SECOND.account_ref[-4:]}"}
