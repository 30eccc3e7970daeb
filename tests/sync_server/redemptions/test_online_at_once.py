"""One pass shown at many on-line checks at the same instant: as many are admitted as its product allows, no more."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import sqlalchemy as sa

from sync_server import crypto
from sync_server.centre import Centre
from sync_server.checks import flaws_of
from sync_server.commits import SharedCommits
from sync_server.gates.registry import Device
from sync_server.keys.pairs import open_service_key
from sync_server.redemptions.online import redeem
from sync_server.redemptions.rulebook import Rulebook
from sync_server.redemptions.tables import redemption
from tests.sync_server.conftest import Clock, centre_at
from tests.sync_server.redemptions.test_at_once import at_once
from tests.sync_server.town import HOLDER, START_MS, Gate, Town, build_town
from wire.redeem import REDEEM_FORMAT, Redeem, RedeemAnswer, encode_redeem, read_answer

PROCESSES = 2
THREADS = 4  # in each
DAY_MS = 86_400_000
Said = tuple[int, str | None]
"""Number of the code, and the reason; None: admitted."""


def contend(
    url: str, folder: Path, secrets: crypto.Secrets, devices: Sequence[Device], codes: Sequence[str], now_ms: int,
    begin: Barrier, said: Queue[list[Said]],
) -> None:  # fmt: skip
    """One process: every thread is a device of its own that shows each code, all at the same instant."""
    centre = centre_at(url, folder, secrets, Clock(now_ms))
    rulebook, commits = Rulebook(centre), SharedCommits(centre.engine)
    with centre.read() as connection:
        signer = open_service_key(connection, centre.secrets)
    heard: list[Said] = []

    def show(device: Device) -> None:
        for each, code in enumerate(codes):
            asked = Redeem(REDEEM_FORMAT, os.urandom(16), code)
            body = encode_redeem(asked)
            begin.wait()
            answer = redeem(centre, commits, rulebook, device, asked, body, signer)
            assert isinstance(answer, bytes)
            read = read_answer(answer, device.id, body, rulebook.keys, now_ms)
            assert isinstance(read, RedeemAnswer)
            heard.append((each, read.reason))

    threads = [threading.Thread(target=show, args=(device,)) for device in devices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said.put(heard)
    centre.engine.dispose()


def all_at_once(town: Town, devices: Sequence[Device], codes: Sequence[str]) -> list[Counter[str | None]]:
    """What the devices were told of each code; PROCESSES × THREADS of them show it."""
    centre, context = town.centre, multiprocessing.get_context("spawn")
    begin, said = context.Barrier(PROCESSES * THREADS), context.Queue()
    url = centre.engine.url.render_as_string(hide_password=False)
    folder = centre.settings.secret_file.parent
    processes = [
        context.Process(
            target=contend,
            args=(url, folder, centre.secrets, devices[n::PROCESSES], codes, town.clock.now_ms, begin, said),
        )
        for n in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    heard = [one for _ in processes for one in said.get(timeout=300)]
    for process in processes:
        process.join()
    counts: list[Counter[str | None]] = [Counter() for _ in codes]
    for number, reason in heard:
        counts[number][reason] += 1
    return counts


@pytest.mark.slow("scale")
@pytest.mark.parametrize("one_device", [False, True])
def test_a_ticket_for_one_entry_is_admitted_exactly_once(
    any_centre: Centre, times: Callable[[int], int], one_device: bool
) -> None:
    town = build_town(any_centre)
    sold = [one for _ in range(3) for one in town.sell("single", times(100))]
    devices = [town.gate(name=f"H{n}").device for n in range(PROCESSES * THREADS)]
    devices = devices[:1] * len(devices) if one_device else devices
    for heard in all_at_once(town, devices, [one.token for one in sold]):
        assert heard == {None: 1, "used_up": PROCESSES * THREADS - 1}
    with any_centre.read() as connection:
        outcomes = Counter(connection.scalars(sa.select(redemption.c.outcome)))
        assert flaws_of(connection) == []
    assert outcomes == {"CLAIMED": len(sold)}


@pytest.mark.slow("scale")
def test_a_ticket_for_two_entries_and_a_pass_for_three_a_day(any_centre: Centre, times: Callable[[int], int]) -> None:
    town = build_town(any_centre)
    doubles, [annual] = town.sell("double", times(100)), town.sell("annual", holders=[HOLDER])
    town.clock.pass_ms(DAY_MS + 60_000)
    devices = [town.gate(name=f"H{n}").device for n in range(PROCESSES * THREADS)]
    *on_doubles, on_annual = all_at_once(town, devices, [one.token for one in (*doubles, annual)])
    assert on_annual == {None: 3, "used_up": PROCESSES * THREADS - 3}
    for heard in on_doubles:
        assert heard == {None: 2, "used_up": PROCESSES * THREADS - 2}
    with any_centre.read() as connection:
        outcomes = Counter(connection.scalars(sa.select(redemption.c.outcome)))
        assert flaws_of(connection) == []
    assert outcomes == {"CLAIMED": len(doubles), "REPEAT": len(doubles), "PASS_VISIT": 3}


@pytest.mark.slow("scale")
def test_gates_report_the_tickets_that_are_being_checked(any_centre: Centre, times: Callable[[int], int]) -> None:
    """Whoever comes first has the item; nobody waits for ever, and the books are right."""
    town = build_town(any_centre)
    sold = town.sell("single", times(200))
    device, gates = town.gate(name="H1").device, [town.gate(name=f"G{n}") for n in range(3)]
    for gate in gates:
        for one in sold:
            gate.admit(one, START_MS)
    rulebook, commits = Rulebook(any_centre), SharedCommits(any_centre.engine)
    with any_centre.read() as connection:
        signer = open_service_key(connection, any_centre.secrets)

    def upload(gate: Gate) -> None:
        for first in range(1, 2 * len(sold), 20):
            town.upload(gate, first, min(first + 19, 2 * len(sold)))

    def check() -> None:
        for number, one in enumerate(reversed(sold)):
            asked = Redeem(REDEEM_FORMAT, number.to_bytes(16, "big"), one.token)
            assert isinstance(redeem(any_centre, commits, rulebook, device, asked, encode_redeem(asked), signer), bytes)

    assert at_once([check, *(partial(upload, gate) for gate in gates)]) == []
    with any_centre.read() as connection:
        outcomes = Counter(connection.scalars(sa.select(redemption.c.outcome)))
        assert flaws_of(connection) == []
    assert outcomes["CLAIMED"] == len(sold)
    assert set(outcomes) == {"CLAIMED", "CONFLICT"} and outcomes.total() >= 3 * len(sold)
