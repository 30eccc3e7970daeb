"""Money moves once: one open attempt, the same number again, whoever dies in between and whatever the provider says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server import outbox
from sync_server.audit.tables import event_log
from sync_server.errors import NotAllowedError
from sync_server.parties.tables import party
from sync_server.payments import transfers
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import (
    Answer,
    Instruction,
    Insufficient,
    NotKnown,
    Refused,
    Succeeded,
    Unclear,
)
from sync_server.payments.tables import external_transfer, transfer_attempt
from tests.sync_server.conftest import Clock
from tests.sync_server.notices.test_events import told
from tests.sync_server.operators import employ, two_of_finance
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.silent_provider import SilentProvider

HOUR_MS = 3_600_000


class Killed(BaseException):
    """The process ends here: nothing after it runs, nothing catches it."""


@dataclass
class ScriptedProvider(SilentProvider):
    """Answers as told, and keeps every call."""

    answers: list[Answer | type[Killed]]
    calls: list[tuple[str, str]] = field(default_factory=list)

    def send(self, instruction: Instruction) -> Answer:
        return self._next("send", instruction.out_no)

    def query(self, instruction: Instruction) -> Answer:
        return self._next("query", instruction.out_no)

    def cancel(self, instruction: Instruction) -> Answer:
        return self._next("cancel", instruction.out_no)

    def _next(self, what: str, out_no: str) -> Answer:
        self.calls.append((what, out_no))
        answer = self.answers.pop(0)
        if isinstance(answer, type):
            raise answer
        return answer


def transfer_row(world: World) -> sa.Row[tuple[object, ...]]:
    with world.centre.read() as connection:
        return connection.execute(sa.select(external_transfer)).one()


def drive(world: World, clock: Clock, *answers: Answer | type[Killed]) -> ScriptedProvider:
    """Turn once an hour until the script is used up."""
    provider = ScriptedProvider(list(answers))
    while provider.answers:
        with suppress(Killed):
            transfers.move_due(world.centre, {"ALIPAY": provider})
        clock.pass_ms(HOUR_MS)
    return provider


def test_a_lost_process_is_asked_for_and_sent_again_under_the_same_number(world: World, clock: Clock) -> None:
    world.buy()
    provider = drive(world, clock, Killed, NotKnown(), Succeeded("P1", 5231))
    (what, out_no), *rest = provider.calls
    assert what == "send"
    assert rest == [("query", out_no), ("send", out_no)]
    assert transfer_row(world).state == "SUCCEEDED"


def test_a_provider_that_lets_us_wait_does_not_hold_up_the_other_steps(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.buy()
    world.buy()
    provider = ScriptedProvider([Unclear("no answer"), Succeeded("P1", 5231)])
    answer_at_once = provider.send

    def answer_late(instruction: Instruction) -> Answer:
        clock.pass_ms(transfers.MAX_STEP_MS)
        return answer_at_once(instruction)

    monkeypatch.setattr(provider, "send", answer_late)
    assert transfers.move_due(world.centre, {"ALIPAY": provider}) == 1
    assert transfers.move_due(world.centre, {"ALIPAY": provider}) == 1


def test_unknown_is_never_given_up_and_never_gets_a_new_number(world: World, clock: Clock) -> None:
    world.buy()
    provider = drive(world, clock, *[Unclear("time-out")] * 60)
    assert [what for what, _ in provider.calls] == ["send"] + ["query"] * 59
    assert len({out_no for _, out_no in provider.calls}) == 1
    assert transfer_row(world).state == "UNKNOWN"


def test_a_definite_failure_gets_a_new_number(world: World, clock: Clock) -> None:
    world.buy()
    provider = drive(world, clock, Refused("closed"), Unclear("?"), Refused("closed"), Succeeded("P1", 5231))
    numbers = [out_no.rsplit("-", 1)[1] for _, out_no in provider.calls]
    assert numbers == ["1", "2", "2", "3"]


def test_a_number_sent_again_and_turned_away_may_be_under_way_still(world: World, clock: Clock) -> None:
    world.buy()
    turned_away = Refused("40002: the request was at fault", of_request=True)
    provider = drive(world, clock, Unclear("time-out"), NotKnown(), turned_away, Succeeded("P1", 5231))
    assert [what for what, _ in provider.calls] == ["send", "query", "send", "query"]
    assert len({out_no for _, out_no in provider.calls}) == 1
    assert transfer_row(world).state == "SUCCEEDED"


def test_another_amount_is_not_believed_and_is_an_alarm(world: World, clock: Clock) -> None:
    world.buy()
    drive(world, clock, Succeeded("P1", 5230))
    row = transfer_row(world)
    assert (row.state, row.reason) == ("UNKNOWN", "the provider names 5230 fen instead of 5231")
    assert alarms(world) == 1
    drive(world, clock, Succeeded("P1", 5230))
    assert told(world.centre, "transfer_odd") == [
        {"kind": "transfer_odd", "about": None, "purpose": "扣款", "amount": "52.31", "said": "通道称实际金额52.30元"}
    ]
    drive(world, clock, Succeeded("P1", 5231))
    assert transfer_row(world).state == "SUCCEEDED"


def test_a_success_after_a_definite_failure_ends_the_transfer_and_is_an_alarm(world: World, clock: Clock) -> None:
    """Another attempt would move the money twice."""
    world.buy()
    provider = drive(world, clock, Refused("closed"))
    with world.centre.write() as connection:
        assert apply_notice(connection, "ALIPAY", provider.calls[0][1], Succeeded("P1", 5231), clock.now_ms)
    assert transfer_row(world).state == "SUCCEEDED"
    assert alarms(world) == 1
    assert [odd["said"] for odd in told(world.centre, "transfer_odd")] == ["通道先称失败，后称成功，已入账"]
    clock.pass_ms(HOUR_MS)
    assert transfers.move_due(world.centre, {"ALIPAY": ScriptedProvider([])}) == 1  # looked at, nothing to be done
    with world.centre.read() as connection:
        assert money_flaws(connection) == []


def test_only_a_transfer_that_lacked_money_can_be_resumed_by_who_may(world: World, clock: Clock) -> None:
    world.buy()
    cashier, _ = two_of_finance(world.centre)
    guide = employ(world.centre, "wu", "operations")
    drive(world, clock, Unclear("?"))
    with pytest.raises(NotAllowedError, match="UNKNOWN"), world.centre.write() as connection:
        transfers.resume(connection, cashier, transfer_row(world).id, "please", clock.now_ms)
    drive(world, clock, Insufficient("empty"))
    for hours in range(30):
        clock.pass_ms(hours * HOUR_MS)
        assert transfers.move_due(world.centre, {"ALIPAY": ScriptedProvider([])}) == 0
    with pytest.raises(NotAllowedError, match=r"money\.resume"), world.centre.write() as connection:
        transfers.resume(connection, guide, transfer_row(world).id, "please", clock.now_ms)
    with world.centre.write() as connection:
        transfers.resume(connection, cashier, transfer_row(world).id, "topped up", clock.now_ms)
    provider = drive(world, clock, Succeeded("P1", 5231))
    assert provider.calls[0][1].endswith("-2")


def test_more_words_than_the_tables_keep_do_not_hold_up_what_moved(world: World, clock: Clock) -> None:
    order_id = world.buy()
    drive(world, clock, Unclear("w\0hy" * 100), Succeeded("P\0" + "1" * 64, 5231))
    world.turn()
    assert transfer_row(world).provider_ref == "P" + "1" * 63
    assert world.state(order_id) == "ISSUED"
    with world.centre.read() as connection:
        assert money_flaws(connection) == []


def test_the_database_allows_one_open_attempt_and_one_success(world: World, clock: Clock) -> None:
    world.buy()
    drive(world, clock, Unclear("?"))
    transfer_id = transfer_row(world).id
    with pytest.raises(sa.exc.IntegrityError), world.centre.write() as connection:
        connection.execute(attempt_row(transfer_id, "SENT", clock))
    drive(world, clock, Succeeded("P1", 5231))
    with pytest.raises(sa.exc.IntegrityError), world.centre.write() as connection:
        connection.execute(attempt_row(transfer_id, "SUCCEEDED", clock))


def attempt_row(transfer_id: UUID, state: str, clock: Clock) -> sa.Insert:
    times = {"sent_at_ms": clock.now_ms, "changed_at_ms": clock.now_ms}
    return transfer_attempt.insert().values(transfer_id=transfer_id, n=9, out_no="other", state=state, **times)


def test_workers_side_by_side_send_each_transfer_once(world: World, clock: Clock) -> None:
    for _ in range(12):
        world.buy()
    providers = [ScriptedProvider([Succeeded(f"P{i}-{n}", 5231) for n in range(20)]) for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda provider: transfers.move_due(world.centre, {"ALIPAY": provider}), providers))
    assert sum(done) == 12
    calls = [call for provider in providers for call in provider.calls]
    assert len(calls) == len(set(calls)) == 12


def test_a_worker_whose_lease_ran_out_does_not_undo_its_successor(world: World, clock: Clock) -> None:
    world.buy()
    with world.centre.write() as connection:
        (late,) = outbox.claim(connection, transfers.JOB, clock.now_ms)
    with world.centre.write() as connection:
        assert outbox.claim(connection, transfers.JOB, clock.now_ms) == []
    clock.pass_ms(outbox.LEASE_MS)
    with world.centre.write() as connection:
        (successor,) = outbox.claim(connection, transfers.JOB, clock.now_ms)
        assert not outbox.finish(connection, late, None)
        assert outbox.finish(connection, successor, clock.now_ms)


@pytest.mark.parametrize("attempts", [1, 2, 10, 11, 12, 1000])
def test_the_pause_doubles_up_to_an_hour(attempts: int) -> None:
    assert transfers.retry_after_ms(attempts) == min(5_000 * 2 ** (attempts - 1), HOUR_MS)


def alarms(world: World) -> int:
    with world.centre.read() as connection:
        count = sa.select(sa.func.count()).select_from(event_log)
        return connection.scalar(count.where(event_log.c.action == "transfer.contradiction")) or 0


def test_a_provider_that_we_have_no_client_of_waits_and_holds_up_nobody(world: World, clock: Clock) -> None:
    with world.centre.write() as connection:
        connection.execute(party.update().where(party.c.id == world.distributor).values(provider="HUIJINBAO"))
    world.buy()
    with world.centre.write() as connection:
        connection.execute(party.update().where(party.c.id == world.distributor).values(provider="ALIPAY"))
    world.buy()
    alipay, huijinbao = ScriptedProvider([Succeeded("P1", 5231)]), ScriptedProvider([Succeeded("P2", 5231)])
    assert transfers.move_due(world.centre, {"ALIPAY": alipay}) == 1
    assert transfers.move_due(world.centre, {"ALIPAY": alipay}) == 0
    with world.centre.read() as connection:
        waiting = connection.scalars(
            sa.select(external_transfer.c.id).where(external_transfer.c.state == "CREATED")
        ).one()
    transfers.move_now(world.centre, {"ALIPAY": alipay}, waiting)
    assert transfers.move_due(world.centre, {"ALIPAY": alipay, "HUIJINBAO": huijinbao}) == 1
    assert (len(alipay.calls), len(huijinbao.calls)) == (1, 1)


def test_a_provider_that_lets_us_wait_takes_nothing_of_the_others_turn(world: World, clock: Clock) -> None:
    with world.centre.write() as connection:
        connection.execute(party.update().where(party.c.id == world.distributor).values(provider="HUIJINBAO"))
    world.buy()
    with world.centre.write() as connection:
        connection.execute(party.update().where(party.c.id == world.distributor).values(provider="ALIPAY"))
    world.buy()

    class Slow(ScriptedProvider):
        def send(self, instruction: Instruction) -> Answer:
            clock.pass_ms(transfers.MAX_STEP_MS)
            return super().send(instruction)

    clients = {"ALIPAY": Slow([Unclear("no answer")]), "HUIJINBAO": ScriptedProvider([Succeeded("P2", 5231)])}
    assert transfers.move_due(world.centre, clients) == 2
