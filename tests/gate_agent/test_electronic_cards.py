"""Electronic cards at a lane: known by their looks alone, asked about once, judged like a card that was tapped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gate_agent.asking import Asker
from gate_agent.board import ShownBy
from gate_agent.decision import LetOut, Refuse
from gate_agent.electronic_cards import PATIENCE, CardQuestions
from gate_agent.lane_state import Word
from gate_agent.recognition import NotOurs, Resolved, electronic_code, recognise
from gate_agent.screen.scans import detail
from gate_agent.screen.speech import Speech
from gate_agent.screen.visitor import view
from gate_agent.sync_state import SyncView
from gate_agent.sync_store import SyncStore
from gate_agent.trusted_time import TrustedTime, clocks_of_this_machine
from hardware.simulated_turnstile import TurnstileTrouble
from hardware.turnstile import Direction
from tests.gate_agent.small_centre import Fault, SmallCentre
from tests.gate_agent.stage import WHO, Stage, admitted, stage_at
from tests.gate_agent.venue import NOW_MS, Ticket, Venue, bad_codes, enrol, set_time
from tests.waiting import until
from wire.credential import CredentialKind
from wire.electronic_card import AUTH_LEVEL, Characters, CodeShape, Finding
from wire.feed import Credential
from wire.messages import EntryKind, Presentation
from wire.reasons import Reason

SHAPE = CodeShape(prefix="SSC1", shortest=28, longest=28, characters=Characters.ALPHANUMERIC)
CODE, OTHER = "SSC1" + "a" * 24, "SSC1" + "b" * 24
LI = (CredentialKind.ID_NUMBER, bytes(range(16)))
STRANGER = (CredentialKind.ID_NUMBER, bytes(16))


class Ministry:
    """Answers a lane's questions without a network; `meanwhile` happens while the visitor waits."""

    def __init__(self) -> None:
        self.said: Resolved = (LI,)
        self.asked: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def ask(self, code: str) -> Resolved:
        self.asked.append(code)
        self.meanwhile()
        return self.said


@pytest.fixture
def ministry() -> Ministry:
    return Ministry()


@pytest.fixture
def venue() -> Venue:
    return Venue(electronic_card=SHAPE)


@pytest.fixture
def stage(tmp_path: Path, ministry: Ministry) -> Iterator[Stage]:
    with stage_at(tmp_path, ways=(Direction.IN, Direction.OUT)) as made:
        for lane in made.lanes:
            lane.ask = ministry.ask
        yield made


def issue_to_li(venue: Venue) -> Ticket:
    """A pass whose holder the list knows by the hash LI."""
    ticket = venue.issue()
    row = venue.passes[ticket.pass_id]
    venue.passes[ticket.pass_id] = msgspec.structs.replace(row, credentials=(*row.credentials, Credential(*LI)))
    return ticket


def test_only_what_looks_like_one_is_one(venue: Venue) -> None:
    phone = venue.phone(venue.issue())
    ours = [*bad_codes(venue).values(), venue.issue().text, phone.short(NOW_MS), phone.full(NOW_MS)]
    assert all(electronic_code(recognise(text), SHAPE) is None for text in ours)
    assert electronic_code(recognise(CODE), SHAPE) == CODE
    assert electronic_code(recognise(CODE + "a"), SHAPE) is None
    assert electronic_code(recognise("134567890123456789"), SHAPE) is None, "a payment code"
    assert electronic_code(recognise(CODE), None) is None
    assert recognise(CODE) == NotOurs(CODE)


def test_a_code_opens_for_the_pass_of_whom_the_centre_names(stage: Stage, venue: Venue, ministry: Ministry) -> None:
    ticket = issue_to_li(venue)
    venue.settle(stage.data_dir)
    assert admitted(stage.show(CODE))
    assert ministry.asked == [CODE]
    (intent,) = stage.written()
    assert (intent.presentation, intent.pass_id) == (Presentation.ELECTRONIC_CARD, ticket.pass_id)
    assert intent.evidence == bytes([AUTH_LEVEL, LI[0]]) + LI[1]
    assert stage.scans()[0].shown_by is ShownBy.ELECTRONIC_CARD


def test_it_is_one_pass_however_it_is_shown(stage: Stage, venue: Venue) -> None:
    ticket = issue_to_li(venue)
    venue.settle(stage.data_dir)
    assert admitted(stage.show(ticket.text))
    stage.wait(30_000)
    assert stage.written()[-1].kind is EntryKind.ANNULLED
    assert admitted(stage.show(CODE))


