"""Carrying out what staff ask for: the PIN, the role, the day's limit, the act, and its line in the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from gate_agent import judging
from gate_agent.acts import TERMS, Act, Came, Result, Wish
from gate_agent.box_acts import BoxActs
from gate_agent.commission_acts import Answer, CommissionActs
from gate_agent.commissioning import Step
from gate_agent.enrol_scan import EnrolScan
from gate_agent.events import EventName, EventWord, refused, say
from gate_agent.faces import NO_LABEL, Label
from gate_agent.gate import Gate
from gate_agent.journal import Journal
from gate_agent.lane_acts import AtLane, LaneActs
from gate_agent.list_find import Finder, NotSought
from gate_agent.pairing import Pairing
from gate_agent.pins import NoStaff, Pins, PinsBusy, PinsPaused, WrongPin
from gate_agent.settings import Settings
from gate_agent.sheets import Sheets
from gate_agent.staff import Member, StaffError
from gate_agent.sync_state import SyncView
from gate_agent.venue import ListedPass
from gate_agent.world import World
from wire.credential import mask_name

NOTED = {
    Act.TEST_CARD: EventWord.TEST_CARD,
    Act.SYNC: EventWord.SYNC,
    Act.EXPORT: EventWord.EXPORT,
    Act.ENROL: EventWord.ENROL,
    Act.ENROL_SCAN: EventWord.ENROL_SCAN,
    Act.PAIR: EventWord.PAIR,
}
"""Acts of which no lane writes an entry of its own."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A pass of the list, and what its product is called."""

    listed: ListedPass
    product: Label


