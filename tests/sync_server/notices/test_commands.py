"""`sync-server message`, `party contact`, `user phone`: what a person at the centre types."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from sync_server.audit.tables import event_log
from sync_server.centre import Centre
from sync_server.jobs import message_commands
from sync_server.jobs.messages import send_messages
from sync_server.notices.kinds import KINDS
from sync_server.notices.writing import write
from sync_server.payments.party_commands import party
from sync_server.people.commands import user
from tests.sync_server.conftest import Clock
from tests.sync_server.notices.desk import ADMIN, FINANCE, Desk, low_stock


@pytest.fixture
def desk(centre: Centre, clock: Clock) -> Desk:
    return Desk(centre, clock)


def typed(desk: Desk, *words: str, code: int = 0) -> str:
    """What the command says."""
    groups: dict[str, Any] = {"message": message_commands.message_, "party": party, "user": user}
    done = CliRunner().invoke(groups[words[0]], words[1:], obj=lambda: desk.centre)
    assert done.exit_code == code, done.output
    return done.output


def test_contacts_and_phones_are_set_and_logged_masked(desk: Desk) -> None:
    reason = ("--reason", "新任")
    typed(desk, "party", "contact", "P001", "--name", "王芳", "--phone", ADMIN, *reason)
    desk.operator("lihua", "finance", FINANCE)
    typed(desk, "user", "phone", "--organisation", "P001", "--account", "lihua", "--phone", "139 0000 0009")
    desk.promise(low_stock(1))
    desk.turn()
    assert [sms.phone for _, sms in desk.gateway.calls] == [ADMIN]
    typed(desk, "user", "phone", "--organisation", "P001", "--account", "lihua", "--forget")
    with desk.centre.read() as connection:
        told = [row.detail for row in connection.execute(sa.select(event_log))]
    assert any("139****0001" in detail for detail in told) and not any(ADMIN in detail for detail in told)
    typed(desk, "party", "contact", "P001", "--name", "王芳", "--phone", "12", *reason, code=2)
    typed(desk, "party", "contact", "P001", "--name", " ", "--phone", ADMIN, *reason, code=2)
    typed(desk, "user", "phone", "--organisation", "P001", "--account", "lihua", code=2)


def test_messages_are_listed_masked_and_a_code_only_where_nothing_leaves(desk: Desk) -> None:
    desk.reach(desk.platform, ADMIN)
    with desk.centre.write() as connection:
        values = {"code": "314159", "minutes": 5}
        write(connection, desk.centre.secrets, "sign_in_code", ADMIN, values, desk.clock.now_ms, cause="sign-in")
    assert json.loads(typed(desk, "message", "list"))["text"] is None
    send_messages(desk.centre)
    told = json.loads(typed(desk, "message", "list", "--kind", "sign_in_code"))
    assert (told["text"], told["phone"]) == ("验证码314159，5分钟内有效，请勿告知他人。", "139****0001")
    desk.promise(low_stock(1))
    desk.turn()
    told = json.loads(typed(desk, "message", "list", "--kind", "low_stock", "--state", "SENT"))
    assert told["text"] == "龙亭公园库存仅剩1张，请及时补充。" and ADMIN not in json.dumps(told)


def test_a_code_that_left_is_not_listed(desk: Desk) -> None:
    with desk.centre.write() as connection:
        values = {"code": "314159", "minutes": 5}
        write(connection, desk.centre.secrets, "sign_in_code", ADMIN, values, desk.clock.now_ms, cause="sign-in")
    desk.turn()
    assert "314159" not in typed(desk, "message", "list")


def test_a_message_is_sent_again(desk: Desk) -> None:
    desk.reach(desk.platform, ADMIN)
    desk.promise(low_stock(1))
    desk.turn()
    (row,) = desk.rows()
    told = json.loads(typed(desk, "message", "resend", str(row.id), "--reason", "没收到"))
    desk.turn()
    assert told["again"] == str(row.id) and desk.states() == ["SENT", "SENT"]


def test_settings_are_printed_and_changed(desk: Desk) -> None:
    desk.promise(low_stock(1))
    desk.turn()
    printed = [json.loads(line) for line in typed(desk, "message", "settings").splitlines()]
    assert [each["kind"] for each in printed] == list(KINDS)
    (stock,) = (each for each in printed if each["kind"] == "low_stock")
    assert (stock["enabled"], stock["roles"], stock["unheard_in_7_days"]) == (True, ["operations"], 1)
    desk.operator("lihua", "finance", FINANCE)
    changed = typed(desk, "message", "settings", "low_stock", "--off", "--template", "SMS_1", "--role", "finance")
    told = json.loads(changed)
    assert (told["enabled"], told["template_code"], told["roles"]) == (False, "SMS_1", ["finance"])
    assert json.loads(typed(desk, "message", "settings", "low_stock", "--on"))["template_code"] == "SMS_1"
    typed(desk, "message", "settings", "--off", code=2)
    typed(desk, "message", "settings", "issued", "--role", "finance", code=2)
    assert "there is no role 'nobody'" in str(
        CliRunner()
        .invoke(message_commands.message_, ["settings", "low_stock", "--role", "nobody"], obj=lambda: desk.centre)
        .exception
    )
