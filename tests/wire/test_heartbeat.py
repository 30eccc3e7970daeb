"""What a gate tells of itself is bounded, and one that cannot be read costs nothing else."""

from __future__ import annotations

import msgspec
import pytest

from tests.wire import samples
from wire import heartbeat, messages
from wire.heartbeat import AgentState, AlarmHealth, DeviceHealth, Heartbeat, LaneHealth
from wire.messages import ReadBatch


def test_everything_a_gate_tells_is_read_again() -> None:
    assert heartbeat.read_heartbeat(heartbeat.encode_heartbeat(samples.HEARTBEAT)) == samples.HEARTBEAT


def test_one_of_a_box_with_very_much_fits_its_limits_and_a_full_batch() -> None:
    lanes = tuple(LaneHealth(n, "out_of_order", "entry", "turnstile") for n in range(100))
    devices = tuple(DeviceHealth(n, "scanner", "没" * 300) for n in range(1000))
    alarms = tuple(AlarmHealth("annulled_often", n, samples.NOW_MS) for n in range(100))
    told = heartbeat.make_heartbeat(AgentState.RUNNING, lanes, devices, alarms, disk_percent=99)
    data = heartbeat.encode_heartbeat(told)
    assert heartbeat.read_heartbeat(data) == told
    assert (told.lanes[-1].lane, told.disk_percent) == (heartbeat.MAX_LANES - 1, 99)
    fullest = messages.MAX_BATCH_ENTRIES * messages.MAX_ENTRY_BYTES
    assert fullest + heartbeat.MAX_HEARTBEAT_BYTES + 1_000 < messages.MAX_BATCH_BYTES


SOUND = heartbeat.encode_heartbeat(samples.HEARTBEAT)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no heartbeat",
        SOUND[:-1],
        b"\x91" * 100_000,
        SOUND + bytes(heartbeat.MAX_HEARTBEAT_BYTES),
        msgspec.msgpack.encode([2, "running"]),
        msgspec.msgpack.encode([1, "dancing"]),
        msgspec.msgpack.encode([1, "running", [[-1, "open", "entry"]]]),
        msgspec.msgpack.encode([1, "running", [[1, "o" * 33, "entry"]]]),
        msgspec.msgpack.encode([1, "running", [[1, "open", "entry"]] * 17]),
        msgspec.msgpack.encode([1, "running", [], [], [], 2, 2**60]),
    ],
)
def test_what_is_no_heartbeat_is_none_and_the_batch_with_it_is_taken(data: bytes) -> None:
    assert heartbeat.read_heartbeat(data) is None
    batch = msgspec.structs.replace(samples.batch(), health=data)
    read = messages.read_batch(messages.encode_batch(batch))
    assert isinstance(read, ReadBatch)
    assert read.entries == samples.ENTRIES


def test_one_of_a_later_release_is_read_as_far_as_it_is_known() -> None:
    more = msgspec.msgpack.encode([*msgspec.msgpack.decode(SOUND), "something new"])
    assert heartbeat.read_heartbeat(more) == samples.HEARTBEAT
    assert heartbeat.read_heartbeat(msgspec.msgpack.encode([1, "silent"])) == Heartbeat(1, AgentState.SILENT)
