"""One batch to the centre, and the receipt that alone moves the cursor (wire.md §6)."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from gate_agent.centre_client import Answer, Caller, Rest, trouble_of
from gate_agent.heartbeat import Heartbeats
from gate_agent.outbox import JournalBehind, Moment, Outbox, Ready
from gate_agent.pass_list import PassListHolder
from gate_agent.sync_state import LinkTrouble, Parting, SyncState, TroubleKind
from gate_agent.sync_store import SyncStore
from gate_agent.trusted_time import TrustedTime
from wire import messages
from wire.messages import Receipt
from wire.signing import SealFlaw

LOOK_EVERY_S = 0.25
SIGN_OF_LIFE_EVERY_MS = 50_000
"""An empty batch after so long without a receipt: the centre hears from every gate at least once a minute."""
MAX_RECEIPT_BYTES = 64 * 1024
GZIP_LEVEL = 1
"""On entries the higher ones take ten times as long and spare nothing."""
SOFTWARE = f"gate-agent {metadata.version('offline-gates')}"


PARTED = "the centre holds another history of this journal: the gate begins a new one at the next quiet moment"


@dataclass(frozen=True, slots=True)
class _Vouched:
    """A batch whose receipt came, and how far the journal reached at that moment: what watermarks are made of."""

    digest: bytes
    moment: Moment


class EntryPush:
    """Sends entries until the centre's receipts say it holds them all."""

    def __init__(
        self, data_dir: Path, store: SyncStore, caller: Caller, boot_ms: Callable[[], int], time: TrustedTime
    ) -> None:
        self._store = store
        self._caller = caller
        self._boot_ms = boot_ms
        self._time = time
        self._outbox = Outbox(data_dir)
        self._lists = PassListHolder(data_dir)
        self._receipt_boot_ms: int | None = None
        self._vouched: _Vouched | None = None
        self._heartbeats = Heartbeats(data_dir, boot_ms)

    def push_once(self) -> Rest | LinkTrouble:
        """Send one batch if there is something to say. Only a receipt for this very batch moves the cursor."""
        state = self._store.read()
        if state.device is None:
            return LinkTrouble(TroubleKind.NOT_ENROLLED, "this gate is not enrolled")
        if state.config is None:
            return LinkTrouble(TroubleKind.PENDING, "an operator has not approved this gate yet")
        try:
            ready = self._outbox.ready(self._store.cursor, None if self._vouched is None else self._vouched.moment)
        except JournalBehind as error:
            return LinkTrouble(TroubleKind.JOURNAL, str(error))
        if ready is not None and self._store.parting(ready.incarnation) is not None:
            return LinkTrouble(TroubleKind.JOURNAL, PARTED)
        self._heartbeats.look(state)
        if ready is None or not (ready.bodies or self._silent_for_long() or self._heartbeats.is_news()):
            return Rest(LOOK_EVERY_S, asked=False)
        batch = self._batch(state, ready)
        body = messages.encode_batch(batch)
        answer = self._send(state, body)
        if isinstance(answer, LinkTrouble):
            return answer
        receipt = self._believe(state, ready, body, answer)
        if isinstance(receipt, LinkTrouble):
            return receipt
        through_seq = self._cursor_after(ready, receipt)
        if isinstance(through_seq, LinkTrouble):
            return through_seq
        self._store.keep_receipt(ready.incarnation, through_seq, answer.body)
        self._receipt_boot_ms = self._boot_ms()
        self._heartbeats.was_told()
        if batch.echo is not None or self._vouched is None or self._vouched.moment.incarnation != ready.incarnation:
            moment = self._outbox.moment()  # after the receipt came: whatever was done before it was given is in it
            self._vouched = None if moment is None else _Vouched(receipt.batch_digest, moment)
        return Rest(0.0 if ready.waiting and ready.bodies else LOOK_EVERY_S)

    def _silent_for_long(self) -> bool:
        last = self._receipt_boot_ms
        return last is None or self._boot_ms() - last >= SIGN_OF_LIFE_EVERY_MS

    def _batch(self, state: SyncState, ready: Ready) -> messages.Batch:
        held = self._lists.current()
        assert state.device is not None and state.key_set is not None
        echo = None
        if self._vouched is not None and ready.complete_seq is not None and ready.complete_seq <= ready.end_seq:
            echo = self._vouched.digest
        return messages.Batch(
            format=messages.BATCH_FORMAT,
            device=state.device,
            incarnation=ready.incarnation,
            first_seq=ready.first_seq,
            previous_hash=ready.previous_hash,
            last_hash=ready.last_hash,
            entries=ready.bodies,
            held_epoch=held.epoch if held else 0,
            held_version=held.version if held else 0,
            key_set_version=state.key_set.version,
            waiting=ready.waiting,
            software=SOFTWARE,
            echo=echo,
            complete_seq=0 if echo is None or ready.complete_seq is None else ready.complete_seq,
            supersedes=ready.before,
            closing=ready.closed and ready.waiting == 0,
            health=self._heartbeats.untold(),
        )

    def _send(self, state: SyncState, body: bytes) -> Answer | LinkTrouble:
        packed = gzip.compress(body, GZIP_LEVEL, mtime=0)
        headers = {"Content-Type": "application/msgpack", "Content-Encoding": "gzip"}
        answer = self._caller.signed(state, "POST", "/device/v1/entries", MAX_RECEIPT_BYTES, packed, headers)
        if isinstance(answer, LinkTrouble) or answer.status == 200:
            return answer
        return trouble_of(answer, "a receipt")

    def _believe(self, state: SyncState, ready: Ready, body: bytes, answer: Answer) -> Receipt | LinkTrouble:
        """The receipt, or why it is none of ours: portals, strangers, yesterday's answers."""
        assert state.key_set is not None
        receipt = messages.read_receipt(answer.body, state.key_set, self._time.now().at_ms)
        if isinstance(receipt, SealFlaw):
            if receipt in (SealFlaw.MALFORMED, SealFlaw.NEEDS_UPDATE):
                return trouble_of(answer, "a receipt")
            return LinkTrouble(
                TroubleKind.BAD_RECEIPT, f"the receipt is {receipt}: no service key of our centre signed it"
            )
        if (receipt.device, receipt.incarnation) != (state.device, ready.incarnation):
            return LinkTrouble(TroubleKind.BAD_RECEIPT, "the receipt is for another gate or another journal")
        if receipt.batch_digest != messages.batch_digest(body):
            return LinkTrouble(TroubleKind.BAD_RECEIPT, "the receipt is for another batch than the one just sent")
        return receipt

    def _cursor_after(self, ready: Ready, receipt: Receipt) -> int | LinkTrouble:
        """The seq that a receipt of ours moves the cursor to: back, when a restored centre lost what it had.

        A centre that holds another history of this journal, or more of it than there is, speaks of a box whose card
        was later changed for an old copy: then it is noted where the two part, and `run` begins another journal.
        """
        through_seq = receipt.through_seq
        if receipt.forked_seq and ready.first_seq <= receipt.forked_seq <= ready.end_seq:
            return self._part(ready, Parting(receipt.forked_seq, through_seq))
        if through_seq > ready.last_seq and not ready.waiting:
            return self._part(ready, Parting(ready.last_seq + 1, through_seq))
        if through_seq > ready.end_seq and not self._is_our_history(through_seq, receipt.through_hash):
            return ready.end_seq  # go on batch by batch, to find where
        if through_seq < ready.pruned_through:
            return LinkTrouble(
                TroubleKind.JOURNAL, f"the centre lost what it acknowledged up to {ready.pruned_through}"
            )
        if ready.bodies and through_seq == ready.first_seq - 1:
            return LinkTrouble(TroubleKind.BAD_RECEIPT, "the centre acknowledged none of the entries just sent")
        return through_seq

    def _is_our_history(self, seq: int, chained: bytes) -> bool:
        held = self._outbox.hash_of(seq)
        return held is not None and chained in (held, b"")  # a centre of an earlier release does not tell

    def _part(self, ready: Ready, parting: Parting) -> LinkTrouble:
        self._store.keep_parting(ready.incarnation, parting)
        return LinkTrouble(TroubleKind.JOURNAL, PARTED)
