"""Entries up: signed batches over HTTP against their bare SQL and against row by row; a full drain (P9, P10).

`./dev bench ingest [--batches 8] [--entries 200000] [--proofs 20000] [--databases sqlite,postgres]`

Each batch is 250 tickets entered, every one claimed for the money of its venue; paying is the worker's. The bare SQL
brings the same rows to a copy of the database by one statement a table (the passes looked up, then entries, claims,
redemptions, progress and receipt) and one commit, with nothing read, judged or signed; the same with a statement a row
is told beside. The row-wise peer is a web process that does all that ours does, over HTTP, but looks up and writes row
by row (`row_by_row`). Batches are packed and signed before the clock runs: that is the gate's work.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import http.client
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy.engine import Connection

from benchmarks import rounds
from benchmarks.centre import (
    Enrolled,
    Ticket,
    databases,
    enrol,
    keys_of,
    new_centre,
    opened,
    sell,
    web,
)
from gate_agent.centre_client import Caller, Rest
from gate_agent.entries import Entries, Placed
from gate_agent.entry_push import EntryPush
from gate_agent.sync_state import Enrolment
from gate_agent.sync_store import SyncStore, store_enrolment
from gate_agent.trusted_time import TrustedTime, clocks_of_this_machine
from sync_server.bulk import insert_missing
from sync_server.centre import Centre
from sync_server.db import batches
from sync_server.gates.tables import incarnation
from sync_server.issuance.tables import entitlement, holder_key, issued_pass, pass_token
from sync_server.keys import key_set
from sync_server.keys.pairs import open_service_key
from sync_server.orders.tables import item_claim
from sync_server.redemptions.ingest import take_in
from sync_server.redemptions.tables import entry, receipt, redemption
from wire import holder_proof, presentation
from wire.envelope import sign_request
from wire.keyset import KeySet
from wire.messages import (
    BATCH_FORMAT,
    FIRST_HASH,
    MAX_BATCH_ENTRIES,
    Batch,
    ClockTrust,
    Entry,
    EntryKind,
    GateConfig,
    Outcome,
    Presentation,
    ReadBatch,
    Receipt,
    batch_digest,
    encode_batch,
    encode_entry,
    entry_hash,
    read_batch,
    read_receipt,
)
from wire.token import evidence_of

PATH = "/device/v1/entries"
INCARNATION = b"journal1"
PHONE = ec.derive_private_key(7, ec.SECP256R1())


def entered(ticket: Ticket, proof: bytes | None = None) -> tuple[Entry, Entry]:
    """An intent and its passage, to be numbered; with a phone's proof or the static code's."""
    now_ms = time.time_ns() // 1_000_000
    shown = Presentation.STATIC if proof is None else Presentation.SHORT
    intent = Entry(
        0, EntryKind.INTENT, now_ms, ClockTrust.TRUSTED, now_ms % 10**8, 1, 42, 1, shown, ticket.pass_id,
        evidence_of(ticket.token) if proof is None else proof,
    )  # fmt: skip
    passed = Entry(
        0, EntryKind.PASSED, now_ms + 1_800, ClockTrust.TRUSTED, now_ms % 10**8 + 1_800, 1, 42, 1,
        pass_id=ticket.pass_id, ref_seq=0,
    )  # fmt: skip
    return intent, passed


def bodies(device: Enrolled, tickets: Sequence[Ticket]) -> Iterator[bytes]:
    """Batches of one journal, 250 tickets each, as they are signed."""
    seq, head = 0, FIRST_HASH
    for part in batches(tickets, MAX_BATCH_ENTRIES // 2):
        first_seq, before, written = seq + 1, head, []
        for ticket in part:
            for one in entered(ticket):
                seq += 1
                ref = {"ref_seq": seq - 1} if one.kind is EntryKind.PASSED else {}
                body = encode_entry(Entry(**{**_fields(one), "seq": seq, **ref}))
                head = entry_hash(head, body)
                written.append(body)
        batch = Batch(
            BATCH_FORMAT, device.device.id, INCARNATION, first_seq, before, head, tuple(written), 1, 42, 1, 0, "bench"
        )
        yield encode_batch(batch)


Signed = tuple[bytes, dict[str, str]]


def signed(device: Enrolled, body: bytes) -> Signed:
    """A batch as a gate sends it."""
    packed, now_ms = gzip.compress(body, mtime=0), time.time_ns() // 1_000_000
    headers = sign_request(device.private, device.device.id, "POST", PATH, packed, now_ms, secrets.token_bytes(16))
    return packed, {**headers, "Content-Encoding": "gzip"}


def send(port: int, request: Signed) -> bytes:
    """One batch over a connection of its own; the sealed receipt."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("POST", PATH, *request)
        answer = connection.getresponse()
        data = answer.read()
    assert answer.status == 200, data
    return data


