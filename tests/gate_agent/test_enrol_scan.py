"""A box becomes a gate by the QR code its own reader reads, in the local mode alone; the six characters follow."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
import requests
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding

from gate_agent import enrol_lane
from gate_agent.agent import AlreadyRunning, only_one
from gate_agent.board import Board
from gate_agent.cli import main
from gate_agent.decision import Refuse
from gate_agent.enrol_lane import enrol_at
from gate_agent.enrolment import Enrolled, NotEnrolled
from gate_agent.faces import Enrolling, FaceFacts
from gate_agent.recognition import FlawedCode
from gate_agent.screen.visitor import view
from gate_agent.staff import Role, add
from gate_agent.sync_state import SyncView
from hardware.card_reader import CardFault, CardTrouble
from hardware.devices import parse_lane
from hardware.phone_screen import qr_picture
from hardware.pty_scanner import PtyScanner
from tests.certificates import Authority
from tests.gate_agent.agent_process import lane, running
from tests.gate_agent.small_centre import SmallCentre
from tests.gate_agent.stage import Stage, stage_at
from tests.gate_agent.test_sync_requests import syncing
from tests.gate_agent.venue import Venue
from tests.waiting import until
from tests.wire import samples
from wire import signing
from wire.invitation import invitation_text, read_invitation
from wire.reasons import Reason

ROOT = signing.public_key_of(samples.ROOT)


@pytest.fixture
def centre() -> Iterator[SmallCentre]:
    with SmallCentre() as small:
        yield small


@pytest.fixture
def scanner() -> Iterator[PtyScanner]:
    typed = PtyScanner()
    yield typed
    typed.close()


def code_of(centre: SmallCentre, ca: bytes = b"") -> str:
    return invitation_text(centre.url, centre.code.secret, ROOT, ca)


class Screen:
    """The lane's screen: what it said, one after the other."""

    def __init__(self, on_show: Callable[[], None] = lambda: None) -> None:
        self.said: list[FaceFacts] = []
        self._on_show = on_show
        self._closed = threading.Event()

    def serve(self, board: Board) -> Callable[[], None]:
        threading.Thread(target=self._watch, args=(board,), daemon=True).start()
        return self._closed.set

    def _watch(self, board: Board) -> None:
        version = 0
        while not self._closed.is_set():
            snapshot = board.wait(version, 0.05)
            version = snapshot.version
            face = snapshot.shown[1].face
            if face.verdict is Reason.LANE_CLOSED and face.facts not in self.said:
                self.said.append(face.facts)
                if face.facts.enrolling is Enrolling.SHOW:
                    self._on_show()


def spec_of(reader: str, folder: Path) -> str:
    return f"1:reader={reader},turnstile=file:{folder / 'pulses'}"


def test_a_scanner_reads_it_and_the_screen_shows_the_six_characters(
    tmp_path: Path, centre: SmallCentre, scanner: PtyScanner
) -> None:
    def show() -> None:
        for text in ("GATE:HELLO", "https://pay.example/1", samples.exact_bytes()["token.static"], code_of(centre)):
            scanner.type(text)

    screen, compared = Screen(show), list[str]()

    def compare(enrolled: Enrolled) -> None:
        compared.append(enrolled.check)
        for _ in range(500):
            if screen.said and screen.said[-1].check:
                break
            threading.Event().wait(0.01)

    spec = parse_lane(spec_of(f"serial:{scanner.path}", tmp_path))
    enrolled = enrol_at(tmp_path / "box", spec, "gate-3", False, screen.serve, compare)
    assert isinstance(enrolled, Enrolled)
    assert compared == [enrolled.check]
    assert screen.said[0].enrolling is Enrolling.SHOW
    assert screen.said[-1] == FaceFacts(enrolling=Enrolling.COMPARE, check=enrolled.check)
    assert SyncView.open(tmp_path / "box").read().device == samples.DEVICE_ID
    assert (tmp_path / "pulses").read_bytes() == b""