def test_a_venue_that_takes_none_asks_nobody(stage: Stage, ministry: Ministry) -> None:
    venue = Venue()
    issue_to_li(venue)
    venue.settle(stage.data_dir)
    assert stage.show(CODE) == Refuse(Reason.NOT_OURS)
    assert ministry.asked == []


def test_the_first_of_the_hashes_that_the_list_knows_counts(stage: Stage, venue: Venue, ministry: Ministry) -> None:
    issue_to_li(venue)
    venue.settle(stage.data_dir)
    ministry.said = (STRANGER, LI)
    assert admitted(stage.show(CODE))
    ministry.said = (STRANGER,)
    assert stage.show(OTHER) == Refuse(Reason.CARD_UNKNOWN)


@pytest.mark.parametrize(
    ("reason", "told", "to_staff"),
    [
        (Reason.NEEDS_NETWORK, "请出示年票码", "电子社保卡要联网核验"),
        (Reason.CARD_UNKNOWN, "此卡未开通年票", "没有办年票"),
        (Reason.CODE_TOO_OLD, "请刷新此码", "发卡平台"),
        (Reason.CODE_REUSED, "请刷新此码", "每个只能验一次"),
    ],
)
def test_why_not_is_told_to_visitor_and_staff_and_the_code_is_kept_nowhere(
    stage: Stage, venue: Venue, ministry: Ministry, reason: Reason, told: str, to_staff: str
) -> None:
    issue_to_li(venue)
    venue.settle(stage.data_dir)
    ministry.said = reason
    assert stage.show(CODE) == Refuse(reason)
    snapshot = stage.board.snapshot()
    seen = view(snapshot.status.lanes[0], snapshot.shown[1], snapshot.status, NOW_MS)
    assert told in seen.lines
    assert "我的年票" not in "".join((*seen.lines, seen.band.zh)), "no page of ours draws this code"
    staff = detail(stage.scans()[0], Speech("zh", "Asia/Shanghai", NOW_MS))
    assert to_staff in staff.what
    (refusal,) = stage.written()
    assert (refusal.kind, refusal.presentation, refusal.pass_id) == (
        *(EntryKind.REFUSED, Presentation.ELECTRONIC_CARD),
        None,
    )
    assert not any(CODE.encode() in path.read_bytes() for path in stage.data_dir.iterdir() if path.is_file())


def test_a_closed_lane_uses_no_code_up(stage: Stage, venue: Venue, ministry: Ministry) -> None:
    issue_to_li(venue)
    venue.settle(stage.data_dir)
    stage.order(Word.CLOSED)
    assert stage.show(CODE) == Refuse(Reason.LANE_CLOSED)
    assert ministry.asked == []


def test_what_changes_while_the_visitor_waits_counts(stage: Stage, venue: Venue, ministry: Ministry) -> None:
    issue_to_li(venue)
    venue.settle(stage.data_dir)
    ministry.meanwhile = lambda: stage.order(Word.CLOSED)
    assert stage.show(CODE) == Refuse(Reason.LANE_CLOSED)
    stage.order(Word.OPEN)
    ministry.meanwhile = lambda: stage.arms[0].trouble(TurnstileTrouble.FIRE)
    assert stage.show(CODE) is None
    assert stage.pulses() == []


def test_a_check_asks_and_opens_nothing_and_trying_a_reader_asks_nobody(
    stage: Stage, venue: Venue, ministry: Ministry
) -> None:
    issue_to_li(venue)
    venue.settle(stage.data_dir)
    heard: list[object] = []

    def hear(shown: object) -> bool:
        heard.append(shown)
        return True

    stage.gate.test_next(stage.lanes[0], WHO, hear, 10_000)
    assert stage.show(CODE) is None
    assert (heard, ministry.asked) == ([NotOurs(CODE)], [])
    stage.gate.check_next(stage.lanes[0], WHO)
    assert admitted(stage.show(CODE))
    assert (ministry.asked, stage.pulses()) == ([CODE], [])


def test_whoever_came_in_by_it_gets_out_by_it(stage: Stage, venue: Venue, ministry: Ministry) -> None:
    issue_to_li(venue)
    venue.settle(stage.data_dir)
    assert isinstance(stage.show(CODE, lane=2), LetOut)
    ministry.said = Reason.NEEDS_NETWORK
    assert stage.show(OTHER, lane=2) == Refuse(Reason.NEEDS_NETWORK)


