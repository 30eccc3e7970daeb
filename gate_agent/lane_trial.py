"""A lane of the running agent on trial: its own readers, arm and inputs, while no visitor is served there."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence

from gate_agent import judging
from gate_agent.commissioning import (
    CODE_DIGITS,
    MAY_SKIP,
    OVER,
    Commissioning,
    Flaw,
    FlawKind,
    Step,
    TrialTold,
    told_of,
)
from gate_agent.doorkeeper import note
from gate_agent.entries import Entries, Placed
from gate_agent.events import EventName, EventWord, say
from gate_agent.journal import CannotRecord, Journal
from gate_agent.lane import Lane
from gate_agent.passage import GRACE_MS, NS_PER_MS
from gate_agent.readers import Reader
from gate_agent.recognition import Raw
from gate_agent.staff_entries import NotNow
from gate_agent.standing import Standing
from gate_agent.topology import Wiring, remedies_of, roles_of, tried
from gate_agent.wiring_watch import WiringWatch
from gate_agent.world import World
from hardware import DeviceFault
from hardware.card_reader import CardFault
from hardware.devices import LaneSpec
from hardware.turnstile import PASSAGES, Direction, Edge, Role, Turnstile
from wire.messages import EntryKind

REST_LIMIT_MS = 60_000
"""How long a lane stays out of service after its trial, at most, until its arm is locked again."""
NO_ROOM = "the disk is full"


class Trials:
    """Which lane of a box is on trial: one at a time, so that whatever moves belongs to it. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = 0
        self.now: LaneTrial | None = None

    def take(self, trial: LaneTrial) -> bool:
        """Whether no other lane is on trial; then this one is."""
        with self._lock:
            if self.now is not None:
                return False
            self._numbers += 1
            trial.number, self.now = self._numbers, trial
        return True

    def leave(self) -> None:
        """The lane serves visitors again."""
        with self._lock:
            self.now = None

    def read_elsewhere(self, lane: int, text: str) -> bool:
        """Whether another lane reads the code of the one on trial, which is then told."""
        trial = self.now
        if trial is None or trial.lane.number == lane or text != trial.text:
            return False
        trial.read_at = lane
        return True


