"""Two persons for one act: who may ask, who may confirm, and that one person never does both."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from sync_server.approvals import approvals
from sync_server.approvals.approvals import LIFE_MS, MOVES, Act
from sync_server.approvals.tables import APPROVAL_STATES, approval
from sync_server.audit.tables import event_log
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.people.identifying import Person, identify
from sync_server.people.permissions import Permission
from sync_server.people.tables import operator
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.operators import PASSWORD, employ
from tests.sync_server.town import build_town

ACT = Act("test.act", Permission.JOURNALS_RETIRE)


@dataclass
class Desk:
    """A centre with three people: two who may, one who may not."""

    centre: Centre
    clock: Clock
    li: Person
    wang: Person
    zhao: Person

    def ask(self, who: Person | None = None, subject: str = "a box") -> UUID:
        with self.centre.write() as connection:
            return approvals.request(connection, who or self.li, ACT, subject, "it burnt", self.clock.now_ms)

    def confirm(self, who: Person, approval_id: UUID, act: Act = ACT) -> approvals.Confirmed:
        with self.centre.write() as connection:
            return approvals.confirm(connection, who, act, approval_id, self.clock.now_ms)

    def withdraw(self, who: Person, approval_id: UUID) -> None:
        with self.centre.write() as connection:
            approvals.withdraw(connection, who, ACT, approval_id, self.clock.now_ms)

    def state(self, approval_id: UUID) -> str:
        with self.centre.read() as connection:
            return str(connection.scalar(sa.select(approval.c.state).where(approval.c.id == approval_id)))


@pytest.fixture
def desk(any_centre: Centre, clock: Clock) -> Desk:
    build_town(any_centre)
    roles = (("lihua", "operations"), ("wang", "finance"), ("zhao", "auditor"))
    return Desk(any_centre, clock, *(employ(any_centre, account, role) for account, role in roles))


def test_another_person_confirms(desk: Desk) -> None:
    asked = desk.ask()
    with desk.centre.read() as connection:
        (waiting,) = approvals.open_requests(connection, START_MS)
    assert (waiting.id, waiting.subject, waiting.reason, waiting.requested_by) == (asked, "a box", "it burnt", "Lihua")
    assert desk.confirm(desk.wang, asked) == ("test.act", "a box", "it burnt", desk.li.id)
    assert desk.state(asked) == "CONFIRMED"
    with desk.centre.read() as connection:
        assert approvals.open_requests(connection, START_MS) == []
        log = connection.execute(sa.select(event_log.c.actor, event_log.c.action).order_by(event_log.c.seq)).all()
    assert [tuple(row) for row in log][-2:] == [
        (desk.li.actor, "approval.request"),
        (desk.wang.actor, "approval.confirm"),
    ]


def test_nobody_confirms_what_they_asked_for(desk: Desk) -> None:
    asked = desk.ask()
    with pytest.raises(NotAllowedError, match="two persons"):
        desk.confirm(desk.li, asked)
    assert desk.state(asked) == "REQUESTED"
    with pytest.raises(sa.exc.IntegrityError), desk.centre.write() as connection:  # not even by a mistake of ours
        connection.execute(approval.update().values(state="CONFIRMED", decided_by=desk.li.id))
    with pytest.raises(sa.exc.IntegrityError), desk.centre.write() as connection:
        connection.execute(approval.update().values(state="CONFIRMED"))


def test_both_need_the_permission_and_a_reason(desk: Desk) -> None:
    with pytest.raises(NotAllowedError, match=r"journals\.retire"):
        desk.ask(desk.zhao)
    asked = desk.ask()
    with pytest.raises(NotAllowedError, match=r"journals\.retire"):
        desk.confirm(desk.zhao, asked)
    with pytest.raises(NotAllowedError, match=r"journals\.retire"):
        desk.withdraw(desk.zhao, asked)
    with desk.centre.write() as connection, pytest.raises(NotAllowedError, match="needs a reason"):
        approvals.request(connection, desk.li, ACT, "another", "  ", START_MS)


def test_who_asked_is_looked_at_again_when_another_confirms(desk: Desk) -> None:
    """Both persons stand behind the act at the moment it is done."""
    for change, back in (({"state": "DISABLED"}, {"state": "ACTIVE"}), ({"role_code": "auditor"}, None)):
        asked = desk.ask(subject=f"{change}")
        with desk.centre.write() as connection:
            connection.execute(operator.update().where(operator.c.id == desk.li.id).values(change))
        with pytest.raises(NotAllowedError, match="ask anew"):
            desk.confirm(desk.wang, asked)
        assert desk.state(asked) == "REQUESTED"
        if back is not None:
            with desk.centre.write() as connection:
                connection.execute(operator.update().where(operator.c.id == desk.li.id).values(back))
            desk.confirm(desk.wang, asked)
    desk.withdraw(desk.wang, asked)


def test_one_request_at_a_time_for_one_act_on_one_thing(desk: Desk) -> None:
    asked = desk.ask()
    with pytest.raises(NotAllowedError, match=str(asked)):
        desk.ask(desk.wang)
    assert desk.ask(subject="another box") != asked
    desk.withdraw(desk.li, asked)
    assert desk.state(asked) == "WITHDRAWN"
    assert desk.ask() != asked


def test_a_request_is_void_after_a_week(desk: Desk) -> None:
    asked = desk.ask()
    desk.clock.pass_ms(LIFE_MS)
    with pytest.raises(NotAllowedError, match="ask anew"):
        desk.confirm(desk.wang, asked)
    with desk.centre.read() as connection:
        assert approvals.open_requests(connection, desk.clock.now_ms) == []
    again = desk.ask()
    assert (desk.state(asked), desk.state(again)) == ("EXPIRED", "REQUESTED")


def test_states_move_only_as_the_table_says(desk: Desk) -> None:
    for state, event in product(APPROVAL_STATES, ("confirm", "withdraw")):
        asked = desk.ask(subject=f"{state} {event}")
        with desk.centre.write() as connection:
            values = {"state": state, "decided_by": desk.wang.id}
            connection.execute(approval.update().where(approval.c.id == asked).values(values))
        after = MOVES.get((state, event))
        do = desk.confirm if event == "confirm" else desk.withdraw
        if after is None:
            with pytest.raises(NotAllowedError, match=f"is {state}: you cannot {event} it"):
                do(desk.wang, asked)
        else:
            do(desk.wang, asked)
        assert desk.state(asked) == (after or state)


def test_a_request_is_for_one_act_and_has_to_exist(desk: Desk) -> None:
    asked = desk.ask()
    with pytest.raises(NotAllowedError, match="not for"):
        desk.confirm(desk.wang, asked, Act("test.other", Permission.JOURNALS_RETIRE))
    with pytest.raises(NotFoundError):
        desk.confirm(desk.wang, uuid4())


@pytest.mark.slow
def test_a_wrong_password_is_nobody_and_slows_down(desk: Desk) -> None:
    for account in ("lihua", "nobody"):
        for _ in range(5):
            with pytest.raises(NotAllowedError, match="do not fit"):
                identify(desk.centre, "1000", account, "something else")
        with pytest.raises(NotAllowedError, match="too many"):
            identify(desk.centre, "1000", account, PASSWORD)
    desk.clock.pass_ms(3_600_000)
    assert identify(desk.centre, "1000", "lihua", PASSWORD).id == desk.li.id
