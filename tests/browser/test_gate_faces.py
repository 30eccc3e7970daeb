"""The visitor face in a real browser: every sentence fits both screens, the veil falls by itself, sounds come once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from gate_agent.board import Board
from gate_agent.faces import FAMILY, IDLE, Face, FaceFacts, Family, Label, LaneTrouble, Limit, State, Verdict
from gate_agent.lane_state import LaneState
from gate_agent.screen.app import create_app, serve
from gate_agent.screen.streams import BEAT_S
from gate_agent.status import LaneStatus, Side, Status, Way
from hardware.card_reader import CardTrouble
from tests.gate_agent.agent_process import running
from tests.gate_agent.beijing import NOW_MS, at, day
from wire.calendar import DayRange, Hours
from wire.reasons import Reason

pytestmark = pytest.mark.browser

SIZES = [(1280, 800), (800, 480)]
VEIL_S = 3.0
BUSY_S = 2.0  # what a machine with other work may add

AT_REST = {Family.IDLE, Family.FIRE}
FULL = FaceFacts(
    until_ms=at(15, 0, month=3, year=2027),
    from_ms=at(23, 10, 20),
    at_ms=at(21, 9, 12),
    at_lane=12,
    next_ms=at(21, 14, 30),
    to_lane=12,
    entries_today=1,
    hours=Hours(8 * 60, 17 * 60 + 30),
    dates=DayRange(day(1, month=10), day(7, month=10)),
    slot=Hours(8 * 60, 12 * 60),
    age_s=86,
    count=12,
    of_count=34,
    trouble=LaneTrouble.READER,
)
DRAWN: dict[str, tuple[int, Face]] = {
    "idle": (1, IDLE),
    "reading": (1, Face(State.READING)),
    "admitted": (
        1,
        Face(State.ADMITTED, FaceFacts(entries_today=1, until_ms=FULL.until_ms), "李*花", Label("汴京旅游年票")),
    ),
    "admitted-left": (3, Face(State.ADMITTED, FaceFacts(venues_left=3, venues_all=5), "王*强", Label("汴河五景联票"))),
    "used": (1, Face(Reason.USED_UP, FaceFacts(at_ms=at(21, 9, 12), at_lane=2))),
    "not-yet": (1, Face(Reason.NOT_YET_ACTIVE, FaceFacts(from_ms=at(23, 10, 20)))),
    "staff": (1, Face(Reason.NOT_IN_LIST)),
    "refresh": (1, Face(Reason.CODE_TOO_OLD)),
    "network": (1, Face(Reason.NEEDS_NETWORK)),
    "closed": (1, Face(Reason.LANE_CLOSED, FaceFacts(to_lane=2))),
    "fault": (3, Face(Reason.FAULT, FaceFacts(to_lane=2, trouble=LaneTrouble.READER))),
    "fire": (1, Face(State.FIRE)),
}
"""The faces of which there are drawings, by the drawing's name."""

# What does not fit: text that is cut off, leaves the screen, or runs under the way panel, into the bar or the band.
MISFITS = """() => {
  const wrong = [];
  const all = (names) => [...document.querySelectorAll(names.split(" ").map((name) => `.face ${name}`))];
  const box = (element) => element.getBoundingClientRect();
  const range = document.createRange();
  const words = (element) => { range.selectNodeContents(element); return box(range); };
  const [face, way] = [document.querySelector(".face"), document.querySelector(".face .way")];
  if (box(face).height !== innerHeight || box(face).width !== innerWidth) wrong.push("the face is not the screen");
  for (const element of all("h1 span:not(.dots) p b small time .place .do .way svg")) {
    const { left, top, right, bottom } = box(element);
    const name = `${element.tagName} ${element.textContent.trim()}`;
    const inside = left >= -1 && top >= -1 && right <= innerWidth + 1 && bottom <= innerHeight + 1;
    if (!inside) wrong.push(`off the screen: ${name}`);
    if (element.clientWidth && element.scrollWidth > element.clientWidth + 1) wrong.push(`cut off: ${name}`);
    if (!way || element.closest(".way") || element.children.length) continue;
    const text = words(element);
    const under = text.width && text.right > box(way).left - 8 && text.left < box(way).right;
    if (under) wrong.push(`under the way: ${name}`);
  }
  const said = all("main").flatMap((main) => [...main.querySelectorAll("h1, p, svg")]).map(box);
  if (Math.min(...said.map((one) => one.top)) < box(all(".bar")[0]).bottom - 1) wrong.push("runs into the bar");
  if (Math.max(...said.map((one) => one.bottom)) > box(all(".do")[0]).top + 1) wrong.push("runs into the band");
  return wrong;
}"""


