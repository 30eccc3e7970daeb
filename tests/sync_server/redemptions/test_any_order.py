"""Whatever order, split and repetition the gates' batches come in, the same tables stand at the end (R8, I13, I14)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.gates.tables import incarnation
from sync_server.invariants import broken
from sync_server.keys.pairs import SigningKey, open_service_key
from sync_server.orders.tables import item_claim
from sync_server.redemptions.checks import CHECKS
from sync_server.redemptions.ingest import take_in
from sync_server.redemptions.tables import entry, forked_entry, in_journal, redemption
from tests.sync_server.town import HOLDER, START_MS, Gate, Sold, Town, build_town
from wire import presentation
from wire.far_entry import FarEntry
from wire.messages import (
    COUNTING,
    ClockTrust,
    EntryKind,
    Outcome,
    Presentation,
    ReadBatch,
    Superseded,
    batch_digest,
    read_batch,
)

pytestmark = pytest.mark.slow("money")

MINUTE_MS = 60_000
EXAMPLES = {"sqlite": 400, "postgresql": 120}
ODD = ["interleave", "late", "twice", "ahead", "by hand", "no proof", "copied code", "stranger", "refuse"]
FAR = ("late", "twice", "interleave", "ahead")
SINGLE_OUTCOMES = (EntryKind.PASSED, EntryKind.PASSED_ASSUMED, EntryKind.UNRESOLVED, EntryKind.ANNULLED)


COPIED = presentation.step_at(START_MS + 25 * 60 * MINUTE_MS).to_bytes(4, "big") + bytes(64)
"""A rotating code that many show, and that nobody's phone drew."""


class Scene(NamedTuple):
    """Passes and gates that exist before any entry was made."""

    town: Town
    signer: SigningKey
    sold: list[Sold]
    gates: list[Gate]


class Act(NamedTuple):
    """Something that happens at a gate: what, to which pass, at which minute, how it ends."""

    what: str
    sold: int
    minute: int
    outcome: EntryKind


@pytest.fixture
def scene(any_centre: Centre) -> Scene:
    return build_scene(any_centre)


def build_scene(centre: Centre) -> Scene:
    """Two single tickets, one for two entries and an annual pass are sold; two venues have gates."""
    town = build_town(centre)
    sold = [*town.sell("single", 2), *town.sell("double"), *town.sell("annual", holders=[HOLDER])]
    gates = [town.gate(name="G1"), town.gate(name="G2"), town.gate("park", "G3")]
    gates.append(Gate(gates[0].device, gates[0].private, b"journal2"))  # what G1 wrote after it was repaired
    town.clock.pass_ms(48 * 60 * MINUTE_MS)
    with centre.read() as connection:
        signer = open_service_key(connection, centre.secrets)
    return Scene(town, signer, sold, gates)


acts = st.builds(
    Act,
    what=st.sampled_from(["admit"] * 4 + ["give back"] * 3 + ODD),
    sold=st.sampled_from([0, 0, 0, 1, 2, 3]),
    minute=st.integers(0, 8),
    outcome=st.sampled_from(SINGLE_OUTCOMES),
)
journals = st.lists(st.lists(acts, max_size=7), min_size=4, max_size=4)


