"""From a suspension at the centre to the gate that refuses: real processes, alone, and while the centre is busy (P12).

`./dev bench latency [--rounds 20] [--passes 200000]`: the passes make the snapshot large that is built meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import requests
import sqlalchemy as sa

from benchmarks import portal, rounds
from benchmarks.portal import Portal
from demo.centre import Issued
from gate_agent.entries_view import EntriesView
from gate_agent.pass_list import PassList, PassListHolder
from sync_server.feed.tables import feed, feed_building
from wire.entitlement import PassStatus
from wire.messages import EntryKind
from wire.reasons import Reason

LIMIT_S = 300.0
TICKETS_AT_ONCE = 200
POLL_EVERY_S = 3.0
"""The suspensions come at any moment between two questions of the gate."""
BAR = "≤ 5"
WHEN = {"alone": "alone", "building": "while a large snapshot is built", "issuing": "while orders are issued"}


class Lane:
    """The gate's first lane as a visitor stands before it."""

    def __init__(self, screen: str, data_dir: Path) -> None:
        self._screen, self._data_dir = screen, data_dir
        self._lists = PassListHolder(data_dir)

    def status(self, ticket: Issued) -> PassStatus | None:
        """What the list in force says of a ticket; None while it is not in it."""
        held = self._lists.current()
        listed = None if held is None else held.find(bytes.fromhex(ticket.pass_id))
        return None if listed is None else listed.right.status

    def refuse(self, ticket: Issued) -> None:
        """Show a ticket that was suspended; returns when its refusal is in the journal."""
        with EntriesView.open(self._data_dir) as journal:
            after, body = journal.last_seq(), {"text": ticket.code, "to": "scanner"}
            requests.post(f"{self._screen}/sim/lane/1/show", json=body, timeout=LIMIT_S).raise_for_status()
            rounds.until(lambda: journal.last_seq() > after, LIMIT_S, "the gate has decided", 0.005)
            [told] = list(journal.told_after(after))[:1]
        assert (told.kind, told.reason) == (EntryKind.REFUSED, Reason.SUSPENDED), told


def measure(centre: Portal, lane: Lane, tickets: list[Issued], chance: random.Random) -> list[float]:
    """Seconds from the suspension's commit to the refusal of each."""
    opened, taken = centre.opened(), []
    for ticket in tickets:
        threading.Event().wait(chance.uniform(0, POLL_EVERY_S))
        portal.suspend(opened, ticket.number)
        began = time.perf_counter()
        rounds.until(lambda ticket=ticket: lane.status(ticket) is PassStatus.SUSPENDED, LIMIT_S, "the gate knows", 0.01)  # type: ignore[misc]
        lane.refuse(ticket)
        taken.append(time.perf_counter() - began)
    opened.engine.dispose()
    return taken


@contextlib.contextmanager
def again_and_again(work: Callable[[], object]) -> Iterator[None]:
    """Somebody else does this all the time."""
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            work()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def build_large_snapshots(centre: Portal) -> Callable[[], None]:
    """Has the large snapshot made anew whenever none is being made."""
    opened = centre.opened()

    def ask() -> None:
        with opened.write() as connection:
            if connection.execute(sa.select(feed_building.c.version)).first() is None:
                connection.execute(feed.update().values(basis_digest=bytes(32)))
        threading.Event().wait(0.5)

    return ask


def sell(centre: Portal) -> None:
    """An order of two hundred tickets."""
    centre.order_tickets(centre.product("single_ticket"), TICKETS_AT_ONCE)


def main(each: int, passes: int, folder: Path) -> None:
    """Print the table and the JSON line."""
    chance = random.Random(1)
    with portal.running(folder, passes) as centre:
        centre.serve()
        order = centre.order_tickets(centre.product("single_ticket"), 3 * each)
        rounds.until(lambda: centre.is_issued(order), LIMIT_S, "the tickets are issued")
        tickets = centre.codes(order)
        data_dir = folder / "gate"
        centre.enrol(data_dir)
        with portal.agent(data_dir) as program:
            lane = Lane(str(program.wait_ready()["screen"]), data_dir)
            rounds.until(lambda: PassList.open(data_dir) is not None, LIMIT_S, "the gate's first list")
            rounds.until(lambda: all(map(lane.status, tickets)), LIMIT_S, "the gate holds the tickets")
            taken = {"alone": measure(centre, lane, tickets[:each], chance)}
            with again_and_again(build_large_snapshots(centre)):
                taken["building"] = measure(centre, lane, tickets[each : 2 * each], chance)
            with again_and_again(lambda: sell(centre)):
                taken["issuing"] = measure(centre, lane, tickets[2 * each :], chance)
    load = round(rounds.load(), 1)
    p95 = {when: statistics.quantiles(times, n=20)[-1] for when, times in taken.items()}
    rounds.table(
        [
            (
                "P12",
                WHEN[when],
                f"{statistics.median(times):.2f}",
                f"{p95[when]:.2f}",
                f"{max(times):.2f}",
                BAR,
            )
            for when, times in taken.items()
        ],
        ("#", f"suspension → refused, s; {each} each, load {load}", "median", "p95", "most", "bar (p95)"),
    )
    figures = {f"p95_{when}_s": round(value, 2) for when, value in p95.items()}
    rounds.last_line({"benchmark": "latency", **figures, "rounds": each, "passes": passes, "load": load})


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="./dev bench latency")
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--passes", type=int, default=200_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        main(chosen.rounds, chosen.passes, Path(scratch) / "portal")
