"""`gate-agent commission`: shows that a lane's screen, readers, relay and inputs belong together and how they rest.

One thing after the other, with somebody at the lane who holds up a code, looks at the arm and walks through it. The
agent must not be running: the devices are ours. Test pulses are all that is given, each after an event on disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gate_agent.readers import Reader, readers_of
from gate_agent.topology import NOT_TRIED, Topology, topology_of
from hardware import DeviceFault
from hardware.card_reader import CardRead
from hardware.devices import LaneDevices, LaneSpec
from hardware.turnstile import PASSAGES, Direction, Edge, Role
from hardware.wired_turnstile import Contact

POLL_S = 0.1
LIMIT_S = 180.0
"""How long each reader, and each input, is waited for."""
PULSES_LIMIT = 3
"""For one walk through the arm, in case it locks again before somebody goes."""
CODE_DIGITS = 6
AT_REST = {role: role is Role.READY for role in Role}
"""Which inputs are active while the arm is locked and empty, the housing closed and nothing burns."""
TO_DO = {
    Role.FIRE: "Set off the fire release, and put it back",
    Role.TAMPER: "Open the turnstile's housing, and close it",
}


class NotCommissioned(Exception):
    """The lane is not as it should be; the sentence says what is wrong and what to do."""


class Operator(Protocol):
    """Whoever stands at the lane."""

    def tell(self, sentence: str) -> None:
        """Say what to do now."""

    def ask(self, question: str) -> str:
        """The answer, once it is given."""


def text_of(lane: int, digits: str) -> str:
    """What the QR code on a lane's screen says."""
    return f"COMMISSION-{lane}-{digits}"


