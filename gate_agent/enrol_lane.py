"""The local enrolment mode with the agent stopped: one lane's readers wait two minutes for the centre's QR code."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from gate_agent import enrolment
from gate_agent.agent import only_one
from gate_agent.board import Board
from gate_agent.enrolment import Enrolled, NotEnrolled
from gate_agent.faces import Enrolling, Face, FaceFacts
from gate_agent.lane_state import LaneState
from gate_agent.readers import Reader, readers_of
from gate_agent.status import LaneStatus, Status
from gate_agent.trusted_time import Clocks, clocks_of_this_machine
from hardware import DeviceFault
from hardware.devices import LaneSpec, open_lane
from wire.invitation import Invitation, read_invitation
from wire.reasons import Reason

SCAN_LIMIT_MS = 120_000
"""How long a code may be shown; whoever opened the mode stands beside it."""
POLL_S = 0.1


def enrol_at(
    data_dir: Path,
    spec: LaneSpec,
    name: str,
    replace: bool,
    serve: Callable[[Board], Callable[[], None]],
    compare: Callable[[Enrolled], None],
) -> Enrolled | NotEnrolled:
    """Enrol by the code that is held to a lane's readers, and show the six characters until `compare` returns.

    `serve` shows the lane's screen and gives what ends that. Raises agent.AlreadyRunning, DeviceFault, OSError."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    clocks = clocks_of_this_machine()
    with contextlib.ExitStack() as opened:
        opened.callback(only_one(data_dir))
        devices = open_lane(spec)
        opened.callback(devices.close)
        board = _board(spec.number, clocks)
        opened.callback(serve(board))
        board.rest(spec.number, face_of(Enrolling.SHOW))
        invitation = await_invitation(readers_of(devices), clocks.boot_ms)
        if invitation is None:
            return NotEnrolled(f"no enrolment code was read at lane {spec.number} within {SCAN_LIMIT_MS // 1000} s")
        board.rest(spec.number, face_of(Enrolling.ASKING))
        answer = enrolment.accept(data_dir, invitation, name, clocks, replace=replace)
        if isinstance(answer, Enrolled):
            board.rest(spec.number, face_of(Enrolling.COMPARE, answer.check))
            compare(answer)
        return answer


def await_invitation(readers: Sequence[Reader], boot_ms: Callable[[], int]) -> Invitation | None:
    """The first enrolment code that one of them reads; anything else is passed over. None: there came none."""
    ends_ms = boot_ms() + SCAN_LIMIT_MS
    while boot_ms() < ends_ms:
        for reader in readers:
            with contextlib.suppress(DeviceFault):  # the lane's other readers go on
                raw = reader.poll(POLL_S)
                invitation = read_invitation(raw) if isinstance(raw, str) else None
                if invitation is not None:
                    return invitation
    return None


def face_of(step: Enrolling, check: str = "") -> Face:
    """What the lane's screen says of an enrolment; no visitor is let in meanwhile."""
    return Face(Reason.LANE_CLOSED, FaceFacts(enrolling=step, check=check))


def _board(lane: int, clocks: Clocks) -> Board:
    board = Board((lane,), clocks.boot_ms)
    board.status(Status(lanes=(LaneStatus(lane, LaneState.CLOSED),)))
    return board
