"""Commissioning a lane of the running agent, as staff do it: a supervisor begins it, whoever stands there answers."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from gate_agent.acts import Act, Came, Result, Wish
from gate_agent.commissioning import Step
from gate_agent.gate import Gate
from gate_agent.lane import Lane
from gate_agent.lane_acts import LaneActs
from gate_agent.staff import Member


class Answer(StrEnum):
    """What the keys of a commissioning say."""

    ARM = "arm"
    SKIP = "skip"
    CANCEL = "cancel"
    CLOSE = "close"


class CommissionActs:
    """At all lanes of one box; any thread may ask."""

    def __init__(self, gate: Gate, acts: LaneActs) -> None:
        self._gate = gate
        self._acts = acts

    def begin(self, member: Member, wish: Wish) -> Result:
        """Take the lane out of service and try it; the screens tell what to do."""
        came = self._acts.at(wish, lambda lane: self._gate.commission(lane, member.name))
        return came or Result(Came.DONE)

    def answer(self, number: int, step: Step, answer: Answer, arm: int) -> Came:
        """One key, told to the commissioning `number` while it is at `step`. No PIN: a supervisor's began it."""
        trial = self._gate.trials.now
        if answer is Answer.CLOSE:
            self._gate.standing.trial_read(number)
            return Came.DONE
        if trial is None or trial.number != number:
            return Came.SHEET_OLD
        works: dict[Answer, Callable[[Lane], bool]] = {
            Answer.ARM: lambda _: trial.answer(step, arm),
            Answer.SKIP: lambda _: trial.skip(step),
            Answer.CANCEL: lambda _: trial.cancel(),
        }
        taken: list[bool] = []
        came = self._acts.at(
            Wish(Act.COMMISSION, "", lane=trial.lane.number), lambda lane: taken.append(works[answer](lane))
        )
        if came is not None:
            return came.came
        return Came.DONE if taken == [True] else Came.SHEET_OLD
