"""From a promise to a phone: who is told, what is held back and counted, and what becomes of each message."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server import outbox
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.jobs import messages
from sync_server.notices import acts, sending, writing
from sync_server.notices.kinds import KINDS, QUIET_MS, USELESS_AFTER_MS
from sync_server.notices.promising import Promise
from sync_server.notices.sender import DELIVERED, NOT_KNOWN, Answer, Outbox, Sms, later, refused, unclear, undelivered
from sync_server.notices.sending import ASK_AFTER_MS, DELIVERY_MS
from sync_server.notices.states import MESSAGE
from sync_server.notices.tables import message
from sync_server.people.operators import set_state
from tests.sync_server.conftest import Clock
from tests.sync_server.notices.desk import ADMIN, FINANCE, VENUE_CONTACT, Desk, Gateway, low_stock

MINUTE_MS = 60_000


@pytest.fixture
def desk(any_centre: Centre, clock: Clock) -> Desk:
    made = Desk(any_centre, clock)
    made.reach(made.platform, ADMIN)
    return made


# --- who is told ----------------------------------------------------------------------------------------------------


def test_a_promise_reaches_the_phone_in_the_words_of_its_template(desk: Desk) -> None:
    desk.promise(low_stock(3))
    desk.turn()
    (call, sms) = desk.gateway.calls[0]
    assert (call, sms.phone, sms.variables) == ("send", ADMIN, {"product": "龙亭公园", "left": "3"})
    (row,) = desk.rows()
    assert (row.state, row.phone_masked, row.sender, row.tries) == ("SENT", "139****0001", "gateway", 1)
    assert row.sender_ref == f"biz-{row.id.hex[:8]}"


def test_operators_of_the_role_are_told_and_the_contact_only_where_there_are_none(desk: Desk) -> None:
    desk.operator("lihua", "finance", FINANCE)
    desk.operator("zhang", "finance", FINANCE)
    desk.promise(
        Promise("payout_failed", "a", {"payee": "龙亭公园", "amount": "49.70", "reason": "账户已注销"}),
        Promise(
            "platform_balance", "b", {"purpose": "打款", "amount": "49.70", "provider": "支付宝", "advice": "充值"}
        ),
    )
    desk.turn()
    told = {(sms.kind, sms.phone) for _, sms in desk.gateway.calls}
    assert told == {("payout_failed", FINANCE), ("platform_balance", ADMIN)}
    assert len(desk.gateway.calls) == 2, "two operators with one phone are told once"


def test_a_disabled_operator_is_not_told(desk: Desk) -> None:
    operator_id = desk.operator("lihua", "operations", FINANCE)
    set_state(desk.centre, operator_id, "DISABLED", "test")
    desk.promise(low_stock(3))
    desk.turn()
    assert [sms.phone for _, sms in desk.gateway.calls] == [ADMIN]


def test_who_is_replaced_as_contact_is_told(desk: Desk) -> None:
    desk.reach(desk.venue, "13900000001")
    desk.reach(desk.venue, "+86 139 0000 0001")  # the same
    desk.turn()
    assert desk.rows() == []
    desk.reach(desk.venue, "13900000002")
    desk.turn()
    [(_, sms)] = desk.gateway.calls
    assert (sms.kind, sms.phone, sms.variables) == ("contact_changed", "13900000001", {"phone": "尾号0002"})


def test_a_party_is_told_by_its_contact_and_who_has_none_is_noted(desk: Desk) -> None:
    told = Promise("account_changed", "a", {"account": "尾号6222", "hours": 24}, about_id=desk.venue)
    desk.promise(told)
    desk.turn()
    assert desk.gateway.calls == [] and desk.unheard() == ["a"]
    desk.reach(desk.venue, "+86 139-0000-0003")
    desk.promise(told._replace(key="b"))
    desk.turn()
    assert [sms.phone for _, sms in desk.gateway.calls] == [VENUE_CONTACT]
    with desk.centre.read() as connection:
        assert acts.unheard(connection, 0) == {"account_changed": 1}


def test_other_roles_are_told_where_the_settings_say_so(desk: Desk) -> None:
    desk.operator("lihua", "finance", FINANCE)
    with desk.centre.write() as connection:
        acts.change_setting(connection, "low_stock", "test", desk.clock.now_ms, roles=("finance",))
    desk.promise(low_stock(3))
    desk.turn()
    assert [sms.phone for _, sms in desk.gateway.calls] == [FINANCE]


def test_nothing_is_readable_in_the_database_but_the_masked_number(desk: Desk) -> None:
    desk.promise(Promise("account_changed", "a", {"account": "1", "hours": "2"}, about_id=desk.platform))
    desk.turn()
    with desk.centre.read() as connection:
        for name in ("message", "party", "operator", "event_log", "outbox"):
            rows = connection.exec_driver_sql(f'SELECT * FROM "{name}"').all()
            assert ADMIN not in str(rows) and ADMIN.encode() not in b"".join(
                bytes(value) for row in rows for value in row if isinstance(value, bytes | memoryview)
            )
    assert ADMIN not in repr(desk.gateway.calls)


# --- the same again -------------------------------------------------------------------------------------------------


def test_the_same_cause_is_told_once_in_half_an_hour_and_then_counted(desk: Desk) -> None:
    for n in range(7):
        desk.promise(low_stock(n, "one"), low_stock(100 + n, "other"))
        desk.turn()
        desk.clock.pass_ms(MINUTE_MS)
    assert {each["left"] for each in desk.sent("low_stock")} == {"0", "100"}
    assert desk.states().count("SUPPRESSED") == 12
    desk.clock.pass_ms(QUIET_MS - 7 * MINUTE_MS - 1)
    desk.turn()
    assert desk.sent("summary") == []
    desk.clock.pass_ms(1)
    desk.turn()
    assert desk.sent("summary") == [{"about": "库存不足", "count": "6"}] * 2
    assert all(row.summary_id for row in desk.rows() if row.state == "SUPPRESSED")
    # the next half hour begins with the summary
    desk.promise(low_stock(50, "one"))
    desk.turn()
    assert len(desk.sent("low_stock")) == 2
    desk.clock.pass_ms(QUIET_MS)
    desk.turn()
    assert [each["count"] for each in desk.sent("summary")] == ["6", "6", "1"]
    desk.clock.pass_ms(QUIET_MS)
    desk.promise(low_stock(51, "one"))
    desk.turn()
    assert desk.sent("low_stock")[-1]["left"] == "51"


def test_what_is_not_the_same_is_not_held_back(desk: Desk) -> None:
    desk.reach(desk.venue, VENUE_CONTACT)
    changed = Promise("account_changed", "a", {"account": "1", "hours": "2"}, about_id=desk.venue, cause="x")
    desk.promise(low_stock(1), low_stock(2), changed, changed._replace(key="b"))
    desk.turn()
    assert len(desk.gateway.calls) == 4


# --- what becomes of one --------------------------------------------------------------------------------------------


def hours(count: float) -> int:
    return round(count * 3_600_000)


@pytest.mark.parametrize(
    ("said", "waits_ms", "states", "calls"),
    [
        ([], 0, ["SENT"], ["send"]),
        ([refused("isv.MOBILE_NUMBER_ILLEGAL")], hours(30), ["FAILED"], ["send"]),
        ([later("isv.BUSINESS_LIMIT_CONTROL")], 0, ["WAITING"], ["send"]),
        ([later("isp.SYSTEM_ERROR")], 10_000, ["SENT"], ["send", "send"]),
        ([unclear("ReadTimeout")], 0, ["SENDING"], ["send"]),
        ([unclear("ReadTimeout")], ASK_AFTER_MS - 1, ["SENDING"], ["send"]),
        ([unclear("ReadTimeout")], ASK_AFTER_MS, ["SENT"], ["send", "ask"]),
        ([unclear("ReadTimeout"), NOT_KNOWN], ASK_AFTER_MS, ["WAITING"], ["send", "ask"]),
    ],
)
def test_what_the_gateway_says(
    desk: Desk, said: list[Answer], waits_ms: int, states: list[str], calls: list[str]
) -> None:
    desk.gateway.said.extend(said)
    desk.promise(low_stock(1))
    desk.turn()
    desk.clock.pass_ms(waits_ms)
    desk.turn()
    assert (desk.states(), [call for call, _ in desk.gateway.calls]) == (states, calls)


def test_the_day_it_is_asked_for_is_the_one_it_was_sent_on(desk: Desk) -> None:
    desk.gateway.said.extend([later("busy")] * 12)
    desk.promise(low_stock(1))
    for _ in range(20):
        desk.turn()
        desk.clock.pass_ms(hours(1))
    sent_ms, asked_ms = (
        [sms.tried_at_ms for call, sms in desk.gateway.calls if call == kind] for kind in ("send", "ask")
    )
    assert len(set(sent_ms)) == 13 and set(asked_ms) == {sent_ms[-1]}


@pytest.mark.parametrize(("told", "state"), [(DELIVERED, "DELIVERED"), (undelivered("NOT_ON_SERVICE"), "FAILED")])
def test_its_delivery_is_asked_for(desk: Desk, told: Answer, state: str) -> None:
    desk.promise(low_stock(1))
    desk.turn()
    desk.clock.pass_ms(ASK_AFTER_MS)
    desk.turn()
    assert desk.states() == ["SENT"]
    desk.gateway.said.append(told)
    desk.clock.pass_ms(2 * ASK_AFTER_MS)
    desk.turn()
    assert desk.states() == [state] and desk.rows()[0].reason == told.reason
    desk.clock.pass_ms(DELIVERY_MS)
    desk.turn()
    assert [call for call, _ in desk.gateway.calls] == ["send", "ask", "ask"]


def test_a_network_that_never_reports_is_not_asked_for_ever(desk: Desk) -> None:
    desk.promise(low_stock(1))
    for _ in range(200):
        desk.turn()
        desk.clock.pass_ms(hours(1))
    assert desk.states() == ["SENT"]
    assert 72 <= len(desk.gateway.calls) <= 72 + 8


def test_what_is_too_old_is_not_sent(desk: Desk) -> None:
    desk.promise(low_stock(1))
    messages.address_notices(desk.centre)
    with desk.centre.write() as connection:
        values = {"code": "123456", "minutes": 5}
        writing.write(connection, desk.centre.secrets, "sign_in_code", ADMIN, values, desk.clock.now_ms, cause="x")
    desk.clock.pass_ms(5 * MINUTE_MS)
    desk.gateway.said.append(later("busy"))
    desk.turn()
    assert sorted(desk.states()) == ["FAILED", "WAITING"]
    desk.clock.pass_ms(USELESS_AFTER_MS)
    desk.turn()
    assert desk.states() == ["FAILED", "FAILED"]
    assert [sms.kind for _, sms in desk.gateway.calls] == ["low_stock"]


def test_a_process_that_died_while_it_sent_sends_nothing_twice(desk: Desk) -> None:
    """The gateway had it or had it not: it is asked first."""
    desk.promise(low_stock(1), low_stock(2))
    messages.address_notices(desk.centre)
    for has_it in (True, False):
        with desk.centre.write() as connection:
            (job,) = outbox.claim(connection, writing.JOB, desk.clock.now_ms, limit=1)
            call = sending.begin(connection, desk.centre.secrets, desk.gateway, job.subject_id, desk.clock.now_ms)
        assert call is not None
        if has_it:
            desk.gateway.send(call.sms)
    desk.turn()
    assert desk.states() == ["SENDING", "SENDING"]
    desk.clock.pass_ms(outbox.LEASE_MS)
    desk.turn()
    assert sorted(desk.states()) == ["SENT", "WAITING"]
    desk.clock.pass_ms(hours(1))
    desk.turn()
    sent = [sms.id for call, sms in desk.gateway.calls if call == "send"]
    assert len(sent) == 2 and set(sent) == desk.gateway.took


def test_a_late_worker_changes_nothing(desk: Desk) -> None:
    desk.promise(low_stock(1))
    messages.address_notices(desk.centre)

    class Slow(Gateway):
        def send(self, sms: Sms) -> Answer:
            desk.clock.pass_ms(outbox.LEASE_MS)
            desk.gateway.said.append(unclear("ReadTimeout"))
            desk.send(desk.centre)
            return refused("too late")

    assert messages.send_messages(desk.centre, Slow()) == 1
    assert desk.states() == ["SENDING"], "it is the other worker's, which will ask again"


def test_a_kind_that_is_switched_off_is_written_and_not_sent(desk: Desk) -> None:
    with desk.centre.write() as connection:
        acts.change_setting(connection, "low_stock", "test", desk.clock.now_ms, enabled=False)
    desk.promise(low_stock(1))
    desk.turn()
    (row,) = desk.rows()
    assert (row.state, row.reason) == ("SUPPRESSED", "messages of this kind are switched off")
    assert desk.gateway.calls == []


def test_a_damaged_row_holds_up_no_other(desk: Desk) -> None:
    desk.promise(low_stock(1), low_stock(2))
    messages.address_notices(desk.centre)
    broken = desk.rows()[0].id
    with desk.centre.write() as connection:
        connection.execute(message.update().where(message.c.id == broken).values(phone_sealed=b"\x01" + bytes(40)))
    desk.turn()
    assert desk.states() == ["FAILED", "SENT"]


def test_the_outbox_keeps_what_it_is_given_and_nothing_more_is_asked(desk: Desk) -> None:
    desk.promise(low_stock(1))
    messages.address_notices(desk.centre)
    assert messages.send_messages(desk.centre) == 1
    desk.clock.pass_ms(hours(2))
    assert messages.send_messages(desk.centre) == 0
    (row,) = desk.rows()
    assert (row.state, row.sender) == ("SENT", Outbox.name)


# --- what people do -------------------------------------------------------------------------------------------------


def resend(desk: Desk, message_id: UUID) -> UUID:
    with desk.centre.write() as connection:
        secrets, now_ms = desk.centre.secrets, desk.clock.now_ms
        return acts.resend(connection, secrets, message_id, "asked for it", "test", now_ms)


def test_a_person_sends_one_again_and_the_first_stays_as_it_was(desk: Desk) -> None:
    desk.gateway.said.append(refused("isv.AMOUNT_NOT_ENOUGH"))
    desk.promise(low_stock(1))
    desk.turn()
    (first,) = desk.rows()
    again_id = resend(desk, first.id)
    with pytest.raises(NotAllowedError, match="still being sent"):
        resend(desk, again_id)
    desk.turn()
    by_id = {row.id: row for row in desk.rows()}
    assert (by_id[first.id].state, by_id[again_id].state, by_id[again_id].again_id) == ("FAILED", "SENT", first.id)
    assert [sms.variables["left"] for _, sms in desk.gateway.calls] == ["1", "1"]


def test_nobody_sends_a_code_again(desk: Desk) -> None:
    with desk.centre.write() as connection:
        values = {"code": "123456", "minutes": 5}
        code = writing.write(
            connection, desk.centre.secrets, "sign_in_code", ADMIN, values, desk.clock.now_ms, cause="x"
        )
    desk.turn()
    with pytest.raises(NotAllowedError, match="asks for a new one"):
        resend(desk, code)


@pytest.mark.parametrize(
    "change", [{"template_code": "SMS 1"}, {"template_code": ""}, {"template_code": "短信"}, {"roles": ()}]
)
def test_settings_that_cannot_be_are_refused(desk: Desk, change: dict[str, object]) -> None:
    with pytest.raises(ValueError), desk.centre.write() as connection:
        acts.change_setting(connection, "low_stock", "test", 1, **change)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ValueError), desk.centre.write() as connection:
        acts.change_setting(connection, "issued", "test", 1, roles=("finance",))


def test_old_messages_are_forgotten_with_their_work(desk: Desk) -> None:
    desk.promise(low_stock(1), low_stock(2, "x"), low_stock(3, "x"))
    desk.turn()
    desk.clock.pass_ms(QUIET_MS)
    desk.turn()
    desk.clock.pass_ms(acts.KEPT_MS - QUIET_MS + 1)
    desk.promise(low_stock(4))
    messages.address_notices(desk.centre)
    while messages.forget_old_messages(desk.centre):
        pass
    assert [row.cause for row in desk.rows()] == ["low_stock x", "stock:4"], "the summary is not old enough"
    with desk.centre.read() as connection:
        left = connection.scalars(sa.select(outbox.outbox.c.subject_id).where(outbox.outbox.c.kind == writing.JOB))
        assert set(left) == {row.id for row in desk.rows()}


# --- the table of states --------------------------------------------------------------------------------------------

EXPECTED = {
    ("WAITING", "hold"): "SUPPRESSED",
    ("WAITING", "switched_off"): "SUPPRESSED",
    ("WAITING", "send"): "SENDING",
    ("WAITING", "too_old"): "FAILED",
    ("SENDING", "accepted"): "SENT",
    ("SENDING", "refused"): "FAILED",
    ("SENDING", "later"): "WAITING",
    ("SENDING", "unclear"): "SENDING",
    ("SENDING", "not_known"): "WAITING",
    ("SENDING", "given_up"): "FAILED",
    ("WAITING", "unreadable"): "FAILED",
    ("SENDING", "unreadable"): "FAILED",
    ("SENT", "unreadable"): "FAILED",
    ("SENDING", "delivered"): "DELIVERED",
    ("SENT", "delivered"): "DELIVERED",
    ("SENDING", "undelivered"): "FAILED",
    ("SENT", "undelivered"): "FAILED",
}


@pytest.mark.parametrize("state", MESSAGE.words)
@pytest.mark.parametrize("event", MESSAGE.events)
def test_the_cross_product(state: str, event: str) -> None:
    assert MESSAGE.next(state, event) == EXPECTED.get((state, event))


def test_every_kind_can_be_written(desk: Desk) -> None:
    with desk.centre.write() as connection:
        for name, kind in KINDS.items():
            values = dict.fromkeys(kind.variables, "某")
            writing.write(connection, desk.centre.secrets, name, ADMIN, values, desk.clock.now_ms, cause=name)
    desk.turn()
    assert set(desk.states()) == {"SENT"}
