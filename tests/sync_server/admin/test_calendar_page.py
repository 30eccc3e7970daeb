"""日历 as operators use it: hours and days saved, wrong lines told, venues closed and reopened, by whom."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from sync_server.audit.tables import event_log
from sync_server.parties import calendars
from tests.sync_server.admin.conftest import SignedInAs
from tests.sync_server.admin.forms import send
from tests.sync_server.admin.town import HOUR_MS, Town
from wire.calendar import Calendar, Hours
from wire.moments import minute_floor

EDIT, CLOSE, PAGE = "/admin/calendars/1/edit", "/admin/calendars/1/close", "/admin/calendars/1"


@pytest.fixture
def zhoumin(signed_in_as: SignedInAs) -> FlaskClient:
    return signed_in_as("zhoumin")


def opening(town: Town) -> Calendar:
    with town.centre.read() as connection:
        return calendars.opening_of(connection, town.venues["2001"])


def actions(town: Town) -> list[tuple[str, bool]]:
    """What was done to the venue, and whether an operator did it."""
    subject = f"venue:{town.venues['2001']}"
    query = sa.select(event_log.c.action, event_log.c.actor).where(event_log.c.subject == subject)
    with town.centre.read() as connection:
        return [(row.action, row.actor.startswith("operator:")) for row in connection.execute(query)]


def test_a_calendar_is_saved_and_shown(zhoumin: FlaskClient, town: Town) -> None:
    assert "没有定过日历：一直开放" in zhoumin.get(PAGE).text
    lines = {"hours": "周二至周日 08:00-17:00", "closed_days": "国庆节：2026年10月1日至7日\n2026-11-24 检修"}
    assert send(zhoumin, EDIT, **lines, version="0").location == PAGE
    assert opening(town).hours == (Hours(480, 1020, 0b111_1110),)
    page = zhoumin.get(PAGE).text
    assert "日历已保存，在线闸机几秒内收到" in page
    for told in ("周二至周日 08:00-17:00", "2026-10-01 至 2026-10-07", "检修", "今天 08:00–17:00", "周敏", "第 1 版"):
        assert told in page, told
    week = re.findall(r'<li class="(\w+)(?: now)?"><span>([^<]+)</span><b>(\d+)</b>', page)
    assert week[:4] == [("open", "今天", "21"), ("open", "周日", "22"), ("shut", "周一", "23"), ("shut", "周二", "24")]
    assert actions(town) == [("venue.calendar", True)]
    listed = zhoumin.get("/admin/calendars").text
    assert "2026-11-24" in listed
    assert "开放中" in listed


def test_a_wrong_line_is_told_and_what_was_typed_stays(zhoumin: FlaskClient, town: Town) -> None:
    answer = send(zhoumin, EDIT, hours="08:00-17:00\n18:00-02:00", closed_days="国庆", version="0")
    assert answer.status_code == 400
    assert "第 2 行“18:00-02:00”：结束早于开始" in answer.text
    assert "第 1 行“国庆”：没有日期" in answer.text
    assert ">\n08:00-17:00\n18:00-02:00</textarea>" in answer.text
    assert opening(town) == Calendar()
    assert actions(town) == []


def test_who_saves_onto_another_persons_change_is_told_first(zhoumin: FlaskClient, town: Town) -> None:
    send(zhoumin, EDIT, hours="08:00-17:00", closed_days="", version="0")
    answer = send(zhoumin, EDIT, hours="09:00-16:00", closed_days="", version="0")
    assert answer.status_code == 409
    assert "日历刚被别人改过" in answer.text
    assert 'name="version" value="1"' in answer.text
    assert opening(town).hours == (Hours(480, 1020),)
    assert send(zhoumin, EDIT, hours="09:00-16:00", closed_days="", version="1").status_code == 302
    assert opening(town).hours == (Hours(540, 960),)
    assert send(zhoumin, EDIT, hours="", closed_days="", version="x").status_code == 400


def test_a_venue_is_closed_with_its_cause_and_reopened(zhoumin: FlaskClient, town: Town) -> None:
    asked = zhoumin.get(CLOSE).text
    assert "汴河虹桥景区 临时闭园？" in asked
    assert "虹桥东门 2 号" in asked, "the gate that is off line is named"
    assert "1 台在线闸机几秒内收到" in asked
    assert send(zhoumin, CLOSE, cause="大风", since="", until="", sure="yes").location == PAGE
    [closure] = opening(town).closures
    assert (closure.since, closure.until, closure.cause) == (minute_floor(town.clock.now_ms), None, "大风")
    page = zhoumin.get(PAGE).text
    assert "临时闭园：大风" in page
    assert "恢复开放为止" in page
    address = re.search(r'action="(/admin/calendars/1/reopen/[0-9a-f]+)"', page)
    assert address is not None
    assert send(zhoumin, PAGE, address[1]).location == PAGE
    assert opening(town) == Calendar()
    assert send(zhoumin, PAGE, address[1]).location == PAGE  # twice is once
    assert actions(town) == [("venue.close", True), ("venue.reopen", True)]


def test_an_announced_closure_has_its_span_on_the_venues_clock(zhoumin: FlaskClient, town: Town) -> None:
    times = {"since": "2026-11-21T16:00", "until": "2026-11-21T18:30"}
    assert send(zhoumin, CLOSE, cause="灯会布展", sure="yes", **times).status_code == 302
    [closure] = opening(town).closures
    now = minute_floor(town.clock.now_ms)  # 14:32
    assert (closure.since - now, closure.until) == (88, now + 238)
    page = zhoumin.get(PAGE).text
    assert "取消闭园" in page
    assert "开放中" in page
    town.clock.pass_ms(2 * HOUR_MS)
    assert "恢复开放</button>" in zhoumin.get(PAGE).text
    town.clock.pass_ms(2 * HOUR_MS)
    assert "临时闭园：" not in zhoumin.get(PAGE).text


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"cause": "", "sure": "yes"}, "请写原因"),
        ({"cause": "因" * 41, "sure": "yes"}, "请写原因"),
        ({"cause": "大风"}, "请勾选确认"),
        ({"cause": "大风", "sure": "yes", "until": "2026-11-21T14:00"}, "没有公布"),
        ({"cause": "大风", "sure": "yes", "since": "2026-11-21T10:00"}, "没有公布"),
        ({"cause": "大风", "sure": "yes", "until": "tonight"}, "时间写成"),
        ({"cause": "大风", "sure": "yes", "until": "9999-12-31T23:59"}, "没有公布"),
    ],
)
def test_a_closure_that_makes_no_sense_is_refused(
    zhoumin: FlaskClient, town: Town, form: dict[str, str], told: str
) -> None:
    answer = send(zhoumin, CLOSE, **form)
    assert answer.status_code == 400
    assert told in answer.text
    assert opening(town) == Calendar()


def test_an_unknown_venue_is_missing(zhoumin: FlaskClient) -> None:
    for address in ("/admin/calendars/9", "/admin/calendars/9/edit", f"/admin/calendars/{10**30}"):
        assert zhoumin.get(address).status_code == 404


def test_who_may_only_look_is_offered_nothing_to_change(signed_in_as: SignedInAs, town: Town) -> None:
    with town.centre.write() as connection:
        connection.exec_driver_sql("DELETE FROM role_permission WHERE permission = 'calendars.edit'")
    page = signed_in_as("zhoumin").get(PAGE).text
    assert "编辑日历" not in page
    assert CLOSE not in page


@pytest.mark.parametrize("text", ["检修\0", "检修\0\0闸机"])
def test_what_no_table_takes_is_refused_once_for_every_page(zhoumin: FlaskClient, town: Town, text: str) -> None:
    answer = send(zhoumin, EDIT, hours="08:00-17:00", closed_days=f"2026-11-24 {text}", version="0")
    assert (answer.status_code, "不能保存的字符" in answer.text) == (422, True)
    assert zhoumin.get(f"/admin/orders?q={quote(text)}").status_code == 422
    assert zhoumin.get(f"/admin/calendars/{quote(text)}").status_code == 404
    assert actions(town) == []