def test_a_camera_reads_one_with_a_ca(tmp_path: Path) -> None:
    authority = Authority()
    with SmallCentre(tls=authority.server_side(tmp_path / "server")) as centre:
        code = code_of(centre, authority.certificate.public_bytes(Encoding.DER))
        cv2.imwrite(str(tmp_path / "phone.png"), qr_picture(code, 5))
        spec = parse_lane(spec_of(f"camera:{tmp_path / 'phone.png'}", tmp_path))
        answer = enrol_at(tmp_path / "box", spec, "gate-3", False, Screen().serve, lambda _: None)
    assert isinstance(answer, Enrolled)


def test_who_shows_nothing_enrols_nothing(
    tmp_path: Path, centre: SmallCentre, scanner: PtyScanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrol_lane, "SCAN_LIMIT_MS", 300)
    spec = parse_lane(spec_of(f"serial:{scanner.path}", tmp_path))
    answer = enrol_at(tmp_path / "box", spec, "gate-3", False, Screen().serve, lambda _: None)
    assert isinstance(answer, NotEnrolled)
    assert "no enrolment code was read at lane 1" in answer.say
    assert centre.requests == []


def test_beside_a_running_agent_the_readers_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    end = only_one(tmp_path / "box")
    spec = parse_lane("1:reader=sim,turnstile=sim")
    with pytest.raises(AlreadyRunning):
        enrol_at(tmp_path / "box", spec, "gate-3", False, Screen().serve, lambda _: None)
    end()


def test_the_command(tmp_path: Path, centre: SmallCentre) -> None:
    cv2.imwrite(str(tmp_path / "phone.png"), qr_picture(code_of(centre), 5))
    lane = spec_of(f"camera:{tmp_path / 'phone.png'}", tmp_path)
    command = ["enrol", "--data", str(tmp_path / "box"), "--scan", "1", "--lane", lane, "--screen-port", "0"]
    done = CliRunner(catch_exceptions=False).invoke(main, command, input="\n")
    assert done.exit_code == 0
    told = json.loads(next(line for line in done.output.splitlines() if line.startswith("{")))
    assert told["status"] == "pending"
    assert f"Compare {told['check']}" in done.output
    again = CliRunner(catch_exceptions=False).invoke(main, command, input="\n")
    assert (again.exit_code, "--replace" in again.output) == (1, True)
    assert CliRunner().invoke(main, [*command, "--replace"], input="\n").exit_code == 0
    assert CliRunner().invoke(main, [*command, "--url", "https://x"]).exit_code == 2
    assert CliRunner().invoke(main, command[:3]).exit_code == 2


def test_the_lanes_screen_says_it_in_words(tmp_path: Path) -> None:
    from gate_agent.board import Shown
    from gate_agent.status import LaneStatus, Status

    def seen(step: Enrolling, check: str = "") -> tuple[tuple[str, ...], str, str, str]:
        face = view(LaneStatus(1), Shown(enrol_lane.face_of(step, check), 0), Status(), None)
        return face.lines, face.en, face.fact, face.band.zh

    assert seen(Enrolling.SHOW) == (("请出示登记码",), "Show the enrolment code", "", "中心“登记闸机”页面上的二维码")
    assert seen(Enrolling.COMPARE, "K7Q-2MA") == (
        ("请核对六位码",), "Compare the characters", "K7Q-2MA", "与中心页面上的一致才批准",
    )  # fmt: skip


# --- at a running gate: a supervisor opens the mode


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_at(tmp_path) as opened:
        yield opened


CODE = invitation_text("https://gates.example", bytes(10), ROOT)


def test_in_normal_operation_such_a_code_is_one_for_another_purpose(stage: Stage) -> None:
    Venue().settle(stage.data_dir)
    assert stage.show(CODE) == Refuse(Reason.WRONG_PURPOSE)
    assert stage.pulses() == []
    [refused] = stage.written()
    assert refused.reason == "wrong_purpose"
    assert CODE.encode() not in (refused.evidence or b"")