class LaneTrial:
    """One trial, from `begin` until the lane's arm is locked again; all but `read_at` on the lane's own thread."""

    def __init__(
        self,
        lane: Lane,
        spec: LaneSpec,
        who: str,
        trials: Trials,
        journal: Journal,
        look: Callable[[], World],
        standing: Standing,
        wiring: WiringWatch,
        monotonic_ns: Callable[[], int],
    ) -> None:
        self.lane = lane
        self.number = 0
        self.read_at: int | None = None
        """Another lane whose reader read this one's code."""
        self._spec = spec
        self._who = who
        self._trials = trials
        self._journal = journal
        self._look = look
        self._standing = standing
        self._wiring = wiring
        self._monotonic_ns = monotonic_ns
        self._core = commissioning_of(spec, lane.readers, lane.passages.window_ms)
        self._arm_free_ms = 0
        self._ended_ms: int | None = None

    @property
    def text(self) -> str:
        """What the code on the lane's screen says."""
        return self._core.text

    def begin(self) -> NotNow | None:
        """Take the lane out of service and begin; why not."""
        refused = self._refused()
        if refused is not None:
            return refused
        if not self._trials.take(self):
            return NotNow.COMMISSIONING
        if isinstance(self._record(EventWord.COMMISSION), str):
            self._trials.leave()
            return NotNow.CANNOT_RECORD
        self.lane.trial = self
        self._core.begin(self._active, self._now_ms())
        self._go_on()
        return None

    def read(self, reader: int, raw: Raw | CardFault) -> None:
        """One of the lane's readers read something."""
        self._core.read(reader, raw, self._now_ms())
        self._go_on()

    def edge(self, edge: Edge) -> None:
        """An input of the lane's turnstile moved."""
        self._core.edge(edge.role, edge.active, self._now_ms())
        self._go_on()

    def tick(self) -> None:
        """Time went by."""
        if self.read_at is not None:
            self._core.fail(Flaw(FlawKind.READ_ELSEWHERE, lane=self.read_at))
        if self._standing.burns_elsewhere(self.lane.number):
            self._core.fail(Flaw(FlawKind.FIRE))
        self._core.tick(self._active, self._now_ms())
        self._go_on()
        if self._ended_ms is not None and self._is_at_rest(self._ended_ms):
            self.lane.trial = None
            self._trials.leave()
            self._standing.serves_again()

    def answer(self, step: Step, arm: int) -> bool:
        """Which lane's arm unlocked. False: that is not asked any more."""
        if self._core.step is not step:
            return False
        self._core.answer(arm, self._now_ms())
        self._go_on()
        return True

    def skip(self, step: Step) -> bool:
        """The input of this step is not tried now. False: it is not waited for any more."""
        if self._core.step is not step or step not in MAY_SKIP:
            return False
        self._core.skip(self._now_ms())
        self._go_on()
        return True

    def cancel(self) -> bool:
        """Stop it. False: it is over already."""
        if self._core.step in OVER:
            return False
        self._core.fail(Flaw(FlawKind.CANCELLED))
        self._go_on()
        return True

    def _refused(self) -> NotNow | None:
        """What stands in the way of beginning."""
        lane = self.lane
        if self._standing.fire:
            return NotNow.FIRE
        if self._standing.inputs(lane.number).starting:
            return NotNow.STARTING
        in_use = lane.party is not None or lane.hold is not None or lane.check is not None or lane.passages.awaits
        return NotNow.IN_USE if in_use else None

    def _go_on(self) -> None:
        """Give the pulse that is wanted, end what is over, tell the screens."""
        while self._core.wants_pulse:
            self._pulse()
        over = self._ended_ms is not None
        if self._core.step in OVER and not over:
            self._end()
        if not over:
            self._standing.trial(self._told())

    def _pulse(self) -> None:
        """One test pulse, on disk before the arm moves."""
        if self._standing.fire:
            return self._core.fail(Flaw(FlawKind.FIRE))
        seq = self._record(EventWord.TEST_PULSE)
        if isinstance(seq, str):
            return self._core.fail(Flaw(FlawKind.RECORD, detail=seq))
        lane, now_ms = self.lane, self._now_ms()
        self._arm_free_ms = now_ms + lane.passages.window_ms + GRACE_MS
        self._core.pulsed(now_ms)  # before it is: an input may move, and be told, at once
        try:
            lane.turnstile.open_for(lane.direction, lane.pulse_ms, note(b"", seq))
        except DeviceFault as fault:
            return self._core.fail(Flaw(FlawKind.RELAY, detail=str(fault)))
        except Exception:  # a driver's mistake hides whether the arm moved
            self._core.fail(Flaw(FlawKind.RELAY))
            raise
        return None

    def _end(self) -> None:
        """Write down how it came out: the wiring and the word that it was learnt in one transaction, or why not."""
        if self._core.step is Step.DONE:
            wiring = Wiring(tried(self._spec, self._core.untried))
            written = self._record(EventWord.COMMISSIONED, wiring)
            if isinstance(written, str):
                self._core.unrecorded(written)
            else:
                self._wiring.learnt(self.lane.number, wiring)
        self._ended_ms = self._now_ms()
        if self._core.flaw is not None:
            world, name = self._look(), say(EventWord.COMMISSION_ENDED, self._core.flaw.kind)
            self._journal.post(
                lambda entries: judging.append_event(entries, name, world, self.lane.number, who=self._who)
            )

    def _is_at_rest(self, ended_ms: int) -> bool:
        """Whether nobody can walk through any more on a test pulse; in a fire everybody may."""
        now_ms = self._now_ms()
        locked = now_ms >= self._arm_free_ms and self.lane.is_ready
        return self._standing.fire or locked or now_ms >= max(ended_ms, self._arm_free_ms) + REST_LIMIT_MS

    def _record(self, name: EventName, wiring: Wiring | None = None) -> int | str:
        return record(self._journal, name, self._look(), self.lane.number, self._who, wiring)

    def _now_ms(self) -> int:
        return self._monotonic_ns() // NS_PER_MS

    def _active(self, role: Role) -> bool:
        return is_active(self.lane.turnstile, role)

    def _told(self) -> TrialTold:
        return told_of(self._core, self.number)


def commissioning_of(spec: LaneSpec, readers: Sequence[Reader], window_ms: int) -> Commissioning:
    """The commissioning of a lane, with a number of its own for its screen."""
    digits = "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))
    return Commissioning(
        spec.number,
        spec.direction,
        roles_of(spec),
        len(readers),
        digits,
        window_ms + GRACE_MS,
        remedies=remedies_of(spec),
        reader_fault=lambda place: readers[place].fault or "",
    )


def record(
    journal: Journal, name: EventName, world: World, lane: int, who: str | None, wiring: Wiring | None = None
) -> int | str:
    """The number of an event that is on disk now, and the wiring with it; or why neither can be."""

    def work(entries: Entries) -> int | str:
        if not entries.has_room():
            return NO_ROOM
        event = judging.entry(EntryKind.EVENT, lane, world, b"", reason=name, who=who)
        seq = entries.append(event, Placed(world.boot, world.today.day))
        if wiring is not None:
            entries.keep_wiring(lane, wiring)
        return seq

    written = journal.perform(work)
    return written.sentence if isinstance(written, CannotRecord) else written


def is_active(turnstile: Turnstile, role: Role) -> bool:
    """Whether an input is active now."""
    if role in PASSAGES:
        return turnstile.passing(Direction(PASSAGES[role]))
    return {Role.READY: turnstile.ready, Role.FIRE: turnstile.fire, Role.TAMPER: turnstile.tampered}[role]
