"""A lane with a card reader: real pcscd, virtual cards, the agent as a venue runs it; no number is written anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from gate_agent.facts import AUTH_LEVEL
from hardware.card_reader import CardAuth, CardRead
from hardware.pty_scanner import PtyScanner
from tests.gate_agent.agent_process import AgentProcess, running
from tests.gate_agent.venue import SINGLE, Ticket, Venue
from tests.hardware.card_stack import CardStack
from tests.hardware.social_security_card import AREA, ID_NUMBER, IDENTIFICATION, SocialSecurityCard, files
from tests.waiting import until
from wire.messages import Entry, EntryKind, Presentation
from wire.reasons import Reason

pytestmark = pytest.mark.slow  # pcscd looks for cards every 0.4 s

CARD_NUMBER = "A87654321"
UNKNOWN_ID, UNKNOWN_NUMBER, NEXT_NUMBER = "110105195001010019", "Z99999999", "Z99999998"
NO_PROOF = b"\0"


@dataclass
class House:
    """The agent, and who holds which card."""

    agent: AgentProcess
    stack: CardStack
    by_number: Ticket
    by_id: Ticket

    def tapped(self, card: SocialSecurityCard, pull_after: int | None = None) -> None:
        """Hold a card to the reader until it has been read, and take it away."""
        self.stack.await_cards(0)
        with self.stack.insert(card, pull_after=pull_after):
            until(lambda: len(card.heard) >= (4 if pull_after is None else pull_after), what="the card is read")
            self.stack.await_cards(1 if pull_after is None else 0)

    def new_entries(self, before: int, count: int) -> list[Entry]:
        """The entries after the first `before` ones, once there are `count`."""
        until(lambda: len(self.agent.entries()) >= before + count, what="entries")
        return self.agent.entries()[before:]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, card_stack: CardStack) -> Iterator[House]:
    """One visitor is listed by the card's number, as third-generation cards are, one by the ID number alone."""
    folder = tmp_path_factory.mktemp("gate")
    venue = Venue()
    by_number = venue.issue(SINGLE, card=CardRead(AREA, CARD_NUMBER, ""))
    by_id = venue.issue(SINGLE, card=CardRead("", "", "", ID_NUMBER))
    venue.settle(folder)
    card_stack.await_cards(0)
    lane = f"1:reader=pcsc:Virtual PCD,turnstile=file:{folder / 'pulses'}"
    with running(folder, [lane]) as agent:
        yield House(agent, card_stack, by_number, by_id)


def test_cards_open_the_lane_and_leave_no_number_behind(house: House) -> None:
    house.tapped(SocialSecurityCard(3, files(CARD_NUMBER.encode())))
    assert house.agent.await_pulse(0)["pass"] == house.by_number.pass_id.hex()
    house.tapped(SocialSecurityCard(2, files(b"B00000001"), fetches=True))
    assert house.agent.await_pulse(1)["pass"] == house.by_id.pass_id.hex()
    entries = house.new_entries(0, 4)
    assert [entry.kind for entry in entries] == [EntryKind.INTENT, EntryKind.PASSED_ASSUMED] * 2
    assert {entry.presentation for entry in entries if entry.kind is EntryKind.INTENT} == {Presentation.CARD}
    assert [entry.evidence[:1] for entry in entries if entry.evidence] == [NO_PROOF] * 2

    house.tapped(SocialSecurityCard(3, files(CARD_NUMBER.encode())))
    (used,) = house.new_entries(4, 1)
    assert used.reason == Reason.USED_UP

    house.tapped(SocialSecurityCard(2, files(UNKNOWN_NUMBER.encode(), UNKNOWN_ID.encode())))
    (unknown,) = house.new_entries(5, 1)
    assert unknown.reason == Reason.CARD_UNKNOWN

    house.tapped(SocialSecurityCard(2), pull_after=2)
    house.tapped(SocialSecurityCard(3, files(NEXT_NUMBER.encode())))
    assert [entry.reason for entry in house.new_entries(6, 1)] == [Reason.CARD_UNKNOWN], "a pulled card is no visitor"
    assert len(house.agent.pulses()) == 2

    secrets = [ID_NUMBER, UNKNOWN_ID, CARD_NUMBER, UNKNOWN_NUMBER, NEXT_NUMBER, IDENTIFICATION, "李小花"]
    assert house.agent.stop() == 0
    assert list(found(house.agent.data_dir, secrets)) == []
    assert list(found(house.agent.data_dir, [house.by_id.pass_id.hex()])), "the search finds what is there"


@pytest.mark.parametrize("accepts_plain", [False, True])
def test_how_a_card_was_proven_and_what_the_venue_accepts_decide(tmp_path: Path, accepts_plain: bool) -> None:
    venue = Venue(accepts_plain_card=accepts_plain)
    plain, proven, by_hsm = (venue.issue() for _ in range(3))
    venue.settle(tmp_path)
    reader = PtyScanner()
    lane = f"1:reader=cardserial:{reader.path},turnstile=file:{tmp_path / 'pulses'}"
    with running(tmp_path, [lane]) as agent:
        reader.type(line_of(plain, "none"))
        if accepts_plain:
            assert agent.await_pulse(0)["pass"] == plain.pass_id.hex()
        else:
            assert agent.await_refusal(0).reason == Reason.CARD_UNAUTHENTICATED
        reader.type("!two_cards")
        until(lambda: "一次只刷" in staff_face(agent), what="the staff see what happened")
        for ticket, proof in ((proven, "psam"), (by_hsm, "hsm")):
            pulses = len(agent.pulses())
            reader.type(line_of(ticket, proof))
            assert agent.await_pulse(pulses)["pass"] == ticket.pass_id.hex()
    evidence = [entry.evidence for entry in agent.entries() if entry.evidence is not None]
    assert [proof[0] for proof in evidence] == [AUTH_LEVEL[level] for level in CardAuth]
    reader.close()


def staff_face(agent: AgentProcess) -> str:
    """The page as it is now."""
    with urlopen(f"{agent.ready['screen']}/staff") as page:
        return str(page.read(), "utf-8")


def line_of(ticket: Ticket, proof: str) -> str:
    """What a serial reader sends of a ticket's card."""
    card = ticket.card
    return f"{card.area}|{card.number}|{card.identification}||{proof}"


def found(folder: Path, words: list[str]) -> Iterator[str]:
    """Where any of the words stands in any file, in whatever usual form: text of three kinds, or packed digits."""
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for word in words:
            forms = [word.encode(encoding) for encoding in ("utf-8", "gb18030", "utf-16-le")]
            forms += [word.lower().encode(), *([bytes.fromhex(word)] if word == IDENTIFICATION else [])]
            if any(form in content for form in forms):
                yield f"{path.name}: {word}"
