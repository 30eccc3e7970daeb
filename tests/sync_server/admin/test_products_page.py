"""产品 as operators use it: rules in words, changed as a whole, what is wrong told at its field."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from sync_server.audit.tables import event_log
from sync_server.catalog import rules
from sync_server.catalog.products import find_product
from tests.sync_server.admin.conftest import SignedInAs
from tests.sync_server.admin.forms import send
from tests.sync_server.admin.town import Town
from wire.calendar import FIRST_DAY, LAST_DAY, DayRange, Hours
from wire.entitlement import Rule

PASS, TICKET = "/admin/products/1", "/admin/products/3"
FORM = {"per_day": "3", "gap_min": "0", "party": "1"}


@pytest.fixture
def zhoumin(signed_in_as: SignedInAs) -> FlaskClient:
    return signed_in_as("zhoumin")


def in_force(town: Town, number: int = 1) -> Rule:
    with town.centre.read() as connection:
        return rules.rules(connection)[find_product(connection, number).id]


def test_every_part_of_a_rule_is_saved_and_told(zhoumin: FlaskClient, town: Town) -> None:
    asked = zhoumin.get(f"{PASS}/rule").text
    assert 'name="per_day" inputmode="numeric" pattern="[0-9]*" maxlength="6" value="3"' in asked
    assert "虹桥东门 2 号" in asked, "gates off line are named"
    limits = {"per_day": "2", "per_month": "10", "per_year": "60", "total": "200", "gap_min": "30", "party": "3"}
    lines = {"slots": "周一至周五 08:00-11:00", "blackout": "周一\n国庆节：2026年10月1日至7日"}
    said = send(zhoumin, f"{PASS}/rule", **limits, **lines, leave_first="yes", needs_card="yes", version="0")
    assert said.location == PASS
    assert in_force(town) == Rule(
        per_day=2, per_month=10, per_year=60, total=200, gap_min=30, party=3, leave_first=True, needs_card=True,
        slots=(Hours(480, 660, 0b1_1111),),
        blackout=(DayRange(FIRST_DAY, LAST_DAY, "", 1), DayRange(2465, 2471, "国庆节")),
    )  # fmt: skip
    page = zhoumin.get(PASS).text
    for told in ("每天 2 次", "每月 10 次", "每年 60 次", "总共 200 次", "间隔 30 分钟", "一次 3 人", "须刷社保卡"):
        assert told in page, told
    for told in ("出园后才能再入", "周一至周五 08:00-11:00", "2026-10-01 至 2026-10-07 国庆节", "周敏", "第 1 版"):
        assert told in page, told
    assert "每天 2 次 · 每月 10 次" in zhoumin.get("/admin/products").text
    assert "不限次数" not in page
    with town.centre.read() as connection:
        logged = sa.select(event_log.c.actor).where(event_log.c.action == "product.rule")
        actors = [actor.partition(":")[0] for actor in connection.scalars(logged)]
    assert actors == ["test", "operator"]


def test_empty_limits_are_none(zhoumin: FlaskClient, town: Town) -> None:
    assert send(zhoumin, f"{PASS}/rule", **{**FORM, "per_day": ""}, version="0").status_code == 302
    assert in_force(town) == Rule(per_day=None)
    assert "不限次数" in zhoumin.get(PASS).text


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"per_day": "0"}, "写 1 至 10000 的整数"),
        ({"per_day": "many"}, "写 1 至 10000 的整数"),
        ({"per_day": "٣"}, "写 1 至 10000 的整数"),
        ({"party": "51"}, "写 1 至 50 的整数"),
        ({"gap_min": "-1"}, "写 0 至 44640 的整数"),
        ({"per_month": "2"}, "永远用不到"),
        ({"slots": "08:00-11:00\n上午"}, "第 2 行“上午”：看不懂"),
        ({"blackout": "国庆"}, "第 1 行“国庆”：没有日期"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(zhoumin: FlaskClient, town: Town, form: dict[str, str], told: str) -> None:
    answer = send(zhoumin, f"{PASS}/rule", **{**FORM, **form}, version="0")
    assert answer.status_code == 400
    assert told in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert in_force(town) == Rule(per_day=3)


def test_a_ticket_keeps_how_often_it_opens(zhoumin: FlaskClient, town: Town) -> None:
    assert "按售出时，不能改" in zhoumin.get(f"{TICKET}/rule").text
    said = send(zhoumin, f"{TICKET}/rule", **{**FORM, "per_day": "1", "total": "9"}, version="0")
    assert said.status_code == 302
    assert in_force(town, 3) == Rule(per_day=1, total=1)


def test_who_saves_onto_another_persons_change_is_told_first(zhoumin: FlaskClient, town: Town) -> None:
    send(zhoumin, f"{PASS}/rule", **{**FORM, "per_day": "1"}, version="0")
    answer = send(zhoumin, f"{PASS}/rule", **{**FORM, "per_day": "2"}, version="0")
    assert answer.status_code == 409
    assert "规则刚被别人改过" in answer.text
    assert in_force(town) == Rule(per_day=1)
    assert send(zhoumin, f"{PASS}/rule", **FORM, version="x").status_code == 400


def test_finance_looks_and_changes_nothing(signed_in_as: SignedInAs) -> None:
    qianwen = signed_in_as("qianwen")
    assert "编辑入园规则" not in qianwen.get(PASS).text
    assert qianwen.get(f"{PASS}/rule").status_code == 403
    assert qianwen.get("/admin/products/9").status_code == 404


def test_a_product_is_taken_off_sale_and_put_on_again(zhoumin: FlaskClient, town: Town) -> None:
    asked = zhoumin.get(f"{PASS}/off").text
    for told in ("下架 汴京旅游年票？", "已售出的票照常入园", "销量"):
        assert told in asked, told
    for form in ({"reason": "改版"}, {"reason": "", "sure": "yes"}, {"reason": "因" * 201, "sure": "yes"}):
        assert send(zhoumin, f"{PASS}/off", **form).status_code == 400
    assert 'data-state="ON_SALE"' in zhoumin.get(PASS).text
    assert send(zhoumin, f"{PASS}/off", reason="改版", sure="yes").location == PASS
    page = zhoumin.get(PASS).text
    assert 'data-state="OFF_SALE"' in page
    assert "已下架" in zhoumin.get("/admin/products").text
    assert send(zhoumin, f"{PASS}/off", reason="改版", sure="yes").location == PASS  # twice is once
    assert send(zhoumin, PASS, f"{PASS}/on").location == PASS
    assert send(zhoumin, f"{PASS}/off", f"{PASS}/on").location == PASS
    assert 'data-state="ON_SALE"' in zhoumin.get(PASS).text
    with town.centre.read() as connection:
        done = sa.select(event_log.c.action).where(event_log.c.action.in_(("product.take_off", "product.put_on")))
        done = done.order_by(event_log.c.day, event_log.c.seq)
        assert connection.scalars(done).all() == ["product.take_off", "product.put_on"]
