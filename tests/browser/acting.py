"""Acts that move nothing and keep every wish they were sent: what the staff's sheets are tried with in a browser."""

from __future__ import annotations

from gate_agent.acting import Acts, Listed
from gate_agent.acts import Act, Came, Result, Wish
from gate_agent.commission_acts import Answer
from gate_agent.commissioning import Step
from gate_agent.faces import Label
from gate_agent.list_find import NotSought
from gate_agent.venue import ListedPass
from wire.entitlement import PassStatus, Right

PIN = "250817"
FOUND = Listed(
    ListedPass(b"\x17" * 8, 1, Right(PassStatus.ACTIVE, 0, 4_000_000, 0), "202600552073", "周*明", None),
    Label("汴京旅游年票", "Annual pass"),
)


class WrittenActs(Acts):
    """`pause_ms`: how long no PIN is taken after the next wrong one."""

    def __init__(self) -> None:
        self.sent: list[Wish] = []
        self.sought: list[str] = []
        self.pause_ms = 0
        self.answered: list[tuple[int, Step, Answer, int]] = []
        self.came = Came.DONE

    @property
    def lanes(self) -> tuple[int, ...]:
        return 1, 2, 3

    @property
    def can(self) -> frozenset[Act]:
        return frozenset(Act)

    @property
    def let_in_per_day(self) -> int:
        return 20

    @property
    def centre_url(self) -> str:
        return "https://centre.example"

    def has_staff(self) -> bool:
        return True

    def open_sheet(self) -> tuple[str, int]:
        return "once", 0

    def find(self, typed: str) -> tuple[Listed, ...] | NotSought:
        self.sought.append(typed)
        return (FOUND,) if len(typed) >= 6 else NotSought.TOO_SHORT

    def listed(self, pass_hex: str) -> Listed | None:
        return FOUND if pass_hex == FOUND.listed.pass_id.hex() else None

    def answer_trial(self, number: int, step: Step, answer: Answer, arm: int) -> Came:
        self.answered.append((number, step, answer, arm))
        return self.came

    def carry_out(self, wish: Wish, pin: str) -> Result:
        if pin != PIN:
            return Result(Came.PINS_PAUSED if self.pause_ms else Came.WRONG_PIN, left=2, wait_ms=self.pause_ms)
        self.sent.append(wish)
        return Result(Came.DONE, who="张*国", used=3, left=17)