WAYS = {1: Way.UP, 2: Way.RIGHT, 3: Way.LEFT, 4: Way.LEFT}
EXIT = 4


@dataclass
class Gate:
    """A board and the address that shows it."""

    board: Board
    url: str

    def show(self, lane: int, face: Face) -> None:
        """As a verdict, but for what is never one."""
        if FAMILY[face.verdict] in AT_REST:
            self.board.rest(lane, face)
        else:
            self.board.face(lane, face)


def new_board() -> Board:
    board = Board(tuple(WAYS), lambda: time.monotonic_ns() // 1_000_000)
    lanes = tuple(
        LaneStatus(lane, LaneState.OPEN, Side.EXIT if lane == EXIT else Side.ENTRY, way) for lane, way in WAYS.items()
    )
    board.status(
        Status(lanes=lanes, venue=Label("汴河虹桥景区", "Rainbow Bridge"), gate="北门 · 闸机 G-02", enrolled=True)
    )
    for lane in WAYS:
        board.rest(lane, IDLE)
    return board


def serving(beat_s: float) -> Iterator[Gate]:
    board = new_board()
    server, url = serve(create_app(board, lambda: NOW_MS, beat_s=beat_s), 0)
    yield Gate(board, url)
    server.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    yield from serving(BEAT_S)


@pytest.fixture
def gate_of_one_beat() -> Iterator[Gate]:
    """A gate that freezes after its first beat."""
    yield from serving(beat_s=3600)


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """No error may be written to the browser's console, and a violated policy is one."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield said
    assert said == []


def variants(verdict: Verdict) -> list[FaceFacts]:
    """The longest facts, none at all, and every limit a pass can have used up."""
    facts = [FULL, FaceFacts()]
    if verdict is Reason.MALFORMED:
        facts += [FaceFacts(card=card) for card in CardTrouble]
    if verdict is Reason.USED_UP:
        facts += [FaceFacts(at_ms=at(21, 9, 12, year=2025), limit=limit) for limit in Limit]
    if verdict is Reason.WRONG_TIME_SLOT:
        slots = (Hours(540, 690, 0b001_1111), Hours(540, 690, 0b000_1010), Hours(540, 690, 0b110_1010))
        facts += [FaceFacts(slot=slot) for slot in slots]
    if verdict is Reason.BLACKOUT:
        facts += [FaceFacts(dates=DayRange(day(28, month=12), day(28, month=1, year=2028)))]
    if verdict is State.ADMITTED:
        facts += [FaceFacts(venues_left=2, venues_all=6), FaceFacts(left_here=108), FaceFacts(left_here=0)]
        facts += [FaceFacts(until_ms=at(20, 0, month=12), entries_today=1), FaceFacts(entries_today=1)]
    return facts


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_face_fits(
    gate: Gate, page: Page, complaints: list[str], shoot: Callable[[Page, str], None], width: int, height: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.goto(f"{gate.url}/lane/1")
    misfits = {}
    for verdict in (verdict for verdict in FAMILY if verdict is not State.READING):
        for number, facts in enumerate(variants(verdict)):
            show(gate, page, 1, Face(verdict, facts, "欧阳*华", Label("汴京旅游年票")))
            shoot(page, f"gate/faces/{verdict}-{number}-{width}x{height}")
            if wrong := page.evaluate(MISFITS):
                misfits[f"{verdict} {number}"] = wrong
    assert misfits == {}


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_way_to_walk_fits_at_entry_and_exit(
    gate: Gate, page: Page, complaints: list[str], width: int, height: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    sent = (State.ADMITTED, State.ADMITTED_GROUP, State.EXIT, Reason.LANE_CLOSED, Reason.OTHER_LANE, State.HELD_OPEN)
    for lane, way in WAYS.items():
        page.goto(f"{gate.url}/lane/{lane}")
        for verdict in sent:
            show(gate, page, lane, Face(verdict, replace(FULL, to_lane=12 if lane < EXIT else 1), "欧阳*华"))
            assert page.evaluate(MISFITS) == [], (lane, verdict)
            if FAMILY[verdict] is Family.GO:
                expect(page.locator(f".face.dir-{way}")).to_have_count(1)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_drawn_faces(
    gate: Gate, page: Page, complaints: list[str], shoot: Callable[[Page, str], None], width: int, height: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    for name, (lane, face) in DRAWN.items():
        page.goto(f"{gate.url}/lane/{lane}")
        gate.show(lane, face)
        expect(page.locator(".face")).to_have_attribute("data-state", face.verdict)
        expect(page.locator(".bar time")).to_have_text("10:42:18")
        assert page.evaluate(MISFITS) == [], name
        shoot(page, f"gate/visitor-{name}-{width}x{height}")
        gate.show(lane, IDLE)


def show(gate: Gate, page: Page, lane: int, face: Face) -> None:
    """Show a face and wait until it stands on the page."""
    gate.show(lane, face)
    on_page = page.locator(".face")
    expect(on_page).to_have_attribute("data-state", face.verdict)
    expect(on_page).to_have_attribute("data-number", str(gate.board.snapshot().shown[lane].number))


def test_a_verdict_is_on_the_screen_within_a_tenth_of_a_second(gate: Gate, page: Page) -> None:
    page.goto(f"{gate.url}/lane/1")
    expect(page.locator(".dots .on")).to_have_count(1)
    page.evaluate("""() => { window.shown = new Promise((done) => new MutationObserver(() => done(Date.now()))
        .observe(document.getElementById("face"), { childList: true })) }""")
    told_ms = time.time_ns() // 1_000_000
    gate.board.face(1, Face(Reason.EXPIRED))
    assert page.evaluate("window.shown") - told_ms < 100


NOTE_FIRST_BEAT = """new MutationObserver(() => {
  if (!window.firstBeat && document.documentElement?.className === "beat-b") window.firstBeat = performance.now();
}).observe(document, { attributes: true, subtree: true })"""
# How long after the beat that turns out to be the last the veil is down.
WATCH_FROM_LAST_BEAT = """() => {
  let last = performance.now();
  new MutationObserver(() => { last = performance.now(); })
    .observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  window.fell = new Promise((done) => {
    const look = (now) => {
      if (getComputedStyle(document.querySelector(".frozen-veil")).opacity === "1") done(now - last);
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
}"""
# Watches the veil frame by frame: how long after the first beat it was down, or how far it ever came within `ms`.
WATCH_VEIL = """(ms) => new Promise((done) => {
  const veil = document.querySelector(".frozen-veil, .stale");
  let most = 0;
  const look = (now) => {
    const opacity = Number(getComputedStyle(veil).opacity);
    most = Math.max(most, opacity);
    if (opacity === 1) done({ fell_ms: now - window.firstBeat, most });
    else if (now - window.firstBeat > ms) done({ fell_ms: null, most });
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""


def test_without_beats_the_screens_are_covered_after_three_seconds_and_not_before(
    gate_of_one_beat: Gate, context: BrowserContext
) -> None:
    gate_of_one_beat.board.face(1, Face(State.ADMITTED, FULL, "李*花"))
    context.add_init_script(NOTE_FIRST_BEAT)
    for page in opened(context, gate_of_one_beat):
        fell_ms = page.evaluate("window.watched")["fell_ms"]
        assert VEIL_S * 1000 - 100 <= fell_ms <= (VEIL_S + BUSY_S) * 1000


def test_with_beats_the_veil_never_stirs(gate: Gate, context: BrowserContext) -> None:
    context.add_init_script(NOTE_FIRST_BEAT)
    for page in opened(context, gate):
        assert page.evaluate("window.watched") == {"fell_ms": None, "most": 0}


def opened(context: BrowserContext, gate: Gate) -> list[Page]:
    """Both faces side by side, watched for five seconds from now on."""
    pages = [context.new_page() for _ in range(2)]
    for page, path in zip(pages, ("/lane/1", "/staff"), strict=True):
        page.goto(gate.url + path)
        page.evaluate(f"() => {{ window.watched = ({WATCH_VEIL})(5000) }}")
    return pages


def test_a_killed_gate_is_covered_three_seconds_after_its_last_beat(
    tmp_path: Path, page: Page, shoot: Callable[[Page, str], None]
) -> None:
    with running(tmp_path, ["1:reader=sim,turnstile=sim"], "--simulate") as agent:
        page.goto(f"{agent.ready['screen']}/lane/1")
        expect(page.locator(".dots .on")).to_have_count(1)
        page.evaluate(WATCH_FROM_LAST_BEAT)
        agent.kill()
    fell_ms = page.evaluate("window.fell")
    assert VEIL_S * 1000 - 100 <= fell_ms <= (VEIL_S + 0.5 + BUSY_S) * 1000
    shoot(page, "gate/visitor-killed")


def test_the_veil_falls_though_no_script_runs_and_is_opaque(
    gate_of_one_beat: Gate, new_context: Callable[..., object], shoot: Callable[[Page, str], None]
) -> None:
    viewport = {"width": 800, "height": 480}
    page = new_context(java_script_enabled=False, viewport=viewport).new_page()  # type: ignore[attr-defined]
    gate_of_one_beat.board.face(1, Face(State.ADMITTED, FULL, "李*花"))
    page.goto(f"{gate_of_one_beat.url}/lane/1")
    expect(page.locator(".frozen-veil")).to_have_css("opacity", "1", timeout=(VEIL_S + BUSY_S) * 1000)
    expect(page.locator(".frozen-veil h1")).to_have_text("画面已停止请看闸机指示灯")
    shoot(page, "gate/visitor-frozen-800x480")


def test_the_page_comes_back_by_itself_when_the_gate_is_started_anew(page: Page) -> None:
    board = new_board()
    server, url = serve(create_app(board, lambda: NOW_MS), 0)
    page.goto(f"{url}/lane/1")
    expect(page.locator(".dots .on")).to_have_count(1)
    server.close()
    expect(page.locator(".frozen-veil")).to_have_css("opacity", "1", timeout=(VEIL_S + BUSY_S) * 1000)
    expect(page.locator(".frozen-veil .last")).to_have_text("最后更新 10:42:18")
    again = new_board()
    again.rest(1, Face(Reason.LANE_CLOSED))
    server, _ = serve(create_app(again, lambda: NOW_MS), int(url.rpartition(":")[2]))
    expect(page.locator(".face")).to_have_attribute("data-state", "lane_closed", timeout=20_000)
    expect(page.locator(".frozen-veil")).to_have_css("opacity", "0")
    server.close()


# Every tone that is played, in order: Hz and ms; and whether the browser lets them be heard without a touch.
HEAR = """window.heard = []; window.OscillatorNode = class extends OscillatorNode {
  constructor(context, options) { super(context, options); this.hz = options.frequency; window.context = context; }
  start(at) { this.at = at; super.start(at); }
  stop(at) { window.heard.push([this.hz, Math.round((at - this.at) * 1000)]); super.stop(at); }
};"""
SOUNDS: dict[Verdict, list[list[int]]] = {
    State.ADMITTED: [[880, 90], [1319, 140]],
    Reason.CODE_TOO_OLD: [[660, 80], [660, 80]],
    Reason.BLACKOUT: [[660, 120], [440, 200]],
    Reason.EXPIRED: [[220, 450]],
    Reason.FORGED: [[523, 100], [523, 100], [523, 100]],
    Reason.LANE_CLOSED: [[330, 200]],
    Reason.FAULT: [[330, 200]],
}
"""guide.md, Families."""


def test_each_verdict_sounds_once_in_its_own_way(gate: Gate, page: Page, complaints: list[str]) -> None:
    page.add_init_script(HEAR)
    gate.board.face(1, Face(Reason.EXPIRED))
    page.goto(f"{gate.url}/lane/1")
    expect(page.locator(".dots .on")).to_have_count(1)
    assert page.evaluate("window.heard") == [], "a page opened on a verdict does not repeat its sound"
    for verdict, sound in SOUNDS.items():
        show(gate, page, 1, Face(verdict))
        gate.board.prolong(1)
        assert page.evaluate("window.heard.splice(0)") == sound, verdict
    for silent in (Face(Reason.LANE_CLOSED), Face(State.FIRE), IDLE):
        gate.board.rest(1, silent)
        page.evaluate("() => new Promise(requestAnimationFrame)")
    assert page.evaluate("window.heard") == [], "no verdict, no sound"
    assert page.evaluate("window.context.state") == "running", "heard without anybody's touch, as the kiosk is started"
