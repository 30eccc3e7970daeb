"""What the providers do in `flows`: they fail, tell unasked, contradict themselves, and their funds yield or lose."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from sandbox_provider.faults import Fault, FaultKind
from tests.sync_server.settlement.flow_sights import where
from tests.sync_server.settlement.flow_turns import Turns, nth_of, nths

METHODS = (
    "charge", "collect", "payout", "refund", "fund_buy", "fund_sell", "fund_close", "sweep_out", "query", "cancel", "*",
)  # fmt: skip
LATER = {FaultKind.DEFERRED, FaultKind.LATE_ARRIVAL}
FAULTS = (
    FaultKind.LOST_ANSWER,
    FaultKind.LOST_REQUEST,
    FaultKind.SYSTEM_ERROR,
    FaultKind.NONSENSE,
    *LATER,
)


class Providers(Turns):
    """The rules."""

    @rule(
        kind=st.sampled_from([FaultKind.REFUSED, FaultKind.INSUFFICIENT]),
        method=st.sampled_from(["payout", "refund", "charge", "collect", "*"]),
        times=st.integers(1, 3),
    )
    def refuse(self, kind: FaultKind, method: str, times: int) -> None:
        """What people then have to see to."""
        self.fail(kind, method, times)

    @rule(kind=st.sampled_from(FAULTS), method=st.sampled_from(METHODS), times=st.integers(1, 3))
    def fail(self, kind: FaultKind, method: str, times: int) -> None:
        self.scene.faults.add(Fault(kind, method, times, 90_000 if kind in LATER else 0))

    @rule(nth=nths, provider=st.sampled_from(["ALIPAY", "HUIJINBAO"]), twice=st.booleans())
    def tell_unasked(self, nth: int, provider: str, twice: bool) -> None:
        with self.trying("tell_unasked"):
            chosen = nth_of(self.scene.asked_for(provider), nth)
            for _ in range(2 if twice else 1):
                self.notice(provider, chosen.out_no)

    @where("refused")
    @rule(nth=nths)
    def move_what_was_refused(self, nth: int) -> None:
        """A provider that said no, or that a payment is cancelled, and then does it."""
        with self.trying("move_what_was_refused"):
            chosen = nth_of(self.scene.refused(), nth)
            if self.scene.alipay.settle_after_all(chosen.out_no, self.clock()):
                self.notice("ALIPAY", chosen.out_no)

    @rule(amount_fen=st.integers(1_000, 60_000), at=st.sampled_from([("ALIPAY", "3001"), ("HUIJINBAO", "3003")]))
    def distributor_gets_money(self, amount_fen: int, at: tuple[str, str]) -> None:
        provider, number = at
        self.scene.books[provider].top_up(f"account-{number}", amount_fen)

    @rule(bps_a_day=st.integers(-150, 150))
    def funds_yield(self, bps_a_day: int) -> None:
        self.scene.books["HUIJINBAO"].set_fund_rate(bps_a_day, self.clock())