# --- the question itself, over HTTP


@pytest.fixture
def centre() -> Iterator[SmallCentre]:
    with SmallCentre() as made:
        made.cards[CODE] = (Finding.FOUND, (LI,))
        yield made
        made.cards_wait.set()


@pytest.fixture
def questions(tmp_path: Path, centre: SmallCentre) -> CardQuestions:
    enrol(tmp_path)
    set_time(tmp_path)
    return questions_at(tmp_path, centre.url)


def questions_at(data_dir: Path, url: str) -> CardQuestions:
    with closing(SyncStore(data_dir)) as store:
        store._db.execute("UPDATE enrolment SET url = ?", (url,))
    sync, clocks = SyncView.open(data_dir), clocks_of_this_machine()
    return CardQuestions(1, Asker(data_dir, sync, clocks, TrustedTime(sync.evidence, clocks), PATIENCE))


@pytest.mark.parametrize(
    ("finding", "resolved"),
    [
        (Finding.FOUND, (LI,)),
        (Finding.UNKNOWN, Reason.CARD_UNKNOWN),
        (Finding.EXPIRED, Reason.CODE_TOO_OLD),
        (Finding.USED, Reason.CODE_REUSED),
        (Finding.UNREACHABLE, Reason.NEEDS_NETWORK),
    ],
)
def test_what_the_centre_finds(
    centre: SmallCentre, questions: CardQuestions, finding: Finding, resolved: Resolved
) -> None:
    centre.cards[CODE] = (finding, (LI,) if finding is Finding.FOUND else ())
    assert questions.ask(CODE) == resolved


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault.PORTAL, Fault.REDIRECT, Fault.ERROR_PAGE, Fault.REFUSE, Fault.DROP_BEFORE_STORING, Fault.TRUNCATE),
        *(Fault.HALF, Fault.ENDLESS, Fault.WRONG_DIGEST, Fault.OTHER_DEVICE, Fault.OTHER_KEY, Fault.UNKNOWN_KEY),
    ],
)
def test_an_answer_that_is_not_the_centres_to_this_question_is_none(
    centre: SmallCentre, questions: CardQuestions, fault: Fault
) -> None:
    centre.faults.append(fault)
    assert questions.ask(CODE) is Reason.NEEDS_NETWORK
    until(lambda: questions.ask(CODE) == (LI,), what="the next question is answered")


def test_one_connection_is_used_again(centre: SmallCentre, questions: CardQuestions) -> None:
    assert questions.ask(CODE) == (LI,)
    first = questions._asker._centre
    assert questions.ask(CODE) == (LI,)
    assert questions._asker._centre is first


@pytest.mark.slow
def test_a_late_answer_is_none_and_the_next_question_does_not_wait_for_it(
    centre: SmallCentre, questions: CardQuestions, caplog: pytest.LogCaptureFixture
) -> None:
    centre.cards_wait.clear()
    assert questions.ask(CODE) is Reason.NEEDS_NETWORK
    centre.cards_wait.set()
    until(lambda: questions.ask(CODE) == (LI,), what="the network is back")
    assert "800 ms" in caplog.text or "timed out" in caplog.text
    assert CODE not in caplog.text


@pytest.mark.slow
def test_a_question_that_hangs_holds_up_neither_its_visitor_nor_the_next(
    centre: SmallCentre, questions: CardQuestions
) -> None:
    """As one for the centre's address does, which nothing can end."""
    begun, go_on = threading.Semaphore(0), threading.Event()

    def hang(count: int) -> bytes:
        begun.release()
        go_on.wait()
        return bytes(count)

    questions._asker.token_bytes = hang
    assert questions.ask(CODE) is Reason.NEEDS_NETWORK
    assert questions.ask(CODE) is Reason.NEEDS_NETWORK
    assert begun.acquire(timeout=0) and not begun.acquire(timeout=0), "the second was not even begun"
    go_on.set()
    until(lambda: questions.ask(CODE) == (LI,), what="the first has ended, and the lane asks again")


def test_a_box_without_a_centre_says_so(tmp_path: Path) -> None:
    clocks = clocks_of_this_machine()
    sync = SyncView.open(tmp_path)
    asker = Asker(tmp_path, sync, clocks, TrustedTime(sync.evidence, clocks), PATIENCE)
    assert CardQuestions(1, asker).ask(CODE) is Reason.NEEDS_NETWORK