class Bare:
    """The rows of batches that were taken in elsewhere, into a copy of the database: a statement a table, or a row."""

    def __init__(self, centre: Centre, done: Centre) -> None:
        self._centre = centre
        with done.read() as connection:
            self._entries = {row["seq"]: dict(row) for row in connection.execute(sa.select(entry)).mappings()}
            self._redemptions = {row["seq"]: dict(row) for row in connection.execute(sa.select(redemption)).mappings()}
            claims = connection.execute(sa.select(item_claim)).mappings()
            self._claims = {row["item_id"]: dict(row) for row in claims}
            receipts = connection.execute(sa.select(receipt).order_by(receipt.c.given_at_ms)).mappings()
            self._receipts = [dict(row) for row in receipts]
            self._journal = dict(connection.execute(sa.select(incarnation)).mappings().one())
        with centre.write() as connection:
            insert_missing(connection, incarnation, [self._journal])

    def by_table(self, number: int) -> None:
        """One batch, set by set."""
        entries, redemptions, claims = self._rows(number)
        with self._centre.write() as connection:
            connection.execute(_KNOWN, {"ids": [row["pass_id"] for row in redemptions]}).all()
            insert_missing(connection, entry, entries)
            insert_missing(connection, item_claim, claims)
            insert_missing(connection, redemption, redemptions)
            self._end(connection, number)

    def by_row(self, number: int) -> None:
        """One batch, row by row."""
        entries, redemptions, claims = self._rows(number)
        with self._centre.write() as connection:
            for row in entries:
                connection.execute(entry.insert(), row)
            for row, claim in zip(redemptions, claims, strict=True):
                connection.execute(_KNOWN, {"ids": [row["pass_id"]]}).all()
                connection.execute(item_claim.insert(), claim)
                connection.execute(redemption.insert(), row)
            self._end(connection, number)

    def _rows(self, number: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
        seqs = range(number * MAX_BATCH_ENTRIES + 1, (number + 1) * MAX_BATCH_ENTRIES + 1)
        redemptions = [self._redemptions[seq] for seq in seqs if seq in self._redemptions]
        return [self._entries[seq] for seq in seqs], redemptions, [self._claims[row["item_id"]] for row in redemptions]

    def _end(self, connection: Connection, number: int) -> None:
        connection.execute(incarnation.update().values(through_seq=incarnation.c.through_seq))
        insert_missing(connection, receipt, [self._receipts[number]])


_KNOWN = (
    sa.select(issued_pass, entitlement.c.item_id, pass_token.c.evidence)
    .join(entitlement, entitlement.c.pass_id == issued_pass.c.id)
    .join(pass_token, pass_token.c.pass_id == issued_pass.c.id)
    .where(issued_pass.c.id.in_(sa.bindparam("ids", expanding=True)))
)


def take_all_in(centre: Centre, device: Enrolled, made: Sequence[bytes]) -> None:
    """The batches, without HTTP."""
    with centre.read() as connection:
        signer = open_service_key(connection, centre.secrets)
    for body in made:
        read = read_batch(body)
        assert isinstance(read, ReadBatch)
        with centre.write() as connection:
            take_in(connection, centre, device.device, read, batch_digest(body), signer)


def measure_batches(kind: str, count: int, folder: Path) -> dict[str, Any]:
    """P9 on one database."""
    folder.mkdir()
    with databases(kind, folder) as make:
        base = make.url("base")
        centre = new_centre(base, folder)
        device, tickets = enrol(centre, "G1"), sell(centre, (count + 1) * MAX_BATCH_ENTRIES // 2)
        keys, secret_file = keys_of(centre), centre.settings.secret_file
        centre.engine.dispose()
        made = list(bodies(device, tickets))
        done = opened(make.copy(base, "done"), secret_file)
        take_all_in(done, device, made)
        sets = Bare(opened(make.copy(base, "sets"), secret_file), done)
        rows = Bare(opened(make.copy(base, "rows"), secret_file), done)
        served, peer = make.copy(base, "served"), make.copy(base, "peer")
        seconds: dict[str, list[float]] = {"http": [], "sets": [], "rows": [], "peer": []}
        with web(served, secret_file) as centre_web, web(peer, secret_file, "benchmarks.row_by_row") as peer_web:
            cpu = centre_web.cpu_s()
            for number, request in enumerate([signed(device, body) for body in made]):
                seconds["sets"].append(rounds.seconds(partial(sets.by_table, number)))
                for name, one in (("http", centre_web), ("peer", peer_web)):
                    began = time.perf_counter()
                    given = send(one.port, request)
                    seconds[name].append(time.perf_counter() - began)
                    _check(given, keys)
                seconds["rows"].append(rounds.seconds(partial(rows.by_row, number)))
            cpu = (centre_web.cpu_s() - cpu) / len(made)
        seconds = {name: taken[1:] for name, taken in seconds.items()}
    return {
        "bare_to_http": round(rounds.ratio(seconds, "sets", "http"), 2),
        "peer_to_http": round(rounds.ratio(seconds, "peer", "http"), 2),
        "rows_to_http": round(rounds.ratio(seconds, "rows", "http"), 2),
        "http_ms": round(rounds.median_ms(seconds["http"]), 1),
        "bare_ms": round(rounds.median_ms(seconds["sets"]), 1),
        "peer_ms": round(rounds.median_ms(seconds["peer"]), 1),
        "rows_ms": round(rounds.median_ms(seconds["rows"]), 1),
        "cpu_ms": round(cpu * 1000, 1),
    }


def _check(given: bytes, keys: KeySet) -> None:
    read = read_receipt(given, keys, None)
    assert isinstance(read, Receipt) and {outcome for _, outcome in read.verdicts} == {Outcome.CLAIMED}


def measure_drain(kind: str, count: int, folder: Path, *, with_proofs: bool) -> dict[str, float]:
    """P10 on one database: the agent's own push until nothing waits."""
    folder.mkdir()
    with databases(kind, folder) as make:
        base = make.url("base")
        centre = new_centre(base, folder)
        device, tickets = enrol(centre, "G1"), sell(centre, count // 2)
        if with_proofs:
            give_phones(centre, tickets)
        with web(base, centre.settings.secret_file) as centre_web, centre.read() as connection:
            published = key_set.newest(connection)
            data_dir = folder / "gate"
            enrolment = Enrolment(centre_web.url, device.device.id, published.root_public, published.document)
            config = GateConfig(1, bytes(16), ((1, bytes(32)),), bytes(32), b"salt", published.document)
            store_enrolment(data_dir, enrolment, device.private, config)
            write_journal(data_dir, tickets, with_proofs=with_proofs)
            sizes, taken_s = drain(data_dir)
        stored = _stored(centre)
        centre.engine.dispose()
    assert stored == (count, count // 2), stored
    return {"entries": count, "drain_s": round(taken_s, 1), "bytes_per_entry": round(sum(sizes) / count, 1)}


def give_phones(centre: Centre, tickets: Sequence[Ticket]) -> None:
    """The same phone for all: only its signatures matter."""
    now_ms, public = centre.now_ms(), holder_proof.public_key_of(PHONE)
    common = {"generation": 1, "public": public, "registered_by": "benchmark", "registered_at_ms": now_ms}
    rows = [{"pass_id": one.pass_id, "used_at_ms": now_ms, **common} for one in tickets]
    with centre.write() as connection:
        for part in batches(rows, MAX_BATCH_ENTRIES):
            connection.execute(holder_key.insert(), list(part))


def write_journal(data_dir: Path, tickets: Sequence[Ticket], *, with_proofs: bool) -> None:
    """All of it waits, as after days without the network."""
    journal, _ = Entries.open(data_dir, lambda: os.urandom(8))
    placed = Placed("boot", 2_500)
    for part in batches(tickets, 5_000):
        with journal.transaction():
            for ticket in part:
                intent, passed = entered(ticket, _proof(ticket) if with_proofs else None)
                seq = journal.append(intent, placed)
                journal.append(Entry(**{**_fields(passed), "ref_seq": seq}), placed)
    journal.close()


def drain(data_dir: Path) -> tuple[list[int], float]:
    """Sizes of the bodies sent, and how long it took until the last receipt."""
    clocks, store, sizes = clocks_of_this_machine(), SyncStore(data_dir), list[int]()
    timed = TrustedTime(lambda: store.read().evidence, clocks)

    class Counting(Caller):
        def signed(self, state: Any, method: str, path: str, limit_bytes: int, body: bytes = b"", *rest: Any) -> Any:
            sizes.append(len(body))
            return super().signed(state, method, path, limit_bytes, body, *rest)

    caller = Counting(data_dir, store, clocks, timed)
    push = EntryPush(data_dir, store, caller, clocks.boot_ms, timed)
    began = time.perf_counter()
    while True:
        result = push.push_once()
        assert isinstance(result, Rest), result
        if result.pause_s > 0:
            break
    taken_s = time.perf_counter() - began
    caller.close()
    store.close()
    return sizes, taken_s


def _proof(ticket: Ticket) -> bytes:
    step = presentation.step_at(time.time_ns() // 1_000_000)
    message = presentation.holder_message(ticket.pass_id, 1, step)
    return step.to_bytes(4, "big") + holder_proof.sign(PHONE, message)


def _fields(one: Entry) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Entry.__struct_fields__}


def _stored(centre: Centre) -> tuple[int, int]:
    with centre.read() as connection:
        claimed = sa.select(sa.func.count()).select_from(redemption).where(redemption.c.outcome == "CLAIMED")
        entries = sa.select(sa.func.count()).select_from(entry)
        return int(connection.scalar(entries) or 0), int(connection.scalar(claimed) or 0)


def main(chosen: argparse.Namespace, folder: Path) -> None:
    """Print the table and the JSON line."""
    load, kinds = os.getloadavg()[0], chosen.databases.split(",")
    figures: dict[str, Any] = {"benchmark": "ingest", "load": round(load, 1)}
    lines: list[tuple[str, ...]] = []
    for kind in kinds if chosen.batches else ():
        found = figures[kind] = measure_batches(kind, chosen.batches, folder / kind)
        lines += [
            ("P9", f"{kind}: rate over HTTP ÷ that of the bare SQL", f"{found['bare_to_http']}", "≥ 0.6"),
            ("P9", f"{kind}: the same ÷ that of a centre that takes in row by row", f"{found['peer_to_http']}", "≥ 3"),
            ("", f"{kind}: the same ÷ that of the bare SQL, a statement a row", f"{found['rows_to_http']}", ""),
            ("", f"{kind}: a batch over HTTP, so row by row, bare, bare row by row, ms",
             f"{found['http_ms']} / {found['peer_ms']} / {found['bare_ms']} / {found['rows_ms']}", ""),
        ]  # fmt: skip
    for kind in kinds:
        for name, count, with_proofs in (("codes", chosen.entries, False), ("proofs", chosen.proofs, True)):
            if count:
                found = measure_drain(kind, count, folder / f"{kind}-{name}", with_proofs=with_proofs)
                figures[f"{kind}_{name}"] = found
                most = "≤ 170" if with_proofs else "≤ 100"
                lines += [
                    ("P10", f"{kind}: {count:,} waiting entries ({name}) drained, s", f"{found['drain_s']}", "< 30"),
                    ("P10", f"{kind}: bytes per entry on the wire", f"{found['bytes_per_entry']}", most),
                ]
    rounds.table(lines, ("#", f"batches of {MAX_BATCH_ENTRIES}, load {load:.1f}", "measured", "bar"))
    rounds.last_line(figures)


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="./dev bench ingest")
    options.add_argument("--batches", type=int, default=8)
    options.add_argument("--entries", type=int, default=200_000)
    options.add_argument("--proofs", type=int, default=20_000)
    options.add_argument("--databases", default="sqlite,postgres")
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        main(options.parse_args(), Path(scratch))
