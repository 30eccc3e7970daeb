"""The local enrolment mode of a running box: a supervisor opens it, a lane's readers wait two minutes for the code."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from gate_agent import judging, sync_requests
from gate_agent.acts import Came, Result, Wish
from gate_agent.events import EventName, EventWord, refused
from gate_agent.faces import Enrolling
from gate_agent.gate import Gate
from gate_agent.journal import Journal
from gate_agent.lane_acts import LaneActs
from gate_agent.recognition import FlawedCode, Recognised
from gate_agent.staff import Member
from gate_agent.sync_requests import EnrolWish, RequestKind
from gate_agent.sync_state import SyncView, TroubleKind
from gate_agent.world import World
from hardware.card_reader import CardFault
from wire.invitation import read_invitation

SCAN_MS = 120_000
FAILED_S = 15.0
"""How long a lane says that it did not become a gate."""


class EnrolScan:
    """At all lanes of one box; any thread may ask. What comes of it is shown on the lane and stands in the journal."""

    def __init__(
        self,
        gate: Gate,
        acts: LaneActs,
        journal: Journal,
        look: Callable[[], World],
        sync: SyncView,
    ) -> None:
        self._gate = gate
        self._acts = acts
        self._journal = journal
        self._look = look
        self._sync = sync

    def begin(self, member: Member, wish: Wish) -> Result:
        """Open the mode at a lane; a box that is a gate already stays the one it is."""
        held = self._sync.read()
        if held.device is not None:
            told = f"this box is enrolled at {held.url}; gate-agent enrol --replace makes it another gate"
            return Result(Came.CENTRE, word=TroubleKind.NOT_ENROLLED, detail=told)

        def heard(shown: Recognised | CardFault) -> bool:
            return self._heard(wish.lane, member.name, shown)

        came = self._acts.at(wish, lambda lane: self._gate.enrol_next(lane, member.name, heard, SCAN_MS))
        return came or Result(Came.DONE)

    def _heard(self, lane: int, who: str, shown: Recognised | CardFault) -> bool:
        """Called on the lane's thread, which waits for nothing: whether this is the code that is waited for."""
        text = shown.text if isinstance(shown, FlawedCode) else ""
        if read_invitation(text) is None:
            return False
        self._gate.standing.enrol(lane, Enrolling.ASKING)
        threading.Thread(target=self._enrol, args=(lane, who, text), name="enrolment", daemon=True).start()
        return True

    def _enrol(self, lane: int, who: str, text: str) -> None:
        world = self._look()
        body = msgspec.msgpack.encode(EnrolWish("", "", text))
        answer = sync_requests.ask(self._journal, self._sync, RequestKind.ENROL, body, world)
        if answer is None or not answer.ok:
            why = Came.SYNC_SILENT if answer is None else answer.detail
            event: EventName = refused(EventWord.ENROL_SCAN, why)
        else:
            event = EventWord.ENROLLED
        self._journal.post(lambda entries: judging.append_event(entries, event, world, lane, who=who))
        if event is not EventWord.ENROLLED:
            self._gate.standing.enrol(lane, Enrolling.FAILED)
            threading.Event().wait(FAILED_S)
        self._gate.standing.enrol(lane, None)
