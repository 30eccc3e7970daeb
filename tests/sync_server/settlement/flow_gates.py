"""What gates do in `flows`: they let in, tell later, in part, twice, and hold lists of any age."""

from __future__ import annotations

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import rule

from sync_server.feed.tables import feed
from sync_server.issuance.tables import issued_pass, pass_token
from tests.sync_server.settlement.flow_sights import where
from tests.sync_server.settlement.flow_turns import Turns, nth_of, nths, soon
from wire import moments
from wire.messages import EntryKind

OUTCOMES = (EntryKind.PASSED, EntryKind.PASSED, EntryKind.PASSED_ASSUMED, EntryKind.UNRESOLVED, EntryKind.ANNULLED)
gates = st.integers(0, 2)


class Gates(Turns):
    """The rules."""

    @rule(nth=nths, at=gates, outcome=st.sampled_from(OUTCOMES), tell=soon)
    def admit(self, nth: int, at: int, outcome: EntryKind, tell: bool) -> None:
        """A gate lets in by a code that is good by its dates, whatever has become of it that the gate cannot know."""
        now = moments.minute_floor(self.clock())
        with self.centre.read() as connection:
            shown = connection.execute(
                sa.select(issued_pass.c.id, issued_pass.c.number, issued_pass.c.ticket_id, pass_token.c.token)
                .join(pass_token, pass_token.c.pass_id == issued_pass.c.id)
                .where(issued_pass.c.not_before <= now, issued_pass.c.not_after > now)
                .order_by(issued_pass.c.issued_at_ms.desc(), issued_pass.c.id)
            ).all()
        with self.trying("admit"):
            self.scene.admit(at, nth_of(shown, nth), outcome)
            if tell:
                self.scene.gates[at].tell(self.scene)
        self.turn(tell)

    @rule(at=gates, part=st.booleans())
    def gate_tells(self, at: int, part: bool) -> None:
        self.scene.gates[at].tell(self.scene, part=part)

    @rule(at=gates)
    def gate_repeats_itself(self, at: int) -> None:
        self.scene.gates[at].repeat(self.scene)

    @where("entries")
    @rule(nth=nths, at=gates)
    def staff_give_a_right_back(self, nth: int, at: int) -> None:
        """Of somebody who came through, or not."""
        gate = self.scene.gates[at].gate
        with self.trying("staff_give_a_right_back"):
            intent = nth_of([each for each in gate.entries if each.kind is EntryKind.INTENT], nth)
            gate.write(EntryKind.RETURNED, self.clock(), ref_seq=intent.seq, who="李")

    @rule(at=gates)
    def gate_gets_its_list(self, at: int) -> None:
        gate = self.scene.gates[at]
        with self.centre.read() as connection:
            row = connection.execute(sa.select(feed).where(feed.c.venue_id == gate.gate.device.venue_id)).one_or_none()
        if row is not None:
            gate.held = (row.epoch, row.version)
