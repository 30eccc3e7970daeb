"""The thread that ends pulses: off is tried until it is taken, whatever the driver does."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from hardware import DeviceFault
from hardware.relay import SwitchedRelay
from tests.waiting import until


class Contact:
    """A contact that remembers its moves and can refuse."""

    def __init__(self, refusals: list[Exception] | None = None, refuses: bool = False) -> None:
        self.moves: list[bool] = []
        self._refusals = refusals or []
        self._refused_state = refuses

    def switch(self, on: bool) -> None:
        if self._refusals and on is self._refused_state:
            raise self._refusals.pop(0)
        self.moves.append(on)


def relay_on(contact: Contact, close: Callable[[Callable[[], None]], None]) -> SwitchedRelay:
    relay = SwitchedRelay(contact.switch)
    close(relay.close)
    return relay


@pytest.fixture
def close(request: pytest.FixtureRequest) -> Callable[[Callable[[], None]], None]:
    return request.addfinalizer


def test_off_is_tried_until_it_is_taken(close: Callable[[Callable[[], None]], None]) -> None:
    contact = Contact([DeviceFault("away"), ZeroDivisionError(), DeviceFault("away")])
    relay_on(contact, close).pulse(1)
    until(lambda: contact.moves == [True, False], what="it is off after all")


def test_half_a_request_to_switch_on_is_ended_at_once(close: Callable[[Callable[[], None]], None]) -> None:
    contact = Contact([DeviceFault("unplugged")], refuses=True)
    relay = relay_on(contact, close)
    with pytest.raises(DeviceFault, match="unplugged"):
        relay.pulse(60_000)
    until(lambda: contact.moves == [False], what="off is sent")
    relay.pulse(60_000)
    assert contact.moves == [False, True]


def test_a_pulse_ends_although_whoever_began_it_died(close: Callable[[Callable[[], None]], None]) -> None:
    contact = Contact()
    relay = relay_on(contact, close)
    lane = threading.Thread(target=lambda: relay.pulse(50) and None)
    lane.start()
    lane.join()
    until(lambda: contact.moves == [True, False], what="it ends")


def test_closing_ends_the_pulse_that_is_on(close: Callable[[Callable[[], None]], None]) -> None:
    contact = Contact()
    relay = relay_on(contact, close)
    relay.pulse(60_000)
    relay.close()
    assert contact.moves == [True, False]
    with pytest.raises(DeviceFault, match="closed"):
        relay.pulse(100)
