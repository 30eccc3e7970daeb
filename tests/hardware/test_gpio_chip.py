"""The real gpiod and lgpio on a pretended GPIO chip: the contract of turnstiles, and a kill while the relay is on."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hardware.gpiod_pins import GpiodPins
from hardware.gpiozero_pins import GpiozeroPins
from hardware.turnstile import Direction, Edge, Role
from hardware.wired_turnstile import Contact, InputPin, RelayPin, WiredTurnstile
from tests.hardware import gpiochip
from tests.hardware.gpiochip import GpioChip
from tests.hardware.header import pi_factory
from tests.tidy.sources import ROOT
from tests.waiting import until

pytestmark = pytest.mark.slow

RELAY = 17
INPUTS = {
    Role.PASSAGE_IN: InputPin(27, Contact.NC),
    Role.READY: InputPin(22, Contact.NO),
    Role.FIRE: InputPin(23, Contact.NC),
}
LIBRARIES = [name for name in ("gpiod", "lgpio") if importlib.util.find_spec(name)]  # lgpio: not for Python 3.13
AGAIN = ("tests/contracts/test_turnstile.py", "tests/hardware/test_gpio_chip.py")
HOLD = """
import sys, threading
from tests.hardware import test_gpio_chip as chip
pins = chip.pins_by(sys.argv[1], chip.RelayPin(chip.RELAY, active_high=sys.argv[2] == "1"), {})
if len(sys.argv) > 3:
    pins.pulse(chip.Direction.IN, int(sys.argv[3]))
print(pins.fault, flush=True)
threading.Event().wait()
"""


def pins_by(name: str, relay: RelayPin, inputs: dict[Role, InputPin]) -> GpiodPins | GpiozeroPins:
    """The pins by one of LIBRARIES."""
    relays = {Direction.IN: relay}
    if name == "gpiod":
        return GpiodPins(gpiochip.DEVICE, relays, inputs)
    return GpiozeroPins(relays, inputs, pi_factory)


if gpiochip.underneath() is None:

    @pytest.fixture(scope="module")
    def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
        return gpiochip.build(tmp_path_factory.mktemp("gpio"))

    def test_the_contract_holds_on_a_chip(preloaded: Path, tmp_path: Path) -> None:
        chip = GpioChip(tmp_path / "chip")
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *AGAIN],
            cwd=ROOT,
            env=gpiochip.environment(preloaded, chip.path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr

    @pytest.mark.parametrize("active_high", [False, True])
    @pytest.mark.parametrize("library", LIBRARIES)
    def test_a_kill_while_it_is_on_and_a_start_make_no_further_pulse(
        preloaded: Path, tmp_path: Path, library: str, active_high: bool
    ) -> None:
        chip = GpioChip(tmp_path / "chip", resting=int(not active_high))

        def process(*arguments: str) -> subprocess.Popen[bytes]:
            command: Sequence[str] = (sys.executable, "-c", HOLD, library, str(int(active_high)), *arguments)
            environment = gpiochip.environment(preloaded, chip.path)
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE)

        def kill(running: subprocess.Popen[bytes]) -> None:
            assert running.stdout is not None
            with running:
                assert running.stdout.readline() == b"None\n"
                until(lambda: chip.level(RELAY) == level, what="the level is there")
                running.kill()
                assert running.wait() == -signal.SIGKILL

        on, off = int(active_high), int(not active_high)
        level = off
        kill(process())
        assert chip.edges(RELAY) == []  # a start alone
        level = on
        kill(process("5000"))
        assert [edge.level for edge in chip.edges(RELAY)] == [on]  # a chip that keeps its levels keeps this one
        level = off
        kill(process())
        assert [edge.level for edge in chip.edges(RELAY)] == [on, off]

else:

    @pytest.fixture(params=LIBRARIES)
    def pins(request: pytest.FixtureRequest) -> Iterator[GpiodPins | GpiozeroPins]:
        for number, level in ((27, 0), (22, 1), (23, 0)):
            gpiochip.drive(number, level)
        pins = pins_by(request.param, RelayPin(RELAY, active_high=False), INPUTS)
        assert pins.fault is None
        yield pins
        pins.close()

    def test_inputs_are_read_and_told(pins: GpiodPins | GpiozeroPins) -> None:
        turnstile = WiredTurnstile(pins, pins)
        heard: list[Edge] = []
        turnstile.watch(heard.append)
        assert (turnstile.ready, turnstile.fire, turnstile.fault) == (False, False, None)
        gpiochip.drive(22, 0)
        assert turnstile.ready
        began_ns = turnstile.open_for(Direction.IN, 100, {})
        gpiochip.drive(27, 1)
        until(lambda: len(heard) == 2, what="the passage is told")
        assert turnstile.passing(Direction.IN)
        gpiochip.drive(27, 0)
        until(lambda: len(heard) == 3, what="its end is told")
        assert [(edge.role, edge.active) for edge in heard] == [
            (Role.READY, True),
            (Role.PASSAGE_IN, True),
            (Role.PASSAGE_IN, False),
        ]
        assert began_ns < heard[1].monotonic_ns < heard[2].monotonic_ns < began_ns + 60_000_000_000

    def test_a_cut_wire_shows(pins: GpiodPins | GpiozeroPins) -> None:
        turnstile = WiredTurnstile(pins, pins)
        for number in (27, 22, 23):
            gpiochip.drive(number, 1)  # pulled up, nothing at the other end
        assert (turnstile.ready, turnstile.fire) == (False, True)
        assert turnstile.passing(Direction.IN)

    def test_pins_that_do_not_exist_are_a_fault() -> None:
        pins = GpiodPins(gpiochip.DEVICE, {Direction.IN: RelayPin(64)}, {})
        assert "cannot be had" in str(pins.fault)
        pins.close()


def test_a_chip_that_is_not_there_is_a_fault() -> None:
    pins = GpiodPins(Path("/dev/gpiochip77"), {Direction.IN: RelayPin(RELAY)}, INPUTS)
    assert "/dev/gpiochip77 cannot be had" in str(pins.fault)
    assert pins.active(Role.READY) is None
    pins.close()
    assert "closed" in str(pins.fault)


def test_a_missing_gpiod_is_a_fault_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    pins = GpiodPins(gpiochip.DEVICE, {Direction.IN: RelayPin(RELAY)}, {})
    assert "gpiod is missing" in str(pins.fault)
    pins.close()