class Acts:
    """Everything staff may do at one box. Any thread may ask; a lane does its part on its own thread.

    `pairing`: of tablets, where the settings let any in.
    """

    def __init__(
        self,
        data_dir: Path,
        pins: Pins,
        journal: Journal,
        look: Callable[[], World],
        gate: Gate,
        lanes: Mapping[int, AtLane],
        sync: SyncView,
        settings: Settings,
        pairing: Pairing | None = None,
    ) -> None:
        self._pins = pins
        self._journal = journal
        self._look = look
        self._lanes = lanes
        self._sync = sync
        self._settings = settings
        self._sheets: Sheets[Result] = Sheets(lambda: look().now.monotonic_ms)
        self._finder = Finder()
        lane = LaneActs(gate, lanes, journal, look, settings.staff.let_in_per_day)
        self._commission = CommissionActs(gate, lane)
        box = BoxActs(data_dir, journal, look, sync, settings.staff.export_to)
        self._do: Mapping[Act, Callable[[Member, Wish], Result]] = {
            Act.LET_IN: lane.let_in,
            Act.GROUP: lane.let_in,
            Act.RETURN: lane.return_entry,
            Act.COUNTER: lane.admit_by_counter,
            Act.CHECK: lane.check,
            Act.TEST_CARD: lane.test_card,
            Act.COMMISSION: self._commission.begin,
            Act.CLOSE: lane.close,
            Act.OPEN: lane.open,
            Act.HOLD: lane.hold,
            Act.SYNC: box.sync_now,
            Act.EXPORT: box.export,
            Act.ENROL: box.enrol,
            Act.ENROL_SCAN: EnrolScan(gate, lane, journal, look, sync).begin,
            **({} if pairing is None else {Act.PAIR: pairing.start}),
        }

    @property
    def can(self) -> frozenset[Act]:
        """The acts that have a key on the screen."""
        return frozenset(self._do)

    @property
    def lanes(self) -> tuple[int, ...]:
        """The lanes of this box."""
        return tuple(self._lanes)

    @property
    def let_in_per_day(self) -> int:
        """How many people a steward may let in by hand in a day."""
        return self._settings.staff.let_in_per_day

    @property
    def centre_url(self) -> str:
        """The centre's address, as far as it is known here."""
        return self._sync.read().url or self._settings.centre_url

    def find(self, typed: str) -> tuple[Listed, ...] | NotSought:
        """Passes by what somebody says; nobody needs a PIN to look."""
        world = self._look()
        found = self._finder.find(typed, world)
        return found if isinstance(found, NotSought) else tuple(_named(listed, world) for listed in found.passes)

    def listed(self, pass_hex: str) -> Listed | None:
        """The pass a sheet is for; None when the list has none such."""
        world = self._look()
        try:
            found = None if world.pass_list is None else world.pass_list.find(bytes.fromhex(pass_hex))
        except ValueError:
            return None
        return None if found is None else _named(found, world)

    def answer_trial(self, number: int, step: Step, answer: Answer, arm: int) -> Came:
        """One key of a commissioning that is under way; see `CommissionActs.answer`."""
        return self._commission.answer(number, step, answer, arm)

    def has_staff(self) -> bool:
        """Whether anybody has a PIN here, as far as the file can be read."""
        return self._pins.has_staff()

    def open_sheet(self) -> tuple[str, int]:
        """The one-time number of a new sheet, and for how long no PIN is taken (ms)."""
        return self._sheets.hand_out(), self._pins.wait_ms()

    def carry_out(self, wish: Wish, pin: str) -> Result:
        """Do it, once for each sheet however often that is sent; who may not, or cannot now, is told why."""
        busy, unknown = Result(Came.BUSY), Result(Came.SHEET_OLD)
        return self._sheets.take(wish.once, msgspec.json.encode(wish), lambda: self._once(wish, pin), busy, unknown)

    def _once(self, wish: Wish, pin: str) -> tuple[Result, bool]:
        """The result, and whether the sheet is used up: whatever may have moved something is not done again."""
        member = self._member(pin, wish.lane)
        if isinstance(member, Result):
            if wish.browser and member.left is not None:  # a try that was looked at
                self._event(say(EventWord.BY_BROWSER, f"{EventWord.WRONG_PIN}, {wish.browser}"), wish.lane)
            return member, False
        if wish.browser:
            self._event(say(EventWord.BY_BROWSER, f"{wish.act}, {wish.browser}"), wish.lane, member.name)
        if not member.may(TERMS[wish.act].role):
            result = Result(Came.NOT_ALLOWED)
        else:
            result = self._do[wish.act](member, wish)
        if result.came is Came.DONE and wish.act in NOTED:
            self._event(NOTED[wish.act], wish.lane, member.name)
        elif result.came is not Came.DONE:
            why = result.word or result.reason or result.came
            self._event(refused(wish.act, why), wish.lane, member.name)
        used_up = result.came in (Came.DONE, Came.LANE_SILENT, Came.SYNC_SILENT)
        return replace(result, who=mask_name(member.name)), used_up

    def _member(self, pin: str, lane: int) -> Member | Result:
        try:
            tried = self._pins.recognise(pin, lane)
        except StaffError as error:
            return Result(Came.STAFF_UNREADABLE, detail=str(error))
        match tried:
            case WrongPin(left, wait_ms):
                return Result(Came.PINS_PAUSED if wait_ms else Came.WRONG_PIN, left=left, wait_ms=wait_ms)
            case PinsPaused(wait_ms):
                return Result(Came.PINS_PAUSED, wait_ms=wait_ms)
            case NoStaff():
                return Result(Came.NO_STAFF)
            case PinsBusy():
                return Result(Came.BUSY)
        return tried

    def _event(self, name: EventName, lane: int, who: str | None = None) -> None:
        """Written down in turn: before what is asked of the journal after it."""
        world = self._look()
        self._journal.post(lambda entries: judging.append_event(entries, name, world, lane, who=who))


def _named(listed: ListedPass, world: World) -> Listed:
    product = None if world.venue is None else world.venue.product(listed.product)
    return Listed(listed, NO_LABEL if product is None else Label(product.name_zh, product.name_en))
