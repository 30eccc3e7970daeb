"""Tablets over real TLS: everybody sees what visitors see, paired ones act by a PIN, forgotten ones no more."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from msgspec.structs import replace

from gate_agent import browsers, heartbeat, sync_requests, tls
from gate_agent.board import Scan
from gate_agent.faces import Face, State
from gate_agent.pairing import OPEN_MS, TRIES
from gate_agent.screen import tls_front
from gate_agent.screen.app import create_app, serve
from gate_agent.screen.streams import STREAMS_LIMIT
from gate_agent.screen.tablets import COOKIE
from gate_agent.screen.tls_front import CONNECTIONS_LIMIT
from gate_agent.settings import ScreenSettings
from gate_agent.sync_state import RequestAnswer
from tests.gate_agent.agent_process import running
from tests.gate_agent.stage import Stage
from tests.gate_agent.tablet_house import (
    HOST,
    PATIENCE_S,
    STEWARD,
    SUPERVISOR,
    WRONG,
    House,
    Tablet,
    house_at,
    screen_of,
)
from tests.gate_agent.venue import NOW_MS, Venue
from tests.gate_agent.venue_tls import certified
from wire.messages import EntryKind
from wire.reasons import Reason


@pytest.fixture
def house(stage: Stage, venue: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(sync_requests, "ask", lambda *_: RequestAnswer(True))
    with house_at(stage, venue, tmp_path) as house:
        yield house


@pytest.fixture
def paired(house: House) -> Tablet:
    tablet = house.tablet()
    assert tablet.pair(house.code()).status_code == 303
    return tablet


SEEN_BY_ALL = ("/", "/lane/1", "/staff/pair", "/static/staff.css")
STAFF_S = ("/staff", "/staff?lang=en", "/staff/state", "/staff/scan/1", "/staff/photo/1", "/healthz")


def test_everybody_on_the_network_sees_what_visitors_see_and_nothing_of_the_staff_s(house: House) -> None:
    house.board.scan(Scan(1, Reason.EXPIRED, at_ms=NOW_MS, holder="周*明"))
    for cookie in ("", "0" * 43):
        tablet = house.tablet()
        tablet.session.cookies.set(COOKIE, cookie, domain=HOST)
        for path in SEEN_BY_ALL:
            assert tablet.get(path).status_code == 200, path
        for path in (*STAFF_S, "/events/staff", "/staff/find", "/staff/sheet/let_in"):
            answer = tablet.get(path, allow_redirects=False)
            told = (302, "/staff/pair") if path.startswith("/staff") and path[6:7] in ("", "?") else (403, None)
            assert (answer.status_code, answer.headers.get("Location")) == told, path
            assert "周*明" not in answer.text and "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "配对" in tablet.get("/staff").text
        assert tablet.get("/nothing/there").status_code == 404


def test_who_is_paired_sees_the_staff_s_face_whole(house: House, paired: Tablet) -> None:
    house.board.scan(Scan(1, Reason.EXPIRED, at_ms=NOW_MS, holder="周*明"))
    number = house.board.snapshot().scans[0].number
    for path in (*SEEN_BY_ALL, "/staff", "/staff?lang=en", "/staff/state", f"/staff/scan/{number}", "/healthz"):
        assert paired.get(path, allow_redirects=False).status_code == 200, path
    assert "周*明" in paired.get("/staff").text
    assert paired.get(f"/staff/photo/{number}").status_code == 404, "photos stay at the box"
    assert paired.get(heartbeat.PATH).status_code == 404, "what the box tells the centre is not for them"


def test_a_tablet_that_does_not_know_the_authority_does_not_believe_the_box(house: House) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(house.address + "/staff", timeout=PATIENCE_S)


def test_old_tls_and_no_tls_get_nothing(house: House) -> None:
    context = ssl.create_default_context(cafile=house.ca)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    host, port = house.address.removeprefix("https://").split(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as plain, pytest.raises(OSError):
        context.wrap_socket(plain, server_hostname=host)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{host}:{port}/staff", timeout=PATIENCE_S)


@pytest.mark.slow
def test_who_is_not_paired_neither_acts_nor_finds_and_is_told_what_to_do(house: House) -> None:
    tablet = house.tablet()
    form = {"once": house.acts.open_sheet()[0], "lane": "1", "reason": "assisted", "pin": STEWARD, "number": "000001"}
    for cookie in ("", "0" * 43):
        tablet.session.cookies.set(COOKIE, cookie, domain=HOST)
        answers = [tablet.get(path) for path in ("/staff/sheet/let_in?lane=1", "/staff/sheet/sync", "/staff/find")]
        answers += [tablet.post(path, form) for path in ("/staff/act/let_in", "/staff/act/sync", "/staff/find")]
        for answer in answers:
            assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/plain; charset=utf-8")
            assert "没有配对" in answer.text and "/staff/pair" in answer.text
    assert house.stage.pulses() == []
    assert house.events() == []


@pytest.mark.slow
def test_a_paired_tablet_acts_once_and_the_journal_says_from_where(house: House, paired: Tablet) -> None:
    assert 'data-sheet="/staff/sheet/let_in' in paired.get("/staff").text
    once = paired.once("let_in")
    assert [paired.let_in(once).status_code for _ in range(3)] == [200, 200, 200]
    assert len(house.stage.pulses()) == 1
    assert house.events() == [
        ("pair", "张国"),
        ("browser_paired: 平板 2", "张国"),
        ("by_browser: let_in, 平板 2", "李小芳"),
    ]
    by_hand = [entry for entry in house.stage.written() if entry.kind is EntryKind.MANUAL]
    assert [(entry.who, entry.reason) for entry in by_hand] == [("李小芳", "assisted")]
    asked = next(entry for entry in house.stage.written() if (entry.reason or "").startswith("by_browser"))
    assert asked.seq < by_hand[0].seq


@pytest.mark.slow
def test_every_act_still_needs_its_pin(house: House, paired: Tablet) -> None:
    wrong = paired.let_in(paired.once("let_in"), WRONG)
    assert (wrong.status_code, wrong.text) == (403, "PIN 不对，还可试 2 次")
    assert paired.let_in(paired.once("let_in"), "").status_code == 403
    assert house.stage.pulses() == []
    assert [what for what, _ in house.events()].count("by_browser: wrong_pin, 平板 2") == 2


@pytest.mark.slow
def test_a_cookie_in_a_request_of_another_origin_does_nothing(house: House, paired: Tablet) -> None:
    once = paired.once("let_in")
    for origin in ("https://evil.example", "null", "http://127.0.0.1", None):
        assert paired.let_in(once, origin=origin).status_code == 403
        assert paired.post("/staff/find", {"number": "000001"}, origin).status_code == 403
    assert house.stage.pulses() == []
    assert paired.let_in(once).status_code == 200


@pytest.mark.slow
def test_another_host_name_is_refused(house: House, paired: Tablet) -> None:
    for host in ("evil.example", "localhost"):
        headers = {"Host": host, "Origin": f"https://{host}"}
        assert paired.session.get(f"{house.address}/staff", headers=headers, timeout=PATIENCE_S).status_code == 400


def test_the_cookie_is_for_this_page_of_this_host_alone(house: House) -> None:
    answer = house.tablet().pair(house.code())
    (said,) = [value for name, value in answer.raw.headers.items() if name.lower() == "set-cookie"]
    name, *attributes = said.split("; ")
    assert name.startswith("__Host-") and len(name.partition("=")[2]) >= 43
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
    assert not any(one.lower().startswith("domain") for one in attributes)
    assert answer.headers["Location"] == "/staff"


@pytest.mark.slow
def test_a_code_is_not_guessed(house: House) -> None:
    code = house.code()
    wrong = f"{(int(code.replace(' ', '')) + 1) % 10**6:06d}"
    tablet = house.tablet()
    assert [tablet.pair(wrong).status_code for _ in range(TRIES)] == [*[403] * (TRIES - 1), 429]
    late = tablet.pair(code)
    assert (late.status_code, "Set-Cookie" in late.headers, "配对平板" in late.text) == (409, False, True)

    code = house.code()
    house.stage.wait(OPEN_MS)
    assert tablet.pair(code).status_code == 409
    assert browsers.every(house.stage.data_dir) == []


@pytest.mark.slow
def test_a_code_posted_by_another_page_is_not_looked_at(house: House) -> None:
    code = house.code()
    form = {"code": code, "name": "tablet"}
    for origin in ("https://evil.example", "null", None):
        assert house.tablet().post("/staff/pair", form, origin).status_code == 403
    assert house.tablet().get("/staff/pair").headers["Referrer-Policy"] == "same-origin"
    assert house.tablet().pair(code).status_code == 303


@pytest.mark.slow
def test_pairing_is_started_at_the_box_alone(house: House, paired: Tablet) -> None:
    assert "/staff/sheet/pair" not in paired.get("/staff").text
    for answer in (paired.get("/staff/sheet/pair"), paired.post("/staff/act/pair", {"pin": SUPERVISOR})):
        assert (answer.status_code, "闸机自己的屏幕" in answer.text) == (403, True)
    form = {"once": house.acts.open_sheet()[0], "pin": SUPERVISOR}
    assert paired.post("/staff/act/pair", form).status_code == 403
    assert [what for what, _ in house.events()].count("pair") == 1


@pytest.mark.slow
def test_a_forgotten_tablet_does_nothing_from_its_next_tap_on(house: House, paired: Tablet) -> None:
    once = paired.once("let_in")
    browsers.forget(house.stage.data_dir, "平板 2")
    assert paired.let_in(once).status_code == 403
    assert paired.get("/staff/sheet/let_in").status_code == 403
    assert paired.get("/staff", allow_redirects=False).headers["Location"] == "/staff/pair"
    assert house.stage.pulses() == []
    assert paired.pair(house.code()).status_code == 303
    assert paired.let_in(once).status_code == 200


def test_a_forgotten_tablet_hears_no_more_in_the_stream_it_has_open(house: House, paired: Tablet) -> None:
    with paired.get("/events/staff", stream=True) as answer:
        lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
        assert "event: beat" in lines
        browsers.forget(house.stage.data_dir, "平板 2")
        house.board.scan(Scan(1, Reason.EXPIRED, at_ms=NOW_MS, holder="周*明"))
        assert not any("周*明" in line for line in lines), "and it ends"


def test_a_lane_s_stream_tells_each_change_to_everybody(house: House) -> None:
    with house.tablet().get("/events/lane/1", stream=True) as answer:
        lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
        assert any("data-state" in line for line in lines)
        house.board.face(1, Face(State.ADMITTED))
        assert any('data-state="admitted"' in line for line in lines)


@pytest.mark.slow
def test_streams_are_bounded_and_take_none_of_the_box_s_own(house: House) -> None:
    own, own_url = serve(create_app(house.board, lambda: NOW_MS), 0)
    opened = [house.tablet().get("/events/lane/1", stream=True) for _ in range(STREAMS_LIMIT)]
    try:
        assert [answer.status_code for answer in opened] == [200] * STREAMS_LIMIT
        refused = house.tablet().get("/events/lane/2")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert house.tablet().get("/lane/1").ok
        with requests.get(own_url + "/events/lane/1", stream=True, timeout=PATIENCE_S) as answer:
            assert answer.status_code == 200
    finally:
        for answer in opened:
            answer.close()
        own.close()


@pytest.mark.slow
def test_connections_that_say_nothing_are_bounded_and_let_go(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_front, "HANDSHAKE_LIMIT_S", 0.5)
    host, port = house.address.removeprefix("https://").split(":")
    silent = [socket.create_connection((host, int(port)), PATIENCE_S) for _ in range(CONNECTIONS_LIMIT + 1)]
    try:
        assert house.tablet().get("/lane/1").ok
        for one in silent[:CONNECTIONS_LIMIT]:
            assert one.recv(1) == b""
    finally:
        for one in silent:
            one.close()


@pytest.mark.slow
def test_no_form_is_too_large_and_one_connection_serves_many_requests(paired: Tablet) -> None:
    with suppress(requests.ConnectionError):  # the box hangs up on what is still being sent
        assert paired.post("/staff/act/sync", {"pin": "1" * 100_000}).status_code == 413
    assert {paired.get("/static/staff.css").status_code for _ in range(20)} == {200}
    assert len(paired.get("/static/staff.css").content) > 10_000


def test_closing_ends_everything_and_a_taken_port_is_said(house: House) -> None:
    with pytest.raises(OSError):
        house.serve()
    with house.tablet().get("/events/lane/1", stream=True) as answer, suppress(requests.RequestException):
        house.close()
        assert not any(b"never" in piece for piece in answer.iter_content(1))
    with pytest.raises(requests.ConnectionError):
        house.tablet().get("/staff")


def settings_file(folder: Path, screen: ScreenSettings) -> None:
    text = f'[screen]\nlisten = "{screen.listen}"\ntls_cert = "{screen.tls_cert}"\ntls_key = "{screen.tls_key}"\n'
    (folder / "gate.toml").write_text(text)


@pytest.mark.story
def test_a_running_gate_serves_tablets_beside_its_own_screen_and_ends_at_once(tmp_path: Path) -> None:
    files = certified(tmp_path, HOST)
    screen = screen_of(files)
    settings_file(tmp_path, screen)

    def get(url: str, stream: bool = False) -> requests.Response:
        return requests.get(url, verify=str(files.ca), timeout=PATIENCE_S, stream=stream)

    with running(tmp_path, ["1:reader=sim,turnstile=sim"]) as agent:
        own, tablets = agent.ready["screen"], f"https://{screen.listen}"
        for url in (own, tablets):
            assert 'data-state="' in get(f"{url}/lane/1").text
        assert "/staff/sheet/pair" in get(f"{own}/staff").text
        assert "/staff/sheet" not in get(f"{tablets}/staff").text
        assert get(f"{tablets}/sim").status_code == 404
        with get(f"{tablets}/events/lane/1", stream=True):
            assert agent.stop() == 0


@pytest.mark.story
def test_a_gate_without_tablets_offers_no_pairing(tmp_path: Path) -> None:
    with running(tmp_path, ["1:reader=sim,turnstile=sim"]) as agent:
        page = requests.get(agent.ready["screen"] + "/staff", timeout=PATIENCE_S).text
        assert "/staff/sheet/sync" in page and "/staff/sheet/pair" not in page
        assert requests.get(agent.ready["screen"] + "/staff/pair", timeout=PATIENCE_S).status_code == 404


@pytest.mark.story
@pytest.mark.parametrize("wrong", ["listen", "cert", "key", "port"])
def test_a_gate_does_not_start_with_what_tablets_cannot_be_served_by(tmp_path: Path, wrong: str) -> None:
    files = certified(tmp_path, HOST)
    screen = screen_of(files)
    if wrong == "listen":
        screen = replace(screen, tls_key="")
    elif wrong == "cert":
        files.cert.write_text("no certificate")
    elif wrong == "key":
        files.key.chmod(0o644)
    settings_file(tmp_path, screen)
    command = [sys.executable, "-m", "gate_agent", "run", "--data", str(tmp_path), "--no-sync", "--screen-port", "0"]
    with socket.create_server((HOST, int(screen.listen.rpartition(":")[2]) if wrong == "port" else 0)):
        told = subprocess.run([*command, "--simulate"], capture_output=True, text=True, timeout=30, check=False)
    assert told.returncode == 78
    says = {"listen": "screen.tls_key", "cert": "cannot be used together", "key": "chmod 600", "port": "another port"}
    assert says[wrong] in told.stderr


def test_an_address_that_is_not_there_yet_is_listened_at_all_the_same() -> None:
    assert tls.is_of_this_machine(HOST)
    assert not tls.is_of_this_machine("203.0.113.9")
    with tls_front.listen(("203.0.113.9", 0)) as listening:
        assert listening.getsockname()[0] == "203.0.113.9"
