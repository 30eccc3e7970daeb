"""A box becomes a gate by the QR code its own reader reads, in the local mode alone; the six characters follow."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding

from gate_agent import enrol_lane
from gate_agent.agent import AlreadyRunning, only_one
from gate_agent.board import Board
from gate_agent.cli import main
from gate_agent.enrol_lane import enrol_at
from gate_agent.enrolment import Enrolled, NotEnrolled
from gate_agent.faces import Enrolling, FaceFacts
from gate_agent.screen.visitor import view
from gate_agent.sync_state import SyncView
from hardware.devices import parse_lane
from hardware.phone_screen import qr_picture
from hardware.pty_scanner import PtyScanner
from tests.certificates import Authority
from tests.gate_agent.small_centre import SmallCentre
from tests.wire import samples
from wire import signing
from wire.invitation import invitation_text
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