def waiting_for_code(stage: Stage) -> tuple[list[object], Callable[[], Enrolling | None]]:
    """The mode is open at lane 1: what was heard there, and what its screen asks for."""
    heard: list[object] = []

    def hear(shown: object) -> bool:
        heard.append(shown)
        return isinstance(shown, FlawedCode) and read_invitation(shown.text) is not None

    assert stage.gate.enrol_next(stage.lanes[0], "张国", hear, 120_000) is None
    return heard, lambda: stage.gate.standing.rest(1).facts.enrolling


def test_the_mode_takes_one_code_passes_over_the_rest_and_opens_nothing(stage: Stage) -> None:
    stage.look()
    heard, asks = waiting_for_code(stage)
    assert asks() is Enrolling.SHOW
    for raw in ("https://pay.example", samples.exact_bytes()["token.static"]):
        assert stage.show(raw) is None
    stage.gate.unreadable(stage.lanes[0], CardFault(CardTrouble.MUTE))
    assert asks() is Enrolling.SHOW
    assert stage.show(CODE) is None
    assert (len(heard), asks()) == (4, None)
    assert stage.show(CODE) == Refuse(Reason.WRONG_PURPOSE)
    assert (len(heard), stage.pulses()) == (4, [])


def test_the_mode_ends_by_itself(stage: Stage) -> None:
    stage.look()
    heard, asks = waiting_for_code(stage)
    stage.wait(119_000)
    assert asks() is Enrolling.SHOW
    stage.wait(1_000)
    assert asks() is None
    assert stage.show(CODE) == Refuse(Reason.WRONG_PURPOSE)
    assert heard == []


@pytest.mark.story
def test_a_supervisor_lets_a_running_gate_scan_its_code(tmp_path: Path, scanner: PtyScanner) -> None:
    add(tmp_path, "张国", Role.SUPERVISOR, "583920")
    add(tmp_path, "李小芳", Role.STEWARD, "4071")
    lanes = [lane(1, scanner.path, tmp_path)]
    with SmallCentre() as centre, running(tmp_path, lanes) as agent, syncing(tmp_path):
        centre.approved = False
        screen = str(agent.ready["screen"])

        def send(pin: str) -> requests.Response:
            page = requests.get(f"{screen}/staff/sheet/enrol_scan", params={"lane": "1"}, timeout=10)
            fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text))
            return requests.post(f"{screen}/staff/act/enrol_scan", data={**fields, "pin": pin}, timeout=30)

        def shown() -> str:
            return requests.get(f"{screen}/lane/1", timeout=10).text

        scanner.type(code_of(centre))  # nobody has opened the mode
        until(lambda: [entry.reason for entry in agent.entries()] == ["wrong_purpose"], what="it is refused")
        assert send("4071").status_code == 403
        assert "请在两分钟内出示" in send("583920").text
        until(lambda: "请出示登记码" in shown(), what="the lane asks for the code")
        scanner.type("https://pay.example/1")
        scanner.type(code_of(centre))
        until(lambda: "请核对六位码" in shown(), what="the lane shows the characters")
        public_key = next(iter(centre.devices.values()))
        assert signing.check_characters(public_key) in shown()
        again = send("583920")
        assert (again.status_code, "--replace" in again.text) == (409, True)
        centre.lists.publish(42)
        centre.approved = True
        until(lambda: "请核对六位码" not in shown(), 30.0, what="the lane opens")
        told = [(entry.reason, entry.who) for entry in agent.entries() if entry.who]
        assert told[:3] == [
            ("enrol_scan refused: not_allowed", "李小芳"), ("enrol_scan", "张国"), ("enrolled", "张国"),
        ]  # fmt: skip
        assert agent.pulses() == []
