"""However entries come and whatever is still open, batches follow one another and never pass an open intent."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gate_agent import outbox
from gate_agent.disk import read_only
from gate_agent.entries import Entries
from gate_agent.outbox import JournalBehind, Moment, Outbox
from tests.gate_agent.boxes import bodies, write
from tests.wire.samples import INCARNATION
from wire.messages import FIRST_HASH, MAX_BATCH_ENTRIES, EntryKind, decode_entry, entry_hash

OUTCOMES = (EntryKind.PASSED, EntryKind.PASSED_ASSUMED, EntryKind.ANNULLED, EntryKind.UNRESOLVED)
Step = tuple[str, int, EntryKind]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("intent"), st.just(0), st.just(EntryKind.INTENT)),
        st.tuples(st.just("outcome"), st.integers(0, 9), st.sampled_from(OUTCOMES)),
        st.tuples(st.just("others"), st.sampled_from([1, 2, 499, 500, 501]), st.just(EntryKind.REFUSED)),
        st.tuples(st.just("send"), st.just(0), st.just(EntryKind.EVENT)),
    ),
    max_size=25,
)


class Sender:
    """Sends as sync does, and checks what it is given."""

    def __init__(self, data_dir: Path) -> None:
        self.outbox = Outbox(data_dir)
        self.sent: dict[int, tuple[bytes, bytes]] = {}
        self.hash = FIRST_HASH

    def send(self, open_intents: list[int]) -> int:
        ready = self.outbox.ready(lambda incarnation: len(self.sent) if incarnation == INCARNATION else 0)
        assert ready is not None
        assert (ready.first_seq, ready.previous_hash) == (len(self.sent) + 1, self.hash)
        assert len(ready.bodies) <= MAX_BATCH_ENTRIES
        for seq, body in enumerate(ready.bodies, ready.first_seq):
            assert decode_entry(body).seq == seq
            assert all(seq < intent for intent in open_intents)
            self.hash = entry_hash(self.hash, body)
            self.sent[seq] = (body, self.hash)
        assert ready.last_hash == self.hash
        return len(ready.bodies)


@pytest.mark.slow
@settings(max_examples=40)
@given(STEPS)
def test_batches_follow_one_another_and_never_pass_an_open_intent(
    steps: list[Step],
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Entries.open(Path(folder), lambda: INCARNATION)[0]) as entries,
    ):
        sender = Sender(Path(folder))
        open_intents: list[int] = []
        for step, number, kind in steps:
            if step == "intent":
                open_intents.append(write(entries, kind))
            elif step == "others":
                write(entries, *[kind] * number)
            elif step == "send":
                sender.send(open_intents)
            elif open_intents:
                write(entries, kind, ref_seq=open_intents.pop(number % len(open_intents)))
        for intent in open_intents:
            write(entries, EntryKind.UNRESOLVED, ref_seq=intent)
        while sender.send([]):
            pass
        assert sender.sent == bodies(Path(folder))


def test_what_waits_is_counted_behind_an_open_intent_too(tmp_path: Path) -> None:
    with closing(Entries.open(tmp_path, lambda: INCARNATION)[0]) as entries:
        write(entries, EntryKind.REFUSED, EntryKind.INTENT, EntryKind.REFUSED)
        ready = Outbox(tmp_path).ready(lambda _: 0)
    assert ready is not None
    assert (len(ready.bodies), ready.waiting, ready.last_seq) == (1, 2, 3)


def test_a_cursor_past_the_end_is_no_place_to_go_on_from(tmp_path: Path) -> None:
    with closing(Entries.open(tmp_path, lambda: INCARNATION)[0]) as entries:
        write(entries, EntryKind.REFUSED)
        with pytest.raises(JournalBehind, match="up to 2"):
            Outbox(tmp_path).ready(lambda _: 2)


def test_without_a_journal_there_is_nothing(tmp_path: Path) -> None:
    assert Outbox(tmp_path).ready(lambda _: 0) is None


def test_where_all_that_a_moment_knew_ended_is_found_however_late(tmp_path: Path) -> None:
    with closing(Entries.open(tmp_path, lambda: INCARNATION)[0]) as entries:
        write(entries, EntryKind.INTENT, EntryKind.INTENT)
        held, then = Outbox(tmp_path), Moment(INCARNATION, 2)

        def complete_seq(moment: Moment) -> int | None:
            ready = held.ready(lambda _: 0, moment)
            return None if ready is None else ready.complete_seq

        assert complete_seq(then) == 2
        write(entries, EntryKind.PASSED, ref_seq=1)
        write(entries, EntryKind.REFUSED)
        assert complete_seq(then) == 3
        assert complete_seq(then) == 3, "what was found before is not forgotten"
        write(entries, EntryKind.UNRESOLVED, ref_seq=2)
        assert complete_seq(then) == 5
        write(entries, EntryKind.RETURNED, ref_seq=4)
        assert complete_seq(then) == 5, "it is of something that came after"
        assert complete_seq(Moment(INCARNATION, 4)) == 6
        assert complete_seq(then) == 5


def test_a_look_costs_no_more_after_days_off_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[None] = []

    def counted(path: Path) -> sqlite3.Connection:
        db = read_only(path)
        db.set_progress_handler(lambda: steps.append(None), 100)
        return db

    monkeypatch.setattr(outbox, "read_only", counted)
    with closing(Entries.open(tmp_path, lambda: INCARNATION)[0]) as entries:
        held, heard = Outbox(tmp_path), Moment(INCARNATION, 0)
        for _ in range(4):
            write(entries, *[EntryKind.REFUSED] * 1_000)
            held.ready(lambda _: 0, heard)
        steps.clear()
        held.ready(lambda _: 0, heard)
        after_days = len(steps)
        held.ready(lambda _: 3_500)
    assert after_days <= 2 * (len(steps) - after_days) + 20
