"""Takes lanes out of order whose wiring is not what was commissioned: devices moved, or two lanes crossed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gate_agent import judging
from gate_agent.crossed import CrossedLanes
from gate_agent.entries import Entries
from gate_agent.events import EventWord
from gate_agent.faces import LaneTrouble
from gate_agent.journal import Journal
from gate_agent.topology import Wiring, moved, topology_of
from gate_agent.world import World
from hardware.devices import LaneSpec
from hardware.usb import SYSFS

NOTHING_KEPT = Wiring()

log = logging.getLogger(__name__)


class WiringWatch:
    """All lanes of one box. Lanes tell of pulses and passages from their own threads."""

    def __init__(
        self,
        journal: Journal,
        look: Callable[[], World],
        kept: Mapping[int, Wiring],
        windows_ns: Mapping[int, int],
        name_trouble: Callable[[int, LaneTrouble | None, int | None], None],
    ) -> None:
        """`kept` is what the journal says of each lane, `windows_ns` how long after its pulse somebody may pass.

        `name_trouble` takes a lane out of order, or with None back; with CROSSED it is told the other lane."""
        self._journal = journal
        self._look = look
        self._kept = dict(kept)
        self._specs: dict[int, LaneSpec] = {}
        self._lock = threading.Lock()
        self._crossed = CrossedLanes(windows_ns)
        self._name_trouble = name_trouble

    def compare(self, specs: Sequence[LaneSpec], sysfs: Path = SYSFS) -> None:
        """At start: a lane that is not wired as it was commissioned is out of order, and the log says what moved."""
        self._specs = {spec.number: spec for spec in specs}
        for spec in specs:
            kept = self._kept.get(spec.number, NOTHING_KEPT)
            if kept.crossed_with is not None:
                log.error("lane %d is crossed with lane %d: %s", spec.number, kept.crossed_with, again(spec.number))
                self._name_trouble(spec.number, LaneTrouble.CROSSED, kept.crossed_with)
            elif changes := what_moved(kept, spec, sysfs):
                log.error("lane %d: %s: %s", spec.number, "; ".join(changes), again(spec.number))
                self._name_trouble(spec.number, LaneTrouble.MOVED, None)
                self._write_moved(spec.number)

    def spec(self, lane: int) -> LaneSpec:
        """How a lane is wired by its settings."""
        return self._specs[lane]

    def learnt(self, lane: int, wiring: Wiring) -> None:
        """The lane was commissioned, and that is on disk: it is in order again."""
        with self._lock:
            self._kept[lane] = wiring
        self._name_trouble(lane, None, None)

    def pulsed(self, lane: int, at_ns: int) -> None:
        """The lane's relay was pulsed."""
        with self._lock:
            self._crossed.pulsed(lane, at_ns)

    def passed(self, lane: int, at_ns: int) -> None:
        """Somebody passes at the lane, in its direction."""
        with self._lock:
            pair = self._crossed.passed(lane, at_ns)
        if pair is None:
            return
        log.error("lanes %d and %d are crossed: exchange their wires, then commission both", *pair)
        world = self._look()
        for one, other in (pair, pair[::-1]):
            self._name_trouble(one, LaneTrouble.CROSSED, other)
            crossed = replace(self._kept.get(one, NOTHING_KEPT), crossed_with=other)

            def work(entries: Entries, one: int = one, crossed: Wiring = crossed) -> None:
                judging.append_event(entries, EventWord.LANES_CROSSED, world, one)
                entries.keep_wiring(one, crossed)

            self._journal.post(work)

    def _write_moved(self, lane: int) -> None:
        world = self._look()
        self._journal.post(lambda entries: judging.append_event(entries, EventWord.LANE_MOVED, world, lane))


def what_moved(kept: Wiring, spec: LaneSpec, sysfs: Path = SYSFS) -> list[str]:
    """One sentence for each thing that is elsewhere; of a lane that was never commissioned nothing is known."""
    return moved(kept.topology, topology_of(spec, sysfs)) if kept.topology else []


def again(lane: int) -> str:
    """What puts it right."""
    return f"put it back, or commission it: at the staff's screen, or gate-agent commission {lane}"
