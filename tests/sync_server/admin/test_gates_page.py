"""Gates: their states, letting one in by its six characters, and putting one out."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from sync_server.audit.tables import event_log
from sync_server.gates import enrolment
from sync_server.gates.alarms import SILENT, raise_alarm
from sync_server.gates.tables import device, enrolment_code, incarnation
from sync_server.parties.calendars import close
from tests.sync_server.admin.conftest import SignedInAs
from tests.sync_server.admin.forms import send
from tests.sync_server.admin.town import HOUR_MS, Town
from wire import signing
from wire.messages import EnrolRequest, read_enrolment_code

PENDING = "龙亭北门 1 号"


def state_of(town: Town, name: str) -> str:
    with town.centre.read() as connection:
        return str(connection.scalars(sa.select(device.c.state).where(device.c.id == town.gates[name])).one())


def spend(town: Town, code: str, name: str = "新闸机") -> bytes:
    """A box types the code and makes its key."""
    read = read_enrolment_code(code)
    assert read is not None
    public = signing.public_key_of(b"\x07" * 32)
    with town.centre.write() as connection:
        request = EnrolRequest(read.secret, public, "gate-agent 0.2.0", name)
        device_id = enrolment.enrol(connection, town.centre.secrets, request, town.clock.now_ms)
    assert isinstance(device_id, bytes), device_id
    return device_id


def test_gates_that_need_a_person_come_first(signed_in_as: SignedInAs) -> None:
    page = signed_in_as("zhoumin").get("/admin/gates").text
    states = re.findall(r'<td><span class="chip [^"]*" data-state="(\w+)"', page)
    assert states == ["pending", "offline", "waiting", "online", "online", "revoked"]
    for text in ("断网 5 小时", "128", "刚刚", "131"):
        assert text in page, text


def test_a_gate_nobody_heard_of_for_thirty_seconds_is_off_line(signed_in_as: SignedInAs, town: Town) -> None:
    town.clock.pass_ms(22_000)
    page = signed_in_as("zhoumin").get(f"/admin/gates/{town.gates['虹桥东门 1 号'].hex()}").text
    assert 'data-state="online"' in page
    town.clock.pass_ms(9_000)
    page = signed_in_as("zhoumin").get(f"/admin/gates/{town.gates['虹桥东门 1 号'].hex()}").text
    assert 'data-state="offline"' in page
    assert "仍在按本机名单放行" in page
    assert "断网 0" not in signed_in_as("zhoumin").get("/admin/gates").text  # off line, and yet no news
    town.clock.pass_ms(30_000)
    assert "断网 1 分钟" in signed_in_as("zhoumin").get("/admin/gates").text


def test_while_its_venue_is_closed_a_gate_may_be_switched_off(signed_in_as: SignedInAs, town: Town) -> None:
    zhoumin, silent = signed_in_as("zhoumin"), town.gates["虹桥东门 2 号"]
    address = f"/admin/gates/{silent.hex()}"
    assert 'data-state="offline"' in zhoumin.get(address).text
    with town.centre.write() as connection:
        close(connection, town.venues["2001"], "大风", town.clock.now_ms, "test")
    assert 'data-state="closed"' in zhoumin.get(address).text
    assert "闭园" in zhoumin.get("/admin/").text
    assert 'data-state="online"' in zhoumin.get(f"/admin/gates/{town.gates['虹桥东门 1 号'].hex()}").text
    with town.centre.write() as connection:  # but it had called before the venue closed
        raise_alarm(connection, silent, SILENT, town.clock.now_ms, town.clock.now_ms)
    assert 'data-state="offline"' in zhoumin.get(address).text


def test_a_journal_that_cannot_be_true_is_shown(signed_in_as: SignedInAs, town: Town) -> None:
    with town.centre.write() as connection:
        connection.execute(incarnation.update().values(frozen_cause="two hashes at 17", frozen_at_ms=town.clock.now_ms))
    browser = signed_in_as("zhoumin")
    assert 'data-state="frozen"' in browser.get("/admin/gates").text
    assert "two hashes at 17" in browser.get(f"/admin/gates/{town.gates['虹桥东门 1 号'].hex()}").text
    assert "闸机上报自相矛盾" in browser.get("/admin/").text


@pytest.mark.parametrize(("arguments", "expected"), [("venue=1", 2), ("state=online", 2), ("venue=2&state=pending", 1)])
def test_gates_are_filtered(signed_in_as: SignedInAs, arguments: str, expected: int) -> None:
    page = signed_in_as("zhoumin").get(f"/admin/gates?{arguments}").text
    assert len(re.findall(r"data-href", page)) == expected


@pytest.mark.slow
def test_a_gate_is_let_in_step_by_step(signed_in_as: SignedInAs, town: Town) -> None:
    browser = signed_in_as("zhoumin")
    steps = send(browser, "/admin/gates/enrol", venue="2").location
    page = browser.get(steps).text
    code = re.search(r'id="code">([A-Z2-7-]+)<', page)
    assert code is not None
    assert "龙亭公园" in page
    assert browser.get(f"{steps}/code.svg").mimetype == "image/svg+xml"
    assert browser.get(f"{steps}/came.json").json == {"came": False}

    device_id = spend(town, code[1])
    assert browser.get(f"{steps}/came.json").json == {"came": True}
    page = browser.get(steps).text
    check = signing.check_characters(signing.public_key_of(b"\x07" * 32)).replace("-", "")
    assert f'aria-label="{" ".join(check)}"' in page
    assert code[1] not in page

    approve = f"/admin/gates/{device_id.hex()}/approve"
    assert send(browser, steps, approve, check="AAAAAA").status_code == 400
    assert send(browser, steps, approve, check=check, reads_id_numbers="yes").status_code == 302
    with town.centre.read() as connection:
        row = connection.execute(sa.select(device).where(device.c.id == device_id)).one()
        made, spent, approved = (
            connection.scalars(sa.select(event_log.c.actor).where(event_log.c.action == action)).one()
            for action in ("gate.enrolment_code", "gate.enrol", "gate.approve")
        )
    assert (row.state, row.reads_id_numbers, row.venue_id) == ("active", True, town.venues["2002"])
    assert made == approved
    assert spent == f"gate:{device_id.hex()}"
    assert "新闸机 已启用" in browser.get(f"/admin/gates/{device_id.hex()}").text
    assert send(browser, "/admin/gates", approve, check=check).status_code == 302  # twice is once


def test_the_code_is_shown_only_to_who_made_it(signed_in_as: SignedInAs) -> None:
    steps = send(signed_in_as("zhoumin"), "/admin/gates/enrol", venue="1").location
    other = signed_in_as("zhoumin")
    assert "登记码只显示给生成它的人" in other.get(steps).text
    assert other.get(f"{steps}/code.svg").status_code == 404


def test_an_old_code_says_so(signed_in_as: SignedInAs, town: Town) -> None:
    browser = signed_in_as("zhoumin")
    steps = send(browser, "/admin/gates/enrol", venue="1").location
    town.clock.pass_ms(enrolment.CODE_LIFE_MS)
    page = browser.get(steps).text
    assert "登记码已失效" in page
    assert 'id="code"' not in page


def test_a_venue_that_does_not_exist_gets_no_code(signed_in_as: SignedInAs) -> None:
    for venue in ("", "99", "x"):
        assert send(signed_in_as("zhoumin"), "/admin/gates/enrol", venue=venue).status_code == 400


def test_a_gate_is_put_out_with_a_reason_and_a_tick(signed_in_as: SignedInAs, town: Town) -> None:
    browser = signed_in_as("zhoumin")
    address = f"/admin/gates/{town.gates[PENDING].hex()}/revoke"
    for fields in ({}, {"reason": "字符不一样"}, {"sure": "yes"}, {"reason": " ", "sure": "yes"}):
        assert send(browser, address, **fields).status_code == 400, fields
    assert state_of(town, PENDING) == "pending"
    assert send(browser, address, reason="字符不一样", sure="yes").status_code == 302
    assert state_of(town, PENDING) == "revoked"
    with town.centre.read() as connection:
        detail = connection.scalars(sa.select(event_log.c.detail).where(event_log.c.action == "gate.revoke")).one()
    assert "字符不一样" in detail
    page = browser.get(address.removesuffix("/revoke")).text
    assert "已吊销" in page
    assert "/revoke" not in page


def test_no_change_happens_by_looking(signed_in_as: SignedInAs, town: Town) -> None:
    browser = signed_in_as("zhoumin")
    hexed = town.gates[PENDING].hex()
    assert browser.get(f"/admin/gates/{hexed}/approve").status_code in (404, 405)
    assert browser.get(f"/admin/gates/{hexed}/revoke?reason=x&sure=yes").status_code == 200
    assert state_of(town, PENDING) == "pending"
    with town.centre.read() as connection:
        assert connection.scalar(sa.select(sa.func.count(enrolment_code.c.id))) == 0
        browser.get("/admin/gates/enrol?venue=1")
        assert connection.scalar(sa.select(sa.func.count(enrolment_code.c.id))) == 0


@pytest.mark.parametrize("address", ["00", "zz", "0" * 32])
def test_an_unknown_gate_is_a_page_that_says_so(signed_in_as: SignedInAs, address: str) -> None:
    response = signed_in_as("zhoumin").get(f"/admin/gates/{address}")
    assert (response.status_code, "没有这一页" in response.text) == (404, True)


def test_hours_are_written_for_what_waits(signed_in_as: SignedInAs, town: Town) -> None:
    for hours, text in ((0, "断网 5 小时"), (42, "断网 47 小时"), (43, "断网 2 天")):
        town.clock.now_ms += hours * HOUR_MS
        assert text in signed_in_as("zhoumin").get("/admin/gates").text
        town.clock.now_ms -= hours * HOUR_MS
