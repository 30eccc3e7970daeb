"""Electronic cards with everything real: platform, centre, gate, and the network between them stalled and cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.centre import VENUE, Centre, Issued, running_centre
from demo.gate import Gate, running_gate
from gate_agent.pass_list import PassList
from tests.waiting import until
from wire.messages import Entry, EntryKind, Presentation
from wire.reasons import Reason

pytestmark = pytest.mark.story

LI = "11010519491231002X"
PATIENCE_S = 30.0


@dataclass
class Town:
    """A centre with its platform, one gate of two lanes, and Li who has an annual pass."""

    folder: Path
    centre: Centre
    gate: Gate
    li: Issued
    others: list[Issued]

    def show(self, lane: int, code: str) -> Entry:
        """Somebody holds a phone to the scanner; what the journal says of it."""
        before = len(self.gate.entries())
        self.gate.show(lane, code, "scanner")
        return self.judged(before, lane)

    def judged(self, before: int, lane: int) -> Entry:
        """The first intent or refusal at a lane after so many entries."""

        def found() -> list[Entry]:
            kinds = (EntryKind.INTENT, EntryKind.REFUSED)
            return [one for one in self.gate.entries()[before:] if one.lane == lane and one.kind in kinds]

        return until(found, PATIENCE_S, f"lane {lane} decides")[0]

    def draw(self) -> str:
        """The next code on Li's phone."""
        return self.centre.cards.draw(LI)

    def gate_knows_li(self) -> bool:
        """Whether its list says how codes look, and knows people by their ID numbers."""
        held = PassList.open(self.folder / "gate")
        if held is None or held.venue.card_shape is None:
            return False
        row = held.find(bytes.fromhex(self.li.pass_id))
        return row is not None and bool(held._db.execute("SELECT 1 FROM credential").fetchone())


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    with running_centre(folder) as centre, running_gate(folder, centre, VENUE) as gate:
        orders = [
            centre.buy_pass(centre.product("annual_pass"), f"李小花,{LI},13812341234"),
            centre.order_tickets(centre.product("single_ticket"), 1),
        ]
        until(lambda: all(centre.is_issued(order) for order in orders), PATIENCE_S, "everything is issued")
        (li,), others = (centre.codes(order) for order in orders)
        made = Town(folder, centre, gate, li, others)
        until(made.gate_knows_li, PATIENCE_S, "the gate's list knows Li")
        yield made


def test_a_code_opens_once_and_the_centre_believes_the_entry(town: Town) -> None:
    code = town.draw()
    intent = town.show(1, code)
    assert (intent.kind, intent.presentation) == (EntryKind.INTENT, Presentation.ELECTRONIC_CARD)
    assert (intent.pass_id or b"").hex() == town.li.pass_id
    again = town.show(2, code)
    assert (again.kind, again.reason) == (EntryKind.REFUSED, Reason.CODE_REUSED)
    counted = until(town.centre.redemptions, PATIENCE_S, "the centre counts it")
    assert [(row["pass_id"], row["outcome"]) for row in counted] == [(town.li.pass_id, "PASS_VISIT")]
    assert town.show(2, "SSC1" + "x" * 24).reason == Reason.CARD_UNKNOWN


def test_a_platform_that_does_not_answer_holds_up_neither_the_visitor_nor_the_other_lane(town: Town) -> None:
    town.centre.cards.play("slow", delay_ms=60_000)
    before = len(town.gate.entries())
    town.gate.show(1, town.draw(), "scanner")
    town.gate.show(2, town.others[0].code, "scanner")
    admitted, refused = town.judged(before, 2), town.judged(before, 1)
    assert (admitted.kind, refused.reason) == (EntryKind.INTENT, Reason.NEEDS_NETWORK)
    assert admitted.seq < refused.seq, "the other lane did not wait"


@pytest.mark.parametrize("fault", ["down", "wrong_signature"])
def test_a_platform_in_trouble_is_no_network(town: Town, fault: str) -> None:
    town.centre.cards.play(fault)
    assert town.show(1, town.draw()).reason == Reason.NEEDS_NETWORK


def test_cut_off_it_says_so_and_comes_back_by_itself(town: Town) -> None:
    town.gate.cable.cut()
    assert town.show(1, town.draw()).reason == Reason.NEEDS_NETWORK
    town.gate.cable.plug()
    assert until(lambda: town.show(2, town.draw()).kind is EntryKind.INTENT, PATIENCE_S, "the network is back")


def test_neither_gate_nor_logs_hold_who_it_was(town: Town) -> None:
    code = town.draw()
    town.show(1, code)
    held = [path for path in town.folder.rglob("*") if path.is_file() and "provider" not in path.parts]
    assert len(held) > 10
    assert [path for path in held if code.encode() in path.read_bytes()] == []
    assert [path for path in held if LI.encode() in path.read_bytes()] == []
