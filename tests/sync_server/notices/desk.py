"""A centre with people to tell, and a gateway that does as it is told and remembers every call."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.jobs import messages
from sync_server.notices.acts import change_setting
from sync_server.notices.promising import Promise, promise
from sync_server.notices.sender import NOT_KNOWN, Answer, Sender, Sms, accepted
from sync_server.notices.tables import message, notice
from sync_server.parties.contacts import set_contact
from sync_server.parties.parties import NewParty, add_party
from sync_server.people.operators import add_operator
from sync_server.people.reaching import set_phone
from tests.sync_server.conftest import Clock

PASSWORD = "seven green herons"
ADMIN, FINANCE, VENUE_CONTACT = "13900000001", "13900000002", "13900000003"


class Gateway:
    """Takes every message at once, unless `said` has other answers; what it took it knows by id."""

    name = "gateway"
    tells_delivery = True

    def __init__(self) -> None:
        self.calls: list[tuple[str, Sms]] = []
        self.said: deque[Answer] = deque()
        self.took: set[UUID] = set()

    def send(self, sms: Sms) -> Answer:
        self.calls.append(("send", sms))
        answer = self.said.popleft() if self.said else accepted(f"biz-{sms.id.hex[:8]}")
        if answer.event in ("accepted", "unclear"):
            self.took.add(sms.id)
        return answer

    def ask(self, sms: Sms) -> Answer:
        self.calls.append(("ask", sms))
        if self.said:
            return self.said.popleft()
        return accepted() if sms.id in self.took else NOT_KNOWN

    def close(self) -> None:
        """Nothing to let go of."""


class Desk:
    """The centre's messages as a test turns them."""

    def __init__(self, centre: Centre, clock: Clock, sender: Sender | None = None) -> None:
        self.centre, self.clock, self.gateway = centre, clock, Gateway()
        self.sender = sender or self.gateway
        with centre.write() as connection:
            self.platform = add_party(connection, _party("PLATFORM", "P001"), "Asia/Shanghai", clock.now_ms)
            self.venue = add_party(connection, _party("VENUE", "V001"), "Asia/Shanghai", clock.now_ms)

    def reach(self, party_id: UUID, phone: str) -> None:
        with self.centre.write() as connection:
            secrets, now_ms = self.centre.secrets, self.clock.now_ms
            set_contact(connection, secrets, party_id, "王芳", phone, "test", "test", now_ms)

    def template(self, kind: str, code: str) -> None:
        with self.centre.write() as connection:
            change_setting(connection, kind, "test", self.clock.now_ms, template_code=code)

    def operator(self, account: str, role: str, phone: str) -> UUID:
        operator_id = add_operator(self.centre, "P001", account, account, role, PASSWORD, "test")
        with self.centre.write() as connection:
            set_phone(connection, self.centre.secrets, operator_id, phone, "test", self.clock.now_ms)
        return operator_id

    def promise(self, *promises: Promise) -> int:
        with self.centre.write() as connection:
            return promise(connection, self.clock.now_ms, *promises)

    def turn(self) -> None:
        """As the worker does, until nothing is left to do now."""
        steps = (messages.address_notices, messages.summarise, self.send)
        while sum(step(self.centre) for step in steps):
            pass

    def send(self, centre: Centre) -> int:
        return messages.send_messages(centre, self.sender)

    def sent(self, kind: str) -> list[Mapping[str, str]]:
        """The variables of what was sent of a kind."""
        return [sms.variables for call, sms in self.gateway.calls if (call, sms.kind) == ("send", kind)]

    def rows(self) -> list[sa.Row[Any]]:
        with self.centre.read() as connection:
            return list(connection.execute(sa.select(message).order_by(message.c.written_at_ms, message.c.id)))

    def states(self) -> list[str]:
        return [row.state for row in self.rows()]

    def unheard(self) -> list[str]:
        with self.centre.read() as connection:
            return list(connection.scalars(sa.select(notice.c.key).where(notice.c.recipients == 0)))


def low_stock(n: int, cause: str | None = None) -> Promise:
    return Promise("low_stock", f"stock:{n}", {"product": "龙亭公园", "left": n}, cause=cause)


def _party(kind: str, number: str) -> NewParty:
    return NewParty(kind, number, "开封", "Kaifeng", f"account-{number}")
