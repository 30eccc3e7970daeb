"""Slowing guessing down: failures are counted per account name and per address, and lock for longer each time.

A try is counted before the password is looked at, so that many tries at once do not slip past the limit.
"""

from __future__ import annotations

import ipaddress
from hashlib import sha256
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import insert_missing
from sync_server.people.tables import sign_in_guard

FORGET_AFTER_MS = 24 * 3_600_000
MAX_LOCK_MS = 4 * 3_600_000


class Limit(NamedTuple):
    """After each `failures` in a row the subject is locked: first `lock_ms`, then twice as long, to MAX_LOCK_MS."""

    failures: int
    lock_ms: int


ACCOUNT_LIMIT = Limit(5, 15 * 60_000)
ADDRESS_LIMIT = Limit(30, 15 * 60_000)


class Counted(NamedTuple):
    """Where the subject stands after a try was counted: how many are left, or until when it is locked."""

    tries_left: int
    locked_until_ms: int


def account_subject(organisation: str, account: str) -> str:
    """Names what was typed without keeping it: a password typed into the wrong field must not lie in the table."""
    return "account:" + sha256(f"{organisation}\0{account}".encode()).hexdigest()[:32]


def address_subject(address: str) -> str:
    """Names where a try came from."""
    return f"address:{network_of(address)}"


def network_of(address: str) -> str:
    """An IPv4 address, or the /64 network an IPv6 address comes from: whoever has one has all of it."""
    ip = ipaddress.ip_address(address)
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))


def locked_until(connection: Connection, subject: str, now_ms: int) -> int:
    """Until when the subject is locked; 0 when it is not."""
    query = sa.select(sign_in_guard.c.locked_until_ms).where(sign_in_guard.c.subject == subject)
    until_ms: int = connection.execute(query).scalar() or 0
    return until_ms if until_ms > now_ms else 0


def count_try(connection: Connection, subject: str, limit: Limit, now_ms: int) -> Counted:
    """Count one try as a failure, until `forget` says otherwise."""
    connection.execute(sign_in_guard.delete().where(sign_in_guard.c.last_try_at_ms < now_ms - FORGET_AFTER_MS))
    first = {"subject": subject, "failures": 0, "last_try_at_ms": now_ms, "locked_until_ms": 0}
    insert_missing(connection, sign_in_guard, [first])
    mine = sign_in_guard.c.subject == subject
    failures: int = connection.execute(
        sign_in_guard.update()
        .where(mine)
        .values(failures=sign_in_guard.c.failures + 1, last_try_at_ms=now_ms)
        .returning(sign_in_guard.c.failures)
    ).scalar_one()
    rounds, over = divmod(failures, limit.failures)
    if over:
        return Counted(limit.failures - over, 0)
    until_ms = now_ms + min(limit.lock_ms << min(rounds - 1, 16), MAX_LOCK_MS)
    connection.execute(sign_in_guard.update().where(mine).values(locked_until_ms=until_ms))
    return Counted(0, until_ms)


def forget(connection: Connection, subject: str) -> None:
    """The try succeeded: the failures before it no longer count."""
    connection.execute(sign_in_guard.delete().where(sign_in_guard.c.subject == subject))


def uncount(connection: Connection, subject: str) -> None:
    """Take the last try back: it was not a failure, and those before it still count."""
    connection.execute(
        sign_in_guard.update()
        .where(sign_in_guard.c.subject == subject, sign_in_guard.c.failures > 0)
        .values(failures=sign_in_guard.c.failures - 1, locked_until_ms=0)
    )
