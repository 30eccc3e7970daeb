"""Lists come through any HTTP cache, even with the centre stopped; what a cache changes is refused and shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from demo.centre import Centre, Issued, running_centre
from demo.processes import Program, run, run_json
from gate_agent.pass_list import PassList
from gate_agent.sync_state import SyncView, TroubleKind
from tests import nginx
from tests.waiting import until

PATIENCE_S = 60.0
VENUE = 1

pytestmark = pytest.mark.story


@dataclass
class Gate:
    """An enrolled, approved box."""

    data_dir: Path

    def version(self) -> int | None:
        """Of the list it holds."""
        held = PassList.open(self.data_dir)
        return None if held is None else held.version

    def holds(self, issued: list[Issued]) -> bool:
        """Whether its list has all of these."""
        held = PassList.open(self.data_dir)
        return held is not None and all(held.find(bytes.fromhex(one.pass_id)) is not None for one in issued)

    def trouble(self) -> TroubleKind | None:
        """What its screens say about the list."""
        link = SyncView.open(self.data_dir).read().list_link
        return None if link is None or link.trouble is None else link.trouble.kind

    def lose_list(self) -> None:
        """As after a new card: the box is enrolled and has nothing else."""
        shutil.rmtree(self.data_dir / "lists")


@contextmanager
def running(gate: Gate) -> Iterator[str]:
    """Its agent with simulated lanes, and the address of its screen."""
    command = ["gate-agent", "run", "--data", str(gate.data_dir), "--screen-port", "0", "--simulate"]
    program = Program(command, gate.data_dir.with_suffix(".log"))
    try:
        yield str(program.wait_ready()["screen"])
    finally:
        program.stop()


def enrolled(folder: Path, centre: Centre) -> Gate:
    """Enrolled at the centre's own address, and approved."""
    command = ["gate-agent", "enrol", "--data", str(folder), "--url", centre.url, "--code"]
    made = run_json([*command, centre.enrolment_code(VENUE)])
    centre.approve(made["device"])
    return Gate(folder)


def show(screen: str, code: str) -> None:
    body = json.dumps({"text": code, "to": "scanner"}).encode()
    with urlopen(Request(f"{screen}/sim/lane/1/show", body, {"Content-Type": "application/json"}), timeout=5):
        return


def sold(centre: Centre, count: int) -> list[Issued]:
    order = centre.order_tickets(centre.product("single_ticket"), count)
    until(lambda: centre.is_issued(order), PATIENCE_S, "the order is issued")
    return centre.codes(order)


def admitted(gate: Gate) -> list[str]:
    lines = run(["gate-agent", "export", "--data", str(gate.data_dir), "--format", "jsonl"]).splitlines()
    entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [entry["pass"] for entry in entries if entry["kind"] == "intent"]


def changed(answer: bytes) -> bytes:
    """One byte of it is another, near its end: in the body, behind the cache's own header."""
    return answer[:-9] + bytes([answer[-9] ^ 1]) + answer[-8:]


def test_the_list_comes_through_a_cache_with_the_centre_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = nginx.free_port()
    monkeypatch.setenv("SYNC_SERVER_FEED_URL", f"http://127.0.0.1:{port}")
    with running_centre(tmp_path) as centre, nginx.running(tmp_path / "nginx", port, centre.url) as cache:
        first, second = (enrolled(tmp_path / name, centre) for name in ("gate-1", "gate-2"))
        with running(second):
            until(lambda: second.version() is not None, PATIENCE_S, "the second gate's first list")
        with running(first):
            tickets = sold(centre, 2)
            until(lambda: first.holds(tickets), PATIENCE_S, "the first gate holds what was sold")
        assert not second.holds(tickets)
        centre.stop()

        second.lose_list()
        asked = len(cache.asked())
        with running(second) as screen:
            until(lambda: second.holds(tickets), PATIENCE_S, "the second gate holds it all")
            assert second.version() == first.version()
            assert {(status, said) for _, status, said in cache.asked()[asked:]} <= {(200, "HIT"), (200, "STALE")}
            show(screen, tickets[0].code)
            until(lambda: admitted(second) == [tickets[0].pass_id], PATIENCE_S, "the visitor is let in")

            good = {path: path.read_bytes() for path in cache.kept()}
            for path, answer in good.items():
                path.write_bytes(changed(answer) if b"/segments/" in answer[:1_000] else answer)
            second.lose_list()
            until(lambda: second.trouble() is TroubleKind.NOT_THE_CENTRE, PATIENCE_S, "a changed segment is shown")
            for path, answer in good.items():
                path.write_bytes(changed(answer) if b"/head" in answer[:1_000] else answer)
            until(lambda: second.trouble() is TroubleKind.BAD_LIST, PATIENCE_S, "a changed head is shown")
            assert second.version() is None
            for path, answer in good.items():
                path.write_bytes(answer)
            until(lambda: second.holds(tickets), PATIENCE_S, "the list comes when the cache is well again")
            until(lambda: second.trouble() is None, PATIENCE_S, "and nothing is shown any more")
