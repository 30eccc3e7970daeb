"""Who stands at the command line: an operator proves it by the password, slowed down by the same locks as the page."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from sync_server.audit import log
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.parties.tables import party
from sync_server.people import guard
from sync_server.people.passwords import Checked, check_password
from sync_server.people.permissions import Permission
from sync_server.people.sessions import permissions_of
from sync_server.people.sign_in import tidy
from sync_server.people.tables import operator


@dataclass(frozen=True)
class Person:
    """An operator who has proved who they are."""

    id: UUID
    permissions: frozenset[Permission]

    @property
    def actor(self) -> str:
        """As the event log names them."""
        return f"operator:{self.id}"

    def may(self, permission: Permission) -> bool:
        """Whether they hold it."""
        return permission in self.permissions


def identify(centre: Centre, organisation: str, account: str, password: str) -> Person:
    """The operator with this password. NotAllowedError for a wrong one, an unknown account, or too many tries."""
    organisation, account = tidy(organisation).upper(), tidy(account).lower()
    subject, now_ms = guard.account_subject(organisation, account), centre.now_ms()
    with centre.write() as connection:
        if guard.locked_until(connection, subject, now_ms):
            raise NotAllowedError("too many wrong passwords for this account: wait, then try again")
        guard.count_try(connection, subject, guard.ACCOUNT_LIMIT, now_ms)
        found = connection.execute(
            sa.select(operator.c.id, operator.c.role_code, operator.c.password_hash)
            .select_from(operator.join(party))
            .where(party.c.org_number == organisation, operator.c.account == account, operator.c.state == "ACTIVE")
        ).one_or_none()
    checked = check_password(None if found is None else found.password_hash, password)
    with centre.write() as connection:
        if found is None or checked is not Checked.RIGHT:
            log.record(connection, now_ms, "anonymous", "sign_in.refused", subject, {"address": "command-line"})
        else:
            guard.forget(connection, subject)
            return Person(found.id, permissions_of(connection, found.role_code))
    raise NotAllowedError("organisation, account and password do not fit one another")
