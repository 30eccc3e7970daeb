"""Signing in: one answer for every wrong name, limits that many tries at once do not slip past, sessions that end."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.audit import log
from sync_server.audit.tables import event_log
from sync_server.centre import Centre
from sync_server.parties.parties import NewParty, add_party
from sync_server.people import captchas, guard, operators, passwords, sessions, sign_in
from sync_server.people.permissions import SEEDED_ROLES, Permission
from sync_server.people.tables import captcha, operator_session, sign_in_guard
from tests.sync_server.conftest import Clock

pytestmark = pytest.mark.slow

PASSWORD = "纸船明烛照天烧-1958"
HERE = "192.0.2.7"


@pytest.fixture
def zhou(centre: Centre) -> UUID:
    with centre.write() as connection:
        add_party(connection, NewParty("PLATFORM", "BJ0001", "平台", "Platform", "p"), "Asia/Shanghai", centre.now_ms())
    return operators.add_operator(centre, "BJ0001", "zhoumin", "周敏", "operations", PASSWORD, "test")


def attempt(
    centre: Centre, organisation: str, account: str, password: str, *, text: str | None = None, address: str = HERE
) -> sign_in.Outcome:
    with centre.write() as connection:
        opened = captchas.open_captcha(connection, address, centre.now_ms())
    assert opened is not None
    captcha_id, answer = opened
    typed = sign_in.Attempt(organisation, account, password, captcha_id, answer if text is None else text, address)
    return sign_in.sign_in(centre, typed)


def token_of(outcome: sign_in.Outcome) -> str:
    assert isinstance(outcome, sign_in.Welcome), outcome
    return outcome.token


def find(centre: Centre, token: str) -> sessions.SignedIn | None:
    with centre.read() as connection:
        return sessions.find_session(connection, token, centre.now_ms())


def test_the_right_password_opens_a_session_with_the_roles_permissions(centre: Centre, zhou: UUID) -> None:
    who = find(centre, token_of(attempt(centre, " bj0001 ", "ZhouMin", PASSWORD)))
    assert who is not None
    assert (who.id, who.name, who.organisation, who.role_zh) == (zhou, "周敏", "BJ0001", "运营")
    assert who.permissions == next(role.permissions for role in SEEDED_ROLES if role.code == "operations")
    assert who.may(Permission.GATES_ENROL)
    assert not who.may(Permission.USERS_MANAGE)


def test_full_width_typing_is_the_same_name(centre: Centre, zhou: UUID) -> None:
    token_of(attempt(centre, "ＢＪ０００１", "ｚｈｏｕｍｉｎ", PASSWORD))


def test_every_wrong_name_gets_the_answer_of_a_wrong_password(centre: Centre, zhou: UUID) -> None:
    other = operators.add_operator(centre, "BJ0001", "gone", "已离职", "operations", PASSWORD, "test")
    operators.set_state(centre, other, "DISABLED", "test")
    answers = [
        attempt(centre, "BJ0001", "zhoumin", "wrong password"),
        attempt(centre, "BJ0001", "nobody", "wrong password"),
        attempt(centre, "XX9999", "zhoumin", PASSWORD),
        attempt(centre, "BJ0001", "gone", PASSWORD),
    ]
    assert answers == [sign_in.WrongPassword(4)] * 4


def test_the_captcha_serves_once_right_or_wrong(centre: Centre, zhou: UUID) -> None:
    assert attempt(centre, "BJ0001", "zhoumin", PASSWORD, text="----") == sign_in.WrongCaptcha()
    with centre.write() as connection:
        assert connection.execute(sa.select(captcha)).all() == []
        opened = captchas.open_captcha(connection, HERE, centre.now_ms())
    assert opened is not None
    typed = sign_in.Attempt("BJ0001", "zhoumin", PASSWORD, opened[0], opened[1].lower(), HERE)
    token_of(sign_in.sign_in(centre, typed))
    assert sign_in.sign_in(centre, typed) == sign_in.WrongCaptcha()


def test_an_old_captcha_is_refused_and_cleared_away(centre: Centre, clock: Clock) -> None:
    with centre.write() as connection:
        opened = captchas.open_captcha(connection, HERE, centre.now_ms())
        assert opened is not None
        clock.pass_ms(captchas.LIFETIME_MS)
        assert not captchas.use_captcha(connection, *opened, centre.now_ms())
        captchas.open_captcha(connection, HERE, centre.now_ms())
        clock.pass_ms(captchas.LIFETIME_MS)
        captchas.open_captcha(connection, HERE, centre.now_ms())
        assert connection.execute(sa.select(sa.func.count()).select_from(captcha)).scalar() == 1


def test_an_address_gets_only_so_many_captchas(centre: Centre, clock: Clock) -> None:
    with centre.write() as connection:
        for _ in range(captchas.MAX_OPEN_PER_ADDRESS):
            assert captchas.open_captcha(connection, HERE, centre.now_ms()) is not None
        assert captchas.open_captcha(connection, HERE, centre.now_ms()) is None
        assert captchas.open_captcha(connection, "192.0.2.8", centre.now_ms()) is not None


def test_the_captcha_is_a_picture() -> None:
    assert captchas.picture("7M4Q").startswith(b"\x89PNG")


def test_five_failures_lock_the_account_name_for_longer_each_time(centre: Centre, clock: Clock, zhou: UUID) -> None:
    for left in (4, 3, 2, 1):
        assert attempt(centre, "BJ0001", "zhoumin", "wrong password") == sign_in.WrongPassword(left)
    first_lock_ms = clock.now_ms + guard.ACCOUNT_LIMIT.lock_ms
    assert attempt(centre, "BJ0001", "zhoumin", "wrong password") == sign_in.Locked(first_lock_ms)
    assert attempt(centre, "BJ0001", "zhoumin", PASSWORD) == sign_in.Locked(first_lock_ms)
    clock.pass_ms(guard.ACCOUNT_LIMIT.lock_ms)
    for _ in range(4):
        assert isinstance(attempt(centre, "BJ0001", "zhoumin", "wrong password"), sign_in.WrongPassword)
    second_lock_ms = clock.now_ms + 2 * guard.ACCOUNT_LIMIT.lock_ms
    assert attempt(centre, "BJ0001", "zhoumin", "wrong password") == sign_in.Locked(second_lock_ms)
    clock.pass_ms(2 * guard.ACCOUNT_LIMIT.lock_ms)
    token_of(attempt(centre, "BJ0001", "zhoumin", PASSWORD))
    assert attempt(centre, "BJ0001", "zhoumin", "wrong password") == sign_in.WrongPassword(4)  # success forgets


def test_one_address_guessing_at_many_names_is_locked_and_others_are_not(centre: Centre, zhou: UUID) -> None:
    with centre.write() as connection:
        for _ in range(guard.ADDRESS_LIMIT.failures):
            guard.count_try(connection, guard.address_subject(HERE), guard.ADDRESS_LIMIT, centre.now_ms())
    assert isinstance(attempt(centre, "BJ0001", "zhoumin", PASSWORD), sign_in.Locked)
    token_of(attempt(centre, "BJ0001", "zhoumin", PASSWORD, address="198.51.100.1"))


def test_a_success_does_not_wash_away_the_failures_of_its_address(centre: Centre, zhou: UUID) -> None:
    subject = guard.address_subject(HERE)
    with centre.write() as connection:
        for _ in range(7):
            guard.count_try(connection, subject, guard.ADDRESS_LIMIT, centre.now_ms())
    token_of(attempt(centre, "BJ0001", "zhoumin", PASSWORD))
    with centre.read() as connection:
        kept = sa.select(sign_in_guard.c.failures).where(sign_in_guard.c.subject == subject)
        assert connection.execute(kept).scalar() == 7


def test_ipv6_is_counted_by_network() -> None:
    assert guard.address_subject("2001:db8:1:2::1") == guard.address_subject("2001:db8:1:2:ffff::9")
    assert guard.address_subject("2001:db8:1:2::1") != guard.address_subject("2001:db8:1:3::1")


def test_what_was_typed_is_not_kept_in_the_clear(centre: Centre) -> None:
    attempt(centre, "BJ0001", "my-secret-password", "x")
    with centre.read() as connection:
        rows = [*connection.execute(sa.select(sign_in_guard)), *connection.execute(sa.select(event_log))]
    assert rows
    assert "my-secret-password" not in str(rows)


def test_sign_out_and_time_and_disabling_end_sessions(centre: Centre, clock: Clock, zhou: UUID) -> None:
    first, second, third = (token_of(attempt(centre, "BJ0001", "zhoumin", PASSWORD)) for _ in range(3))
    who = find(centre, first)
    assert who is not None
    sign_in.sign_out(centre, who)
    assert find(centre, first) is None
    assert find(centre, second) is not None
    operators.set_state(centre, zhou, "DISABLED", "test")
    assert find(centre, second) is None
    operators.set_state(centre, zhou, "ACTIVE", "test")
    assert find(centre, third) is None  # ended, not merely hidden
    fourth = token_of(attempt(centre, "BJ0001", "zhoumin", PASSWORD))
    clock.pass_ms(sessions.LIFETIME_MS)
    assert find(centre, fourth) is None


def test_the_database_holds_no_token(centre: Centre, zhou: UUID) -> None:
    token = token_of(attempt(centre, "BJ0001", "zhoumin", PASSWORD))
    with centre.read() as connection:
        row = connection.execute(sa.select(operator_session)).one()
    assert token not in str(row)


def test_every_sign_in_refusal_and_sign_out_is_in_the_log(centre: Centre, zhou: UUID) -> None:
    attempt(centre, "BJ0001", "zhoumin", "wrong password")
    who = find(centre, token_of(attempt(centre, "BJ0001", "zhoumin", PASSWORD)))
    assert who is not None
    sign_in.sign_out(centre, who)
    with centre.read() as connection:
        actions = list(connection.execute(sa.select(event_log.c.action).order_by(event_log.c.seq)).scalars())
        assert log.first_flaw(connection) is None
    assert actions == ["operator.added", "sign_in.refused", "sign_in", "sign_out"]


def test_too_many_hashes_at_once_count_nothing(centre: Centre, zhou: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MAX_WAIT_S", 0.0)
    taken = [passwords._slots.acquire() for _ in range(passwords.MAX_PARALLEL_HASHES)]
    try:
        assert attempt(centre, "BJ0001", "zhoumin", PASSWORD) == sign_in.Busy()
    finally:
        for _ in taken:
            passwords._slots.release()
    assert attempt(centre, "BJ0001", "zhoumin", "wrong password") == sign_in.WrongPassword(4)