@dataclass(slots=True)
class Commissioning:
    """One lane being commissioned; `run` does all of it, once.

    `digits`: the number on the lane's screen; `record`: writes that a test pulse follows; `monotonic_s`:
    the time, in seconds; `untried`: inputs nobody may move now, as the fire release of an open building."""

    spec: LaneSpec
    devices: LaneDevices
    operator: Operator
    digits: str
    record: Callable[[], None]
    monotonic_s: Callable[[], float]
    pulse_ms: int = 300
    window_s: float = 6.0
    untried: frozenset[Role] = frozenset()
    limit_s: float = LIMIT_S
    _seen: dict[Role, set[bool]] = field(default_factory=dict)

    def run(self) -> Topology:
        """How the lane is wired. NotCommissioned: the first thing that is not as it should be."""
        self.devices.turnstile.watch(self._edge)
        roles = self._roles()
        self._check_rest(roles)
        self._see_the_code()
        self._find_the_arm()
        self._walk_through([role for role in roles if role is Role.READY or PASSAGES.get(role) is self.spec.direction])
        for role in roles:
            if role in TO_DO and role not in self.untried:
                self._move(role, TO_DO[role])
        topology = topology_of(self.spec)
        return {place: told + NOT_TRIED if place in self.untried else told for place, told in topology.items()}

    def _roles(self) -> list[Role]:
        """The inputs that are wired, and those every simulated turnstile has."""
        if self.spec.turnstile.kind == "sim":
            return [role for role in Role if PASSAGES.get(role, self.spec.direction) is self.spec.direction]
        return list(self.spec.turnstile.inputs)

    def _check_rest(self, roles: Sequence[Role]) -> None:
        """An input that tells the opposite at rest has a contact of the other kind: say what to write instead."""
        wrong = [role for role in roles if self._active(role) is not AT_REST[role]]
        if not wrong:
            return
        inputs = self.spec.turnstile.inputs
        remedies = [
            f"{role}={inputs[role].pin}:{_other(inputs[role].contact)}" for role in wrong if role in inputs
        ]  # a simulated turnstile has no contacts
        should = " and ".join(f"{role} should be {_state(AT_REST[role])}" for role in wrong)
        remedy = f"; if all that is so, write {','.join(remedies)}" if remedies else ""
        raise NotCommissioned(f"at rest {should}: lock and empty the arm, close the housing, look at the wires{remedy}")

    def _see_the_code(self) -> None:
        """Every reader reads the code of the lane's screen; a card reader reads any card."""
        unseen = readers_of(self.devices)
        self.operator.tell(
            f"Take a picture of the code {self.digits} on the screen of lane {self.spec.number} and hold it up to each"
            f" of its {len(unseen)} readers; to a card reader, a card"
        )
        deadline_s = self.monotonic_s() + self.limit_s
        while unseen:
            if self.monotonic_s() > deadline_s:
                told = "; ".join(reader.fault or "it is there and has not read it" for reader in unseen)
                raise NotCommissioned(
                    f"{len(unseen)} of the readers of lane {self.spec.number} did not read its code ({told}): look"
                    " at their cables, and whether their settings stand at another lane"
                )
            read = [reader for reader in unseen if self._reads(reader)]
            if read:
                unseen = [reader for reader in unseen if reader not in read]
                self.operator.tell(f"Read. {len(unseen)} readers to go")

    def _reads(self, reader: Reader) -> bool:
        try:
            raw = reader.poll(POLL_S)
        except DeviceFault as fault:
            reader.failed = str(fault)
            return False
        return isinstance(raw, CardRead) or raw in (text_of(self.spec.number, self.digits), self.digits)

    def _find_the_arm(self) -> None:
        self._pulse()
        answer = self.operator.ask("Which lane's arm unlocked just now? (its number; 0: none did)").strip()
        if answer == "0":
            raise NotCommissioned(
                f"the relay of lane {self.spec.number} unlocks no arm: look at its wires, and at high and low"
            )
        if answer != str(self.spec.number):
            raise NotCommissioned(
                f"the relay of lane {self.spec.number} unlocks the arm of lane {answer}: exchange their wires, or what"
                " their settings name"
            )

    def _walk_through(self, roles: Sequence[Role]) -> None:
        """One person walks through the unlocked arm; every input that follows it must move there and back."""
        if not roles:
            return
        self._settle(roles)
        for _ in range(PULSES_LIMIT):
            self._pulse()
            self.operator.tell("The arm is unlocked: one person walks through it now")
            if self._await_moves(roles, self.window_s):
                return
        still = " and ".join(role for role in roles if self._seen.get(role, set()) != {True, False})
        raise NotCommissioned(f"{still} did not move there and back while somebody walked through: look at that wire")

    def _settle(self, roles: Sequence[Role]) -> None:
        """The arm has locked again after the pulse before, and nothing seen until now counts."""
        if not self._until(lambda: all(self._active(role) is AT_REST[role] for role in roles), self.limit_s):
            raise NotCommissioned("the arm did not come to rest: is it held, or its sensor's wire cut?")
        self._seen.clear()

    def _move(self, role: Role, what: str) -> None:
        self._seen.pop(role, None)
        self.operator.tell(what)
        if not self._await_moves([role], self.limit_s):
            raise NotCommissioned(f"{role} did not move there and back: look at its wire, or say --untried {role}")

    def _await_moves(self, roles: Sequence[Role], limit_s: float) -> bool:
        return self._until(lambda: all(self._seen.get(role, set()) == {True, False} for role in roles), limit_s)

    def _pulse(self) -> None:
        self.record()
        try:
            self.devices.turnstile.open_for(self.spec.direction, self.pulse_ms, {})
        except DeviceFault as fault:
            raise NotCommissioned(f"the relay was not moved: {fault}") from fault

    def _edge(self, edge: Edge) -> None:
        """Called from the turnstile's own thread."""
        self._seen.setdefault(edge.role, set()).add(edge.active)

    def _active(self, role: Role) -> bool:
        turnstile = self.devices.turnstile
        if role in PASSAGES:
            return turnstile.passing(Direction(PASSAGES[role]))
        return {Role.READY: turnstile.ready, Role.FIRE: turnstile.fire, Role.TAMPER: turnstile.tampered}[role]

    def _until(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Whether `condition` came true within `limit_s`."""
        pause, deadline_s = threading.Event(), self.monotonic_s() + limit_s
        while not condition():
            if self.monotonic_s() > deadline_s:
                return False
            pause.wait(POLL_S)
        return True


def _other(contact: Contact) -> Contact:
    return Contact.NO if contact is Contact.NC else Contact.NC


def _state(active: bool) -> str:
    return "active" if active else "inactive"
