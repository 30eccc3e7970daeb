"""The staff's sheets over HTTP: what they ask, what is answered with which status, and what stays out of addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gate_agent import staff, sync_requests
from gate_agent.acting import Acts
from gate_agent.lane_state import LaneState
from gate_agent.pins import Attempts, Pins
from gate_agent.screen.acts import act_pages
from gate_agent.screen.app import create_app
from gate_agent.settings import Settings
from gate_agent.staff import Role, Staff
from gate_agent.status import LaneStatus, Status
from gate_agent.sync_state import RequestAnswer, SyncView
from hardware.devices import parse_lane
from tests.gate_agent.beijing import NOW_MS
from tests.gate_agent.members import employ
from tests.gate_agent.stage import Here, Stage
from tests.gate_agent.venue import Venue

STEWARD, SUPERVISOR, WRONG = "4071", "583920", "9138"


@pytest.fixture
def client(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    monkeypatch.setattr(sync_requests, "ask", lambda *_: RequestAnswer(True))
    employ(stage.data_dir, ("李小芳", Role.STEWARD, STEWARD))
    pins = Pins(Staff(stage.data_dir), stage.journal, stage.clock.look, Attempts())
    sync, lanes = SyncView.open(stage.data_dir), {1: Here(stage.lanes[0]), 2: Here(stage.lanes[1])}
    acts = Acts(stage.data_dir, pins, stage.journal, stage.clock.look, stage.gate, lanes, sync, Settings())
    stage.board.status(Status(lanes=(LaneStatus(1, LaneState.OPEN), LaneStatus(2, LaneState.OPEN))))
    app = create_app(stage.board, lambda: NOW_MS, acts=act_pages(acts, stage.board, lambda: NOW_MS))
    with app.test_client() as client:
        yield client


def once(client: FlaskClient, act: str = "sync") -> str:
    found = re.search(r'name="once" value="([0-9a-f]+)"', client.get(f"/staff/sheet/{act}").text)
    assert found is not None
    return found[1]


def send(client: FlaskClient, pin: str, act: str = "sync") -> TestResponse:
    return client.post(f"/staff/act/{act}", data={"once": once(client, act), "pin": pin})


def test_a_sheet_says_what_will_happen_and_asks_for_a_pin(client: FlaskClient) -> None:
    page = client.get("/staff/sheet/export").text
    assert all(words in page for words in ("导出到 U 盘", "需要班长的 PIN", 'action="/staff/act/export"', "请输入 PIN"))
    assert "Export to USB" in client.get("/staff/sheet/export?lang=en").text


@pytest.mark.slow
def test_every_answer_has_its_status_and_its_sentence(client: FlaskClient) -> None:
    done = send(client, STEWARD)
    assert (done.status_code, "已同步" in done.text) == (200, True)
    wrong = send(client, WRONG)
    assert (wrong.status_code, wrong.text, wrong.content_type) == (
        403, "PIN 不对，还可试 2 次", "text/plain; charset=utf-8",
    )  # fmt: skip
    assert (send(client, STEWARD, "export").status_code, send(client, STEWARD, "export").text) == (
        403,
        "此操作需要班长",
    )
    for _ in range(3):
        paused = send(client, WRONG)
    assert (paused.status_code, paused.text, paused.headers["Retry-After"]) == (429, "请等 30 秒", "30")
    assert 'data-wait-s="30"' in client.get("/staff/sheet/sync").text
    old = client.post("/staff/act/sync", data={"once": "00", "pin": STEWARD})
    assert (old.status_code, "已失效" in old.text) == (409, True)
    lacking = client.post("/staff/act/enrol", data={"once": once(client, "enrol"), "pin": STEWARD})
    assert (lacking.status_code, lacking.text) == (400, "请填写中心地址和登记码")


def test_a_box_without_staff_says_so_before_anybody_types(client: FlaskClient, stage: Stage) -> None:
    (stage.data_dir / staff.NAME).unlink()
    assert "gate-agent staff add" in client.get("/staff/sheet/sync").text


@pytest.mark.parametrize("path", ["/staff/sheet/dance", "/staff/sheet/", "/staff/find?lane=9"])
def test_what_there_is_not_is_not_found(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_no_page_of_another_origin_acts_and_no_link_does(client: FlaskClient) -> None:
    form = {"once": once(client), "pin": STEWARD}
    assert client.post("/staff/act/sync", data=form, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.post("/staff/act/sync", data=form, headers={"Host": "evil.example"}).status_code == 400
    assert client.get(f"/staff/act/sync?once={form['once']}&pin={STEWARD}").status_code == 405
    assert client.post("/staff/act/sync", data=form).status_code == 200


def test_a_form_of_any_size_is_bounded(client: FlaskClient) -> None:
    assert client.post("/staff/act/sync", data={"pin": "1" * 100_000}).status_code == 413
    assert client.post("/staff/act/sync", data={f"f{n}": "1" for n in range(5_000)}).status_code in (409, 413)


def test_a_pass_is_found_without_a_pin_by_a_number_that_is_posted(
    client: FlaskClient, stage: Stage, venue: Venue
) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    page = client.get("/staff/find?lane=2&number=000001").text
    assert all(
        part in page for part in ('action="/staff/find"', 'name="lane" value="2"', 'value="000001"', 'data-key="X"')
    )
    found = client.post("/staff/find", data={"number": "000001", "lane": "2"})
    assert all(words in found.text for words in ("找到 1 张", "李*花 · …000001", "汴京旅游年票"))
    assert "2026111800000001" not in found.text
    assert ticket.pass_id.hex() not in client.post("/staff/find", data={"number": "999999"}).text
    short = client.post("/staff/find", data={"number": "1"})
    assert (short.status_code, short.text) == (409, "至少输入 6 位数字")


def test_the_keys_of_a_commissioning_answer_once_and_only_what_is_asked(client: FlaskClient, stage: Stage) -> None:
    stage.gate.wiring.compare([parse_lane(f"{number}:reader=sim,turnstile=sim") for number in (1, 2)])
    staff.add(stage.data_dir, "张国", Role.SUPERVISOR, SUPERVISOR)
    stage.look()
    wish = {"once": once(client, "commission"), "lane": 1}
    assert client.post("/staff/act/commission", data={**wish, "pin": STEWARD}).status_code == 403
    begun = client.post("/staff/act/commission", data={**wish, "pin": SUPERVISOR})
    assert (begun.status_code, "调试已开始" in begun.text) == (200, True)
    keys = {"number": "1", "step": "arm", "word": "arm", "arm": "1"}  # a lane without readers begins with its arm
    assert "哪条通道的闸臂开了" in client.get("/staff").text
    assert client.post("/staff/trial", data=keys).status_code == 204
    late = client.post("/staff/trial", data=keys)
    assert (late.status_code, "已失效" in late.text) == (409, True)
    assert client.post("/staff/trial", data={**keys, "number": "9", "word": "cancel"}).status_code == 409
    for wrong in ({"step": "dance"}, {"word": "dance"}, {"number": ""}, {"arm": "x"}):
        assert client.post("/staff/trial", data={**keys, **wrong}).status_code == 400
    assert client.post("/staff/trial", data={**keys, "word": "cancel"}).status_code == 204
    assert "已取消，什么也没有保存" in client.get("/staff").text
    assert client.post("/staff/trial", data={**keys, "word": "close"}).status_code == 204
    assert "已取消" not in client.get("/staff").text