def play(gate: Gate, sold: list[Sold], script: list[Act]) -> Gate:
    """The journal of a gate at which all this happens."""
    written = Gate(gate.device, gate.private, gate.incarnation)
    for act in script:
        shown, at_ms = sold[act.sold], START_MS + 25 * 60 * MINUTE_MS + act.minute * MINUTE_MS
        intents = [one.seq for one in written.entries if one.kind is EntryKind.INTENT]
        is_next = written.incarnation == b"journal2"
        if is_next and act.what in FAR:  # somebody passed after all by what the journal before had annulled
            far = FarEntry(b"journal1", act.sold // 3 + 1).evidence()
            written.write(EntryKind.PASSED_LATE, at_ms, ref_seq=-1, pass_id=shown.pass_id, evidence=far)
        elif act.what == "admit":
            written.admit(shown, at_ms, act.outcome)
        elif act.what == "interleave":  # two lanes: the outcomes come in the order of the intents' ends
            first, second = written.intend(shown, at_ms), written.intend(sold[act.sold - 1], at_ms)
            written.write(act.outcome, at_ms + 900, ref_seq=second)
            written.write(EntryKind.PASSED, at_ms + 1_800, ref_seq=first)
        elif act.what == "late":
            seq = written.admit(shown, at_ms, EntryKind.ANNULLED)
            written.write(EntryKind.PASSED_LATE, at_ms + 4_000, ref_seq=seq)
        elif act.what == "twice":  # no gate of ours does it
            seq = written.admit(shown, at_ms, act.outcome)
            written.write(EntryKind.PASSED, at_ms + 4_000, ref_seq=seq)
        elif act.what == "ahead":  # nor names what is still to come
            written.write(act.outcome, at_ms, ref_seq=len(written.entries) + 2)
            written.intend(shown, at_ms)
        elif act.what == "copied code":
            written.admit(shown, at_ms, presentation=Presentation.SHORT, evidence=COPIED)
        elif act.what == "stranger":
            written.admit(shown._replace(pass_id=b"stranger"), at_ms, trust=ClockTrust.UNKNOWN)
        elif act.what == "give back" and intents:
            written.write(EntryKind.RETURNED, at_ms, ref_seq=intents[act.sold % len(intents)], who="李")
        elif act.what == "by hand":
            written.write(EntryKind.MANUAL, at_ms, pass_id=shown.pass_id, who="李")
        elif act.what == "no proof":
            written.admit(shown, at_ms, act.outcome, evidence=b"8 bytes.")
        else:
            written.write(EntryKind.REFUSED, at_ms, pass_id=shown.pass_id, reason="used_up")
    return written


def words_of(gate: Gate, gates: list[Gate]) -> dict[str, Any]:
    """What every batch of a gate says besides its entries: the receipt it got first, and the journal before."""
    first = gates[0]
    followed = Superseded(first.incarnation, len(first.entries), first.hashes[-1] if first.hashes else b"")
    return {
        "echo": batch_digest(sign_of_life(gate)),
        "complete_seq": len(gate.entries),
        "supersedes": followed if gate.incarnation != first.incarnation else None,
    }


def sign_of_life(gate: Gate) -> bytes:
    """What a gate sends before it has written anything."""
    return Gate(gate.device, gate.private, gate.incarnation).batch()


@st.composite
def deliveries(draw: st.DrawFn, gates: list[Gate]) -> list[bytes]:
    """Every entry at least once: cut anywhere, some parts twice, all parts in any order."""
    bodies: list[bytes] = []
    for gate in gates:
        said = words_of(gate, gates)
        count = len(gate.entries)
        cuts = sorted(draw(st.sets(st.integers(1, count), max_size=4))) if count else []
        edges = [0, *[cut for cut in cuts if cut < count], count]
        bodies += [gate.batch(first + 1, last, **said) for first, last in pairwise(edges)]
        for _ in range(draw(st.integers(0, 2))):
            first = draw(st.integers(1, count + 1))
            bodies.append(gate.batch(first, draw(st.integers(first - 1, count)), **said))
    return draw(st.permutations(bodies))


def tables_after(scene: Scene, gates: list[Gate], bodies: list[bytes]) -> dict[str, Any]:
    """What the tables say when these batches have come, in a transaction that is then forgotten.

    Each gate has been heard of before, and is once more afterwards: a watermark may wait for that, never run ahead.
    """
    centre = scene.town.centre
    devices = {gate.device.id: gate.device for gate in scene.gates}
    once_more = [gate.batch(len(gate.entries) + 1, **words_of(gate, gates)) for gate in gates]
    came: set[bytes] = set()
    with centre.engine.connect() as connection, connection.begin() as transaction:
        for body in [*map(sign_of_life, gates), *bodies, *once_more]:
            read = read_batch(body)
            assert not isinstance(read, str), read
            device = devices[read.batch.device]
            sealed = take_in(connection, centre, device, read, batch_digest(body), scene.signer)
            if body not in came:  # the same again gets the receipt of then
                told = scene.town.read_receipt(sealed)
                assert set(told.verdicts) == counted_of(connection, read), "a receipt says what the tables say"
            came.add(body)
        said = _tables(connection)
        for check in CHECKS:
            assert broken(connection, check) == [], check
        transaction.rollback()
    return said


def counted_of(connection: Connection, read: ReadBatch) -> set[tuple[int, Outcome]]:
    """What became of the admissions that the entries of a batch belong to."""
    seqs = {one.ref_seq if one.kind in COUNTING else one.seq for one in read.entries}
    mine = in_journal(redemption, read.batch.device, read.batch.incarnation)
    rows = connection.execute(sa.select(redemption.c.seq, redemption.c.outcome).where(mine))
    return {(row.seq, Outcome[row.outcome]) for row in rows if row.seq in seqs}


def _tables(connection: Connection) -> dict[str, Any]:
    by_item: defaultdict[object, Counter[str]] = defaultdict(Counter)
    facts = set()
    for row in connection.execute(sa.select(redemption)).mappings():
        outcome = row["outcome"]
        if row["item_id"] is not None and row["cause"] is None:  # which rival holds the claim is left open (I14)
            by_item[row["item_id"]][outcome] += 1
            outcome = None
        facts.add(tuple({**row, "outcome": outcome}.values()))
    claims = connection.execute(sa.select(item_claim.c.item_id, item_claim.c.kind)).all()
    return {
        "entries": {tuple(row) for row in connection.execute(sa.select(entry))},
        "facts": facts,
        "outcomes of items": dict(by_item),
        "claims": {tuple(row) for row in claims},
        "journals": set(connection.execute(sa.select(incarnation)).all()),
    }


def test_any_order_split_and_repetition_give_the_same_tables(scene: Scene, times: Callable[[int], int]) -> None:
    dialect = scene.town.centre.engine.dialect.name

    @settings(max_examples=times(EXAMPLES[dialect]), suppress_health_check=[HealthCheck.too_slow])
    @given(data=st.data(), scripts=journals)
    def holds(data: st.DataObject, scripts: list[list[Act]]) -> None:
        gates = [play(gate, scene.sold, script) for gate, script in zip(scene.gates, scripts, strict=True)]
        in_order = tables_after(scene, gates, [gate.batch(1, None, **words_of(gate, gates)) for gate in gates])
        shuffled = tables_after(scene, gates, data.draw(deliveries(gates)))
        for name, rows in in_order.items():
            assert shuffled[name] == rows, name
        assert all(counts["CLAIMED"] == 1 for counts in in_order["outcomes of items"].values())
        assert len(in_order["claims"]) == len(in_order["outcomes of items"])
        assert all(row.synced_through_ms is not None and not row.frozen_cause for row in in_order["journals"])

    holds()


def test_two_histories_of_one_journal_are_kept_whole_and_freeze_it_whatever_order_they_come_in(
    scene: Scene, times: Callable[[int], int]
) -> None:
    """As after a restored card, or from a copied box: common at first, then each its own."""
    dialect = scene.town.centre.engine.dialect.name

    @settings(max_examples=times(EXAMPLES[dialect] // 2), suppress_health_check=[HealthCheck.too_slow])
    @given(data=st.data(), common=st.integers(0, 4), alone=st.tuples(st.integers(1, 5), st.integers(1, 5)))
    def holds(data: st.DataObject, common: int, alone: tuple[int, int]) -> None:
        histories = [play(scene.gates[0], scene.sold, []) for _ in alone]
        for history, own in zip(histories, alone, strict=True):
            for nth in range(common + own):
                by_itself = nth >= common and history is histories[1]
                history.write(EntryKind.EVENT, START_MS + nth, reason="copied" if by_itself else "started")
        came = stored_after(scene, data.draw(deliveries(histories)))
        wanted = {(seq, one) for history in histories for seq, one in enumerate(history.hashes, 1)}
        assert came["entries"] | came["forked"] == wanted
        assert "two histories meet" in came["frozen"]

    holds()


def stored_after(scene: Scene, bodies: list[bytes]) -> dict[str, Any]:
    """The one journal's entries, of both histories, and why it is frozen."""
    centre = scene.town.centre
    with centre.engine.connect() as connection, connection.begin() as transaction:
        for body in bodies:
            read = read_batch(body)
            assert not isinstance(read, str), read
            take_in(connection, centre, scene.gates[0].device, read, batch_digest(body), scene.signer)
        stored = {
            "entries": {tuple(row) for row in connection.execute(sa.select(entry.c.seq, entry.c.hash))},
            "forked": {tuple(row) for row in connection.execute(sa.select(forked_entry.c.seq, forked_entry.c.hash))},
            "frozen": connection.execute(sa.select(incarnation.c.frozen_cause)).scalar_one() or "",
        }
        transaction.rollback()
    return stored
