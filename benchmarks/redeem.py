"""On-line checks over HTTP: requests a second and the centre's processor time, against the bare SQL of them (P8).

`./dev bench redeem [--checks 300] [--databases sqlite,postgres]`

The peer of quality.md, a Django ticketing system, is not installed here: its figures are quoted, 17–19 requests/s at
45–51 ms processor time with 20–29 statements. The floor measured beside is the statements of the same checks alone,
recorded from the centre and played back to a copy of its database by the bare driver, each check with its commit.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

from benchmarks import rounds
from benchmarks.centre import (
    Enrolled,
    Floor,
    Statement,
    Ticket,
    Web,
    databases,
    enrol,
    keys_of,
    new_centre,
    opened,
    sell,
    statements_of,
    web,
)
from sync_server.centre import Centre
from sync_server.commits import SharedCommits
from sync_server.keys.pairs import open_service_key
from sync_server.redemptions.online import redeem
from sync_server.redemptions.rulebook import Rulebook
from wire.envelope import sign_request
from wire.keyset import KeySet
from wire.redeem import REDEEM_FORMAT, Redeem, RedeemAnswer, encode_redeem, read_answer

PATH = "/device/v1/redeem"
CLIENTS = 8
PEER_PER_S, PEER_CPU_MS = (17, 19), (45, 51)


def requests_for(devices: Sequence[Enrolled], tickets: Sequence[Ticket]) -> list[tuple[bytes, bytes]]:
    """Each ticket's request as it goes over the wire, and its body; signed now, by the devices in turn."""
    made = []
    for device, one in zip(cycle(devices), tickets, strict=False):
        body = encode_redeem(Redeem(REDEEM_FORMAT, secrets.token_bytes(16), one.token))
        now_ms = time.time_ns() // 1_000_000
        headers = sign_request(device.private, device.device.id, "POST", PATH, body, now_ms, secrets.token_bytes(16))
        lines = [f"POST {PATH} HTTP/1.1", "Host: centre", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        made.append((("\r\n".join(lines) + "\r\n\r\n").encode() + body, body))
    return made


def ask_all(port: int, requests: Sequence[tuple[bytes, bytes]], clients: int) -> list[bytes]:
    """The answers' bodies, asked for by so many clients at once, each on one connection and from its own device."""
    answers: list[bytes] = [b""] * len(requests)

    def ask(first: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as stream:
            for number in range(first, len(requests), clients):
                connection.sendall(requests[number][0])
                assert stream.readline().startswith(b"HTTP/1.1 200"), stream.readline()
                length = 0
                while (line := stream.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                answers[number] = stream.read(length)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def all_admitted(
    answers: Sequence[bytes], requests: Sequence[tuple[bytes, bytes]], devices: Sequence[Enrolled], keys: KeySet
) -> bool:
    """Whether every answer is signed and admits."""
    asked = zip(cycle(devices), answers, (body for _, body in requests), strict=False)
    read = [read_answer(data, one.device.id, body, keys, None) for one, data, body in asked]
    return all(isinstance(one, RedeemAnswer) and one.reason is None for one in read)


def record(centre: Centre, devices: Sequence[Enrolled], tickets: Sequence[Ticket]) -> list[list[Statement]]:
    """The statements of each check as the driver gets them."""
    said: list[list[Statement]] = []
    rulebook, commits = Rulebook(centre), SharedCommits(centre.engine)
    with centre.read() as connection:
        signer = open_service_key(connection, centre.secrets)
    rulebook.venue(devices[0].device.venue_id)
    for device, one in zip(cycle(devices), tickets, strict=False):
        asked = Redeem(REDEEM_FORMAT, secrets.token_bytes(16), one.token)
        with statements_of(centre) as seen:
            answer = redeem(centre, commits, rulebook, device.device, asked, encode_redeem(asked), signer)
        assert isinstance(answer, bytes)
        begin = next(number for number, (statement, _) in enumerate(seen) if statement.startswith("UPDATE incarnation"))
        said.append(seen[begin:])  # before it the rulebook was read anew, as once a second
    return said


def measure(kind: str, checks: int, folder: Path) -> dict[str, float]:
    """One database's figures."""
    folder.mkdir()
    total = checks * (rounds.ROUNDS + 1)
    with databases(kind, folder) as make:
        base = make.url("base")
        centre = new_centre(base, folder)
        devices = [enrol(centre, f"H{number}") for number in range(CLIENTS)]
        tickets = sell(centre, total + CLIENTS)
        first = requests_for(devices, tickets[-CLIENTS:])
        secret_file = centre.settings.secret_file
        with web(base, secret_file) as begun:  # the first check begins a device's journal
            ask_all(begun.port, first, 1)
        keys = keys_of(centre)
        centre.engine.dispose()
        recorded = opened(make.copy(base, "recorded"), secret_file)
        statements = record(recorded, devices, tickets[:total])
        recorded.engine.dispose()
        [count] = {len(each) for each in statements}
        floor, served = Floor(make.copy(base, "floor")), make.copy(base, "served")
        with web(served, secret_file) as centre_web:
            figures = _rounds(checks, devices, tickets, statements, floor, keys, centre_web)
    return {"statements": count, **figures}


def _rounds(
    checks: int, devices: Sequence[Enrolled], tickets: Sequence[Ticket], statements: Sequence[Sequence[Statement]],
    floor: Floor, keys: KeySet, centre_web: Web,
) -> dict[str, float]:  # fmt: skip
    seconds: dict[str, list[float]] = {"http": [], "floor": [], "cpu": []}
    for number in range(rounds.ROUNDS + 1):
        part = slice(number * checks, (number + 1) * checks)
        asked = requests_for(devices, tickets[part])
        floor_s = rounds.seconds(partial(floor.play, statements[part])) / checks
        cpu_before = centre_web.cpu_s()
        began = time.perf_counter()
        answers = ask_all(centre_web.port, asked, CLIENTS)
        http_s = (time.perf_counter() - began) / checks
        cpu_s = (centre_web.cpu_s() - cpu_before) / checks
        assert all_admitted(answers, asked, devices, keys)
        if number:
            for name, value in (("http", http_s), ("floor", floor_s), ("cpu", cpu_s)):
                seconds[name].append(value)
    return {
        "per_s": round(1 / statistics.median(seconds["http"]), 1),
        "cpu_ms": round(rounds.median_ms(seconds["cpu"]), 2),
        "floor_ms": round(rounds.median_ms(seconds["floor"]), 2),
        "floor_ratio": round(rounds.ratio(seconds, "http", "floor"), 2),
    }


def main(kinds: Sequence[str], checks: int, folder: Path) -> None:
    """Print the table and the JSON line."""
    load = os.getloadavg()[0]
    measured = {kind: measure(kind, checks, folder / kind) for kind in kinds}
    rows: list[tuple[str, ...]] = []
    for kind, found in measured.items():
        rows += [
            ("P8", f"{kind}: requests/s, {CLIENTS} clients", f"{found['per_s']}", f"≥ 20 × {PEER_PER_S[1]} = 380"),
            (
                "P8",
                f"{kind}: processor time of the web process, ms",
                f"{found['cpu_ms']}",
                f"≤ {PEER_CPU_MS[0]} / 20 = 2.25",
            ),
            ("P8", f"{kind}: SQL statements", f"{found['statements']}", "≤ 6"),
            ("", f"{kind}: over HTTP ÷ the bare statements with their commit", f"{found['floor_ratio']}", ""),
            ("", f"{kind}: the bare statements with their commit, ms", f"{found['floor_ms']}", ""),
        ]
    rounds.table(rows, ("#", f"{checks} checks a round, load {load:.1f}", "measured", "bar (peer as quoted)"))
    rounds.last_line({"benchmark": "redeem", "load": round(load, 1), **measured})


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="./dev bench redeem")
    options.add_argument("--checks", type=int, default=300)
    options.add_argument("--databases", default="sqlite,postgres")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        main(chosen.databases.split(","), chosen.checks, Path(scratch))
