"""What every turnstile promises, tried on every one."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from hardware import DeviceFault
from hardware.file_turnstile import FileTurnstile
from hardware.gpiod_pins import GpiodPins
from hardware.gpiozero_pins import GpiozeroPins
from hardware.http_relay import HttpRelay
from hardware.serial_relay import LcusRelay, ModbusRelay
from hardware.simulated_turnstile import SimulatedTurnstile, TurnstileTrouble
from hardware.timeline import History, RealTimeline
from hardware.turnstile import MAX_PULSE_MS, MIN_PULSE_MS, Direction, Edge, Role, Turnstile
from hardware.wired_turnstile import Contact, InputPin, RelayPin, WiredTurnstile
from tests.hardware import gpiochip
from tests.hardware.header import HeaderPins, pi_factory
from tests.hardware.relay_boards import BoardRelay, HttpBoard, LcusBoard, ModbusBoard
from tests.waiting import until

RELAY, RELAY_OUT, SENSOR, FIRE, TAMPER = 17, 22, 27, 23, 24
CHANNELS = {Direction.IN: 2, Direction.OUT: 5}
GAP_NS = 1_000_000  # no relay lets go in less
Relays = Mapping[Direction, RelayPin]


class Subject(ABC):
    """A turnstile and a way to see its pulses that does not go through it."""

    turnstile: Turnstile
    has_inputs = False

    @abstractmethod
    def pulses(self) -> list[Mapping[str, object]]:
        """Every pulse that began, with its direction, its monotonic_ns and, where the device keeps it, its note."""

    def drive(self, role: Role, active: bool) -> None:
        """Move one of its inputs."""
        raise NotImplementedError

    def end(self) -> None:
        """Leave nothing behind."""
        self.turnstile.close()


class FileSubject(Subject):
    def __init__(self, folder: Path) -> None:
        self._path = folder / "pulses"
        self.turnstile = FileTurnstile(self._path, lane=1)

    def pulses(self) -> list[Mapping[str, object]]:
        lines = [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]
        assert all(line.pop("lane") == 1 for line in lines)
        return lines


class SimulatedSubject(Subject):
    has_inputs = True
    _TROUBLES: ClassVar = {
        Role.PASSAGE_IN: TurnstileTrouble.SENSOR_STUCK,
        Role.FIRE: TurnstileTrouble.FIRE,
        Role.TAMPER: TurnstileTrouble.TAMPER,
    }

    def __init__(self) -> None:
        self._timeline = RealTimeline()
        self._history = History(self._timeline.now_ns)
        self.turnstile: SimulatedTurnstile = SimulatedTurnstile(self._timeline, self._history)

    def drive(self, role: Role, active: bool) -> None:
        self.turnstile.trouble(self._TROUBLES[role] if active else None)

    def pulses(self) -> list[Mapping[str, object]]:
        return [
            {**moment.note, "monotonic_ns": moment.monotonic_ns}
            for moment in self._history.moments("relay")
            if moment.event == "on"
        ]

    def end(self) -> None:
        super().end()
        self._timeline.close()


class WiredSubject(Subject):
    """A relay whose edges are seen on its wire: no notes, and pulses that overlap are one."""

    def __init__(self, make: Callable[[], Turnstile]) -> None:
        self.make = make
        self.turnstile = make()

    @abstractmethod
    def edges(self, way: Direction = Direction.IN) -> list[tuple[int, bool]]:
        """When the relay for that way went on and off."""

    def pulses(self) -> list[Mapping[str, object]]:
        return [{"direction": way, "monotonic_ns": at_ns} for way in Direction for at_ns, on in self.edges(way) if on]


class BoardSubject(WiredSubject):
    def __init__(
        self, relays: Collection[BoardRelay], make: Callable[[], Turnstile], unplug: Callable[[], None]
    ) -> None:
        self._relays = dict(zip(Direction, relays, strict=True))
        self._unplug = unplug
        super().__init__(make)

    def edges(self, way: Direction = Direction.IN) -> list[tuple[int, bool]]:
        return [(moment.monotonic_ns, moment.event == "on") for moment in self._relays[way].history.moments("relay")]

    def end(self) -> None:
        super().end()
        self._unplug()


class HeaderSubject(WiredSubject):
    """gpiozero on its own pretended header, whose pins remember their states; the relay is on while its pin is low."""

    has_inputs = True
    relays: ClassVar = {
        Direction.IN: 2,
        Direction.OUT: 3,
    }  # pins with a pull-up of their own rest high, as these need it
    _PINS: ClassVar = {Role.PASSAGE_IN: SENSOR, Role.FIRE: FIRE, Role.TAMPER: TAMPER}

    def __init__(self) -> None:
        self._header = HeaderPins()
        for pin in self.relays.values():
            self._header.pin(pin)
        self._driven: dict[Role, bool] = {}
        for role in self._PINS:
            self.drive(role, active=False)
        super().__init__(self._make)

    def drive(self, role: Role, active: bool) -> None:
        self._driven[role] = active
        self._header.drive(self._PINS[role], int(active))

    def _make(self) -> Turnstile:
        inputs = {role: InputPin(pin, Contact.NC) for role, pin in self._PINS.items()}
        relays = {way: RelayPin(pin, active_high=False) for way, pin in self.relays.items()}
        pins = GpiozeroPins(relays, inputs, self._header.factory)
        for role, active in self._driven.items():
            self.drive(role, active)  # pulled up when it became an input: the contact is where it was
        return WiredTurnstile(pins, pins)

    def edges(self, way: Direction = Direction.IN) -> list[tuple[int, bool]]:
        return [(at_ns, not level) for at_ns, level in self._header.edges(self.relays[way])]


class ChipSubject(WiredSubject):
    """The real libraries on the pretended GPIO chip under this process."""

    has_inputs = True
    relays: ClassVar = {Direction.IN: RELAY, Direction.OUT: RELAY_OUT}
    _PINS: ClassVar = {Role.PASSAGE_IN: SENSOR, Role.FIRE: FIRE, Role.TAMPER: TAMPER}

    def __init__(self, chip: Path, make_pins: Callable[[Relays, Mapping[Role, InputPin]], GpiodPins | GpiozeroPins]):
        self._chip = gpiochip.GpioChip(chip)
        self._before = {way: len(self._chip.edges(pin)) for way, pin in self.relays.items()}
        for role in self._PINS:
            self.drive(role, active=False)

        def make() -> Turnstile:
            inputs = {role: InputPin(pin, Contact.NC) for role, pin in self._PINS.items()}
            pins = make_pins({way: RelayPin(pin, active_high=False) for way, pin in self.relays.items()}, inputs)
            return WiredTurnstile(pins, pins)

        super().__init__(make)

    def drive(self, role: Role, active: bool) -> None:
        gpiochip.drive(self._PINS[role], int(active))

    def edges(self, way: Direction = Direction.IN) -> list[tuple[int, bool]]:
        edges: list[tuple[int, bool]] = []
        for edge in self._chip.edges(self.relays[way])[self._before[way] :]:
            on = edge.level == 0
            if on and edges and edge.monotonic_ns - edges[-1][0] < GAP_NS:
                edges.pop()
            else:
                edges.append((edge.monotonic_ns, on))
        return edges


def lcus(folder: Path) -> Subject:
    path, board = folder / "board", LcusBoard(folder / "board", *CHANNELS.values())
    return BoardSubject(board.relays.values(), lambda: WiredTurnstile(LcusRelay(path, CHANNELS)), board.unplug)


def modbus(folder: Path) -> Subject:
    path, board = folder / "board", ModbusBoard(folder / "board", *CHANNELS.values())
    return BoardSubject(board.relays.values(), lambda: WiredTurnstile(ModbusRelay(path, CHANNELS)), board.unplug)


def http(_folder: Path) -> Subject:
    board = HttpBoard()
    urls = {Direction.IN: board.url, Direction.OUT: board.url_out}
    return BoardSubject(board.relays.values(), lambda: WiredTurnstile(HttpRelay(urls, "lo")), board.close)


SUBJECTS: dict[str, Callable[[Path], Subject]] = {
    "file": FileSubject,
    "simulated": lambda _folder: SimulatedSubject(),
    "gpiozero": lambda _folder: HeaderSubject(),
    "serialrelay": lcus,
    "modbusrelay": modbus,
    "httprelay": http,
}
CHIP = gpiochip.underneath()
if CHIP is not None:  # tests/hardware/test_gpio_chip.py runs this file again on top of one
    chip = CHIP
    SUBJECTS = {
        "gpiod": lambda _folder: ChipSubject(chip, lambda relays, inputs: GpiodPins(gpiochip.DEVICE, relays, inputs)),
        "lgpio": lambda _folder: ChipSubject(chip, lambda relays, inputs: GpiozeroPins(relays, inputs, pi_factory)),
    }


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    subject = SUBJECTS[request.param](tmp_path)
    yield subject
    subject.end()


@pytest.fixture(params=[name for name in SUBJECTS if name not in ("file", "simulated")])
def wired(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WiredSubject]:
    subject = SUBJECTS[request.param](tmp_path)
    assert isinstance(subject, WiredSubject)
    yield subject
    subject.end()


def test_nothing_moves_when_it_is_made_or_closed(subject: Subject) -> None:
    assert subject.turnstile.ready
    assert subject.turnstile.fault is None
    subject.turnstile.close()
    subject.turnstile.close()
    assert subject.pulses() == []


def test_a_pulse_is_one_pulse_with_its_note_and_its_time(subject: Subject) -> None:
    began_ns = subject.turnstile.open_for(Direction.IN, MIN_PULSE_MS, {"pass": "a1b2", "entry_seq": 7, "who": None})
    (pulse,) = until(subject.pulses, what="the relay moves")
    told_ns = pulse["monotonic_ns"]
    assert isinstance(told_ns, int)
    assert abs(told_ns - began_ns) < 1_000_000_000
    note = {} if isinstance(subject, WiredSubject) else {"pass": "a1b2", "entry_seq": 7, "who": None}
    assert {**pulse, "monotonic_ns": 0} == {**note, "direction": "in", "monotonic_ns": 0}


def test_each_way_is_opened_by_itself(subject: Subject) -> None:
    subject.turnstile.open_for(Direction.OUT, MIN_PULSE_MS, {})
    (pulse,) = until(subject.pulses, what="the relay moves")
    assert pulse["direction"] == "out"
    subject.turnstile.open_for(Direction.IN, MIN_PULSE_MS, {})
    pulses = until(lambda: subject.pulses()[1:] and subject.pulses(), what="the other one moves")
    assert sorted(str(pulse["direction"]) for pulse in pulses) == ["in", "out"]


def test_a_pulse_one_way_neither_lengthens_nor_ends_one_the_other_way(wired: WiredSubject) -> None:
    wired.turnstile.open_for(Direction.IN, MIN_PULSE_MS, {})
    wired.turnstile.open_for(Direction.OUT, MAX_PULSE_MS, {})
    until(lambda: [on for _, on in wired.edges()] == [True, False], what="the short one ends")
    assert [on for _, on in wired.edges(Direction.OUT)] == [True]


def test_pulses_asked_for_together_are_pulses_of_their_own(subject: Subject) -> None:
    for seq in range(3):
        subject.turnstile.open_for(Direction.IN, MAX_PULSE_MS, {"entry_seq": seq})
    pulses = until(subject.pulses, what="the relay moves")
    if isinstance(subject, WiredSubject):
        assert [on for _, on in subject.edges()] == [True]  # one that lasts longer, on a wire
    else:
        assert [pulse["entry_seq"] for pulse in pulses] == [0, 1, 2]


def test_any_thread_may_ask(subject: Subject) -> None:
    with ThreadPoolExecutor(4) as threads:
        times = list(
            threads.map(lambda seq: subject.turnstile.open_for(Direction.IN, 100, {"entry_seq": seq}), range(40))
        )
    assert len(times) == 40
    if not isinstance(subject, WiredSubject):
        assert sorted(str(pulse["entry_seq"]) for pulse in subject.pulses()) == sorted(map(str, range(40)))


def test_a_pulse_ends_by_itself_and_not_too_early(wired: WiredSubject) -> None:
    began_ns = wired.turnstile.open_for(Direction.IN, MIN_PULSE_MS, {})
    wired.turnstile.open_for(Direction.IN, 2 * MIN_PULSE_MS, {})
    edges = until(lambda: wired.edges()[1:] and wired.edges(), what="the relay goes off")
    assert [on for _, on in edges] == [True, False]
    assert edges[1][0] - began_ns >= 2 * MIN_PULSE_MS * 1_000_000 - GAP_NS


@pytest.mark.slow
def test_closing_and_starting_again_make_no_edge(wired: WiredSubject) -> None:
    wired.turnstile.close()
    wired.turnstile = wired.make()
    assert wired.turnstile.fault is None
    assert wired.edges() == []
    wired.turnstile.open_for(Direction.IN, MIN_PULSE_MS, {})
    until(lambda: [on for _, on in wired.edges()] == [True, False], what="it works again")


@pytest.mark.parametrize("pulse_ms", [0, -1, MIN_PULSE_MS - 1, MAX_PULSE_MS + 1])
def test_what_is_no_pulse_moves_nothing(subject: Subject, pulse_ms: int) -> None:
    with pytest.raises(ValueError, match="a pulse is"):
        subject.turnstile.open_for(Direction.IN, pulse_ms, {})
    assert subject.pulses() == []


def test_a_closed_one_says_so_and_moves_nothing(subject: Subject) -> None:
    subject.turnstile.close()
    with pytest.raises(DeviceFault, match="closed"):
        subject.turnstile.open_for(Direction.IN, 300, {})
    assert subject.pulses() == []


def test_passages_are_told_only_where_there_is_a_sensor_and_after_a_pulse(subject: Subject) -> None:
    heard: list[Edge] = []
    subject.turnstile.watch(heard.append)
    assert heard == []
    assert subject.turnstile.has_passage_sensor is subject.has_inputs


def test_where_nothing_is_wired_or_moves_every_input_is_harmless(subject: Subject) -> None:
    turnstile = subject.turnstile
    assert (turnstile.ready, turnstile.fire, turnstile.tampered) == (True, False, False)
    assert [turnstile.passing(direction) for direction in Direction] == [False, False]


@pytest.fixture(params=[name for name in SUBJECTS if name in ("simulated", "gpiozero", "gpiod", "lgpio")])
def wired_in(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    """One with inputs: for the others the harmless answers above are all there is."""
    subject = SUBJECTS[request.param](tmp_path)
    assert subject.has_inputs
    yield subject
    subject.end()


def is_active(turnstile: Turnstile, role: Role) -> bool:
    """What the turnstile says of that input."""
    return {
        Role.PASSAGE_IN: turnstile.passing(Direction.IN),
        Role.FIRE: turnstile.fire,
        Role.TAMPER: turnstile.tampered,
    }[role]


@pytest.mark.parametrize("role", [Role.PASSAGE_IN, Role.FIRE, Role.TAMPER])
def test_an_input_is_told_as_an_edge_and_can_be_asked_for(wired_in: Subject, role: Role) -> None:
    heard: list[Edge] = []
    wired_in.turnstile.watch(heard.append)
    for active in (True, False):
        heard.clear()
        wired_in.drive(role, active)
        edges = until(lambda: [edge for edge in heard if edge.role is role], what="the edge is told")
        assert [edge.active for edge in edges] == [active]
        assert is_active(wired_in.turnstile, role) is active
    assert wired_in.pulses() == [], "an input moves no relay"
    assert wired_in.turnstile.fault is None


def test_no_pulse_in_a_fire_and_again_after_it(wired_in: Subject) -> None:
    wired_in.drive(Role.FIRE, True)
    until(lambda: wired_in.turnstile.fire)
    with pytest.raises(DeviceFault, match="fire"):
        wired_in.turnstile.open_for(Direction.IN, MIN_PULSE_MS, {})
    assert wired_in.pulses() == []
    wired_in.drive(Role.FIRE, False)
    until(lambda: not wired_in.turnstile.fire)
    wired_in.turnstile.open_for(Direction.IN, MIN_PULSE_MS, {})
    until(wired_in.pulses, what="the relay moves")


def test_an_open_housing_stops_nobody(wired_in: Subject) -> None:
    wired_in.drive(Role.TAMPER, True)
    until(lambda: wired_in.turnstile.tampered)
    wired_in.turnstile.open_for(Direction.IN, MIN_PULSE_MS, {})
    until(wired_in.pulses, what="the relay moves")


def test_inputs_that_are_active_at_the_start_make_no_edge_on_the_relay(wired_in: Subject) -> None:
    """A box that starts in a fire, or with its housing open, or whose sensor's wire is cut."""
    if not isinstance(wired_in, WiredSubject):
        return
    wired_in.turnstile.close()
    for role in (Role.PASSAGE_IN, Role.FIRE, Role.TAMPER):
        wired_in.drive(role, True)
    wired_in.turnstile = wired_in.make()
    until(lambda: all(is_active(wired_in.turnstile, role) for role in (Role.PASSAGE_IN, Role.FIRE, Role.TAMPER)))
    assert wired_in.edges() == []
