"""The gate tries itself: a code of the check's own is drawn, read, judged and a row written, as for a visitor.

It rests on a key pair, a venue and a clock that live in this object alone. No lane is asked, so no arm can move; no
lane knows the key, so its code is a stranger's to all of them; the row lies beside the chain of entries, not in it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from gate_agent.decision import Admit, Refuse, decide
from gate_agent.facts import find_out
from gate_agent.journal import CannotRecord, Journal
from gate_agent.recognition import recognise
from gate_agent.sync_state import SyncState
from gate_agent.time_trust import Now
from gate_agent.venue import Venue
from gate_agent.world import World
from hardware import DeviceFault
from wire import moments, signing, token
from wire.entitlement import Rule
from wire.feed import Head, ProductDocument, VenueDocument
from wire.keyset import KeySet, KeyState, PublicKey
from wire.messages import ClockTrust, GateConfig
from wire.reasons import Reason
from wire.signing import Purpose
from wire.token import Claims, Scope

if TYPE_CHECKING:
    from hardware.camera import Gray

VENUE, PRODUCT, KEY_ID, VERSION = 1, 1, 1, 1
NOW_MS = 1_800_000_000_000
"""The check's own moment: what it tries has no date."""
ZONE = "Asia/Shanghai"
SQUARE_PX = 4


class SelfCheck:
    """One check after the other, by one thread. `reads_codes`: a lane has a camera, so the decoder is tried too."""

    def __init__(self, journal: Journal, reads_codes: bool, record_ms: Callable[[], int]) -> None:
        self._journal = journal
        self._reads_codes = reads_codes
        self._record_ms = record_ms
        private_key = secrets.token_bytes(signing.PRIVATE_KEY_BYTES)
        self._world = _world_of_its_own(signing.public_key_of(private_key))
        minute = moments.minute_floor(NOW_MS)
        claims = Claims(secrets.token_bytes(8), PRODUCT, Scope.VENUE, VENUE, minute - 60, minute + 60, 1, VERSION + 1)
        self.code = token.sign_token(claims, KEY_ID, private_key)
        """What is drawn; worth nothing at any lane."""
        self._forged = token.sign_token(claims, KEY_ID, secrets.token_bytes(signing.PRIVATE_KEY_BYTES))

    def failure(self) -> str | None:
        """What did not work, in a sentence; None: the gate reads, judges and writes as it should."""
        return self._reading() or self._judging() or self._writing()

    def _reading(self) -> str | None:
        if not self._reads_codes:
            return None
        from hardware.camera import Frame
        from hardware.qr import QrReader

        try:
            reader = QrReader()
        except DeviceFault:
            return None  # a library is missing: the lane's own fault, and no new start brings it
        read = [code.text for code in reader.read(Frame(drawn(self.code), 0, 0))]
        return None if read == [self.code] else f"the code reader read {len(read)} codes where one was drawn"

    def _judging(self) -> str | None:
        """The good code is admitted, and the same one signed by somebody else is not."""
        if not isinstance(verdict := self._judge(self.code), Admit):
            return f"a good code was judged {verdict.reason}"
        verdict = self._judge(self._forged)
        return None if verdict == Refuse(Reason.FORGED) else f"a forged code was judged {verdict}"

    def _judge(self, code: str) -> Admit | Refuse:
        known = find_out(recognise(code), self._world)
        return decide(known.facts, _VENUE, self._world.now)

    def _writing(self) -> str | None:
        """A disk that says no is shown to the staff; a new start would not change its mind (`CannotRecord`)."""
        at_ms = self._record_ms()
        written = self._journal.perform(lambda entries: entries.check_itself(at_ms))
        return written.sentence if isinstance(written, CannotRecord) and not written.for_people else None


def drawn(text: str) -> Gray:
    """The code as a camera would see it at its best."""
    import numpy as np
    import zxingcpp

    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    return np.array(zxingcpp.write_barcode_to_image(code, scale=SQUARE_PX), dtype=np.uint8)


def _world_of_its_own(public_key: bytes) -> World:
    key = PublicKey(KEY_ID, Purpose.PASS, public_key, NOW_MS, NOW_MS + 1, KeyState.SIGNING)
    config = GateConfig(VENUE, bytes(16), (), bytes(32), b"", b"")
    sync = SyncState(key_set=KeySet(VERSION, NOW_MS, b"", (key,)), config=config)
    return World(Now(NOW_MS, ClockTrust.TRUSTED, 0, NOW_MS, NOW_MS), None, sync, boot="", spare_key=bytes(32))


_VENUE = Venue(
    VenueDocument(
        venue=VENUE,
        name_zh="",
        name_en="",
        groups=(),
        zone=ZONE,
        products=(
            ProductDocument(number=PRODUCT, kind="SINGLE", name_zh="", name_en="", rule=Rule(), offline_limit=1),
        ),
    ),
    Head(bytes(16), VENUE, 1, VERSION, VERSION, (), (), 1, 1, ZONE, NOW_MS, NOW_MS + 60_000),
)
"""A product that is admitted once on its signature alone, so that no list is needed."""
