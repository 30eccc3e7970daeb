"""Signing in: captcha, locks, password, in this order; what comes out is a value the page puts into words."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa

from sync_server.audit import log
from sync_server.centre import Centre
from sync_server.parties.tables import party
from sync_server.people import guard, sessions
from sync_server.people.captchas import use_captcha
from sync_server.people.passwords import Checked, check_password
from sync_server.people.tables import operator

MAX_FIELD_CHARACTERS = 64


class Attempt(NamedTuple):
    """What was typed, and where it came from (`address`: an IP address)."""

    organisation: str
    account: str
    password: str
    captcha_id: str
    captcha_text: str
    address: str


@dataclass(frozen=True)
class Welcome:
    """Signed in; `token` goes into the session cookie."""

    token: str


@dataclass(frozen=True)
class WrongCaptcha:
    """The captcha was wrong, used or too old; nothing else was looked at."""


@dataclass(frozen=True)
class WrongPassword:
    """Also for accounts that do not exist, and for disabled ones: the answer does not tell."""

    tries_left: int


@dataclass(frozen=True)
class Locked:
    """Too many failures for this account name or from this address."""

    until_ms: int


@dataclass(frozen=True)
class Busy:
    """Too many people sign in at this moment; nothing was counted."""


Outcome = Welcome | WrongCaptcha | WrongPassword | Locked | Busy


def sign_in(centre: Centre, attempt: Attempt) -> Outcome:
    """Try to sign in. The password is hashed between two transactions, never inside one."""
    organisation, account = tidy(attempt.organisation).upper(), tidy(attempt.account).lower()
    by_account = guard.account_subject(organisation, account)
    by_address = guard.address_subject(attempt.address)
    now_ms = centre.now_ms()
    with centre.write() as connection:
        if not use_captcha(connection, attempt.captcha_id, attempt.captcha_text, now_ms):
            return WrongCaptcha()
        until_ms = max(guard.locked_until(connection, subject, now_ms) for subject in (by_account, by_address))
        if until_ms:
            return Locked(until_ms)
        counted = guard.count_try(connection, by_account, guard.ACCOUNT_LIMIT, now_ms)
        guard.count_try(connection, by_address, guard.ADDRESS_LIMIT, now_ms)
        found = connection.execute(
            sa.select(operator.c.id, operator.c.password_hash)
            .select_from(operator.join(party))
            .where(party.c.org_number == organisation, operator.c.account == account, operator.c.state == "ACTIVE")
        ).one_or_none()

    checked = check_password(None if found is None else found.password_hash, attempt.password)

    now_ms = centre.now_ms()
    with centre.write() as connection:
        if checked is Checked.BUSY:
            guard.uncount(connection, by_account)
            guard.uncount(connection, by_address)
            return Busy()
        if checked is Checked.WRONG or found is None:
            detail = {"address": attempt.address, "tries_left": counted.tries_left}
            log.record(connection, now_ms, "anonymous", "sign_in.refused", by_account, detail)
            return Locked(counted.locked_until_ms) if counted.locked_until_ms else WrongPassword(counted.tries_left)
        guard.forget(connection, by_account)
        guard.uncount(connection, by_address)
        token = sessions.open_session(connection, found.id, attempt.address, now_ms)
        log.record(connection, now_ms, _actor(found.id), "sign_in", _actor(found.id), {"address": attempt.address})
        return Welcome(token)


def sign_out(centre: Centre, who: sessions.SignedIn) -> None:
    """End this session; others of the same operator stay."""
    now_ms = centre.now_ms()
    with centre.write() as connection:
        sessions.end_session(connection, who.token, now_ms)
        log.record(connection, now_ms, who.actor, "sign_out", who.actor, {})


def tidy(text: str) -> str:
    """As it is compared: full-width letters become plain ones, outer spaces go, and no more than a field holds."""
    return unicodedata.normalize("NFKC", text[:MAX_FIELD_CHARACTERS]).strip()[:MAX_FIELD_CHARACTERS]


def _actor(operator_id: UUID) -> str:
    return f"operator:{operator_id}"
