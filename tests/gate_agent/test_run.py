"""The agent as a venue runs it: what a scanner sends opens or is refused, and nothing stops the next visitor."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gate_agent import enrolment_copy
from gate_agent.entries_view import EntriesView
from gate_agent.trusted_time import device_clock_ns
from hardware.phone_screen import Look, draw_nobody, draw_phone
from hardware.pty_scanner import PtyScanner
from tests.gate_agent import venue as venue_module
from tests.gate_agent.agent_process import AgentProcess, lane, running
from tests.gate_agent.venue import SINGLE, Ticket, Venue, bad_codes
from tests.waiting import until
from wire.messages import EntryKind
from wire.reasons import Reason

pytestmark = pytest.mark.story

SECOND_NS = 1_000_000_000


@dataclass
class House:
    """One agent with one scanner, and visitors with good tickets."""

    agent: AgentProcess
    scanner: PtyScanner
    good: Iterator[Ticket]
    bad: dict[str, str]

    def next_good_code_opens(self) -> None:
        """Within a second of its last byte."""
        pulses = len(self.agent.pulses())
        ticket = next(self.good)
        self.scanner.type(ticket.text)
        sent_ns = device_clock_ns()
        pulse = self.agent.await_pulse(pulses)
        assert pulse["pass"] == ticket.pass_id.hex()
        assert pulse["monotonic_ns"] - sent_ns < SECOND_NS
        until(lambda: self.agent.entries()[-1].kind is EntryKind.PASSED_ASSUMED)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Started once for all that is shown to it."""
    folder = tmp_path_factory.mktemp("gate")
    venue = Venue()
    good = [venue.issue() for _ in range(60)]
    bad = bad_codes(venue)
    used = venue.issue(SINGLE)
    bad["used up"] = used.text
    venue.used(used, total=1)
    venue.settle(folder)
    scanner = PtyScanner()
    with running(folder, [lane(1, scanner.path, folder)]) as agent:
        yield House(agent, scanner, iter(good), bad)
    scanner.close()


SHOWN = [
    ("forged", Reason.FORGED),
    ("unknown key", Reason.UNKNOWN_KEY),
    ("cut", Reason.MALFORMED),
    ("re-encoded", Reason.NOT_OURS),
    ("one character", Reason.FORGED),
    ("wrong venue", Reason.WRONG_VENUE),
    ("expired", Reason.EXPIRED),
    ("early", Reason.NOT_YET_ACTIVE),
    ("not listed", Reason.NOT_IN_LIST),
    ("revoked", Reason.REVOKED),
    ("used up", Reason.USED_UP),
    ("link", Reason.NOT_OURS),
]


@pytest.mark.parametrize(("name", "reason"), SHOWN)
def test_a_bad_code_is_refused_with_its_reason_and_the_next_good_one_opens(
    house: House, name: str, reason: Reason
) -> None:
    before, pulses = len(house.agent.entries()), len(house.agent.pulses())
    house.scanner.type(house.bad[name])
    assert house.agent.await_refusal(before).reason == reason
    assert len(house.agent.pulses()) == pulses
    house.next_good_code_opens()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"A" * 5_000_000 + b"\r\n", Reason.NOT_OURS),
        (b"GATE:" + b"7" * 5_000_000 + b"\r\n", Reason.MALFORMED),
        (b"GATE:\r\n", Reason.MALFORMED),
        (bytes(range(256)) * 4 + b"\r\n", Reason.NOT_OURS),
        (b"\xff\xfe{}$(reboot);'\r\n", Reason.NOT_OURS),
    ],
    ids=["5 MB", "5 MB of ours", "empty code", "every byte", "configuration"],
)
def test_garbage_is_refused_and_the_next_good_code_opens(house: House, sent: bytes, reason: Reason) -> None:
    before = len(house.agent.entries())
    house.scanner.send(sent)
    assert house.agent.await_refusal(before).reason == reason
    house.next_good_code_opens()


@pytest.mark.parametrize("sent", [b"\r\n" * 1_000, b"\x00\x01\x02\r\n", b"\r"], ids=["empty lines", "control", "CR"])
def test_what_is_no_line_is_no_visitor(house: House, sent: bytes) -> None:
    before = len(house.agent.entries())
    house.scanner.send(sent)
    house.next_good_code_opens()
    assert [entry.kind for entry in house.agent.entries()[before:]] == [EntryKind.INTENT, EntryKind.PASSED_ASSUMED]


@pytest.mark.parametrize("baud", [9_600, 115_200])
def test_a_slow_line_with_half_lines_and_noise(tmp_path: Path, baud: int) -> None:
    venue = Venue()
    tickets = [venue.issue() for _ in range(3)]
    venue.settle(tmp_path)
    scanner = PtyScanner(baud)
    named = f"1:reader=serial:{scanner.path}@{baud},turnstile=file:{tmp_path / 'pulses'}"
    with running(tmp_path, [named]) as agent:
        scanner.type(tickets[0].text)
        agent.await_pulse(0)
        scanner.send(tickets[1].text[:60].encode())  # the cable shook: the rest never comes
        assert agent.await_refusal(2).reason == Reason.MALFORMED
        scanner.send(b"\xff\x00\x80" * 20 + b"\r\n")
        scanner.type(tickets[2].text, end="\r")
        assert agent.await_pulse(1)["pass"] == tickets[2].pass_id.hex()
    scanner.close()


@pytest.mark.parametrize("source", ["picture", "folder", "video"])
def test_a_camera_sees_a_phone(tmp_path: Path, source: str) -> None:
    import cv2

    venue = Venue()
    ticket = venue.issue()
    venue.settle(tmp_path)
    seen = tmp_path / "seen"
    seen.mkdir()
    phone, nobody = draw_phone(ticket.text, Look(seed=3, tilt_deg=8.0)), draw_nobody(Look())
    if source == "video":
        size = (phone.shape[1], phone.shape[0])
        video = cv2.VideoWriter(str(seen / "lane.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, size, isColor=False)
        for number in range(40):
            video.write(nobody if number < 10 else phone)
        video.release()
    else:
        assert cv2.imwrite(str(seen / "1.png"), nobody)
        assert cv2.imwrite(str(seen / "2.jpg"), phone)
    where = {"picture": seen / "2.jpg", "folder": seen, "video": seen / "lane.avi"}[source]
    with running(tmp_path, [f"1:reader=camera:{where},turnstile=file:{tmp_path / 'pulses'}"]) as agent:
        assert agent.await_pulse(0)["pass"] == ticket.pass_id.hex()
        until(lambda: len(agent.entries()) == 2)  # once, however many frames show it


def test_the_same_code_held_up_counts_once(house: House) -> None:
    ticket, pulses = next(house.good), len(house.agent.pulses())
    before = len(house.agent.entries())
    for _ in range(5):
        house.scanner.type(ticket.text)
    house.agent.await_pulse(pulses)
    house.next_good_code_opens()
    assert EntryKind.REFUSED not in [entry.kind for entry in house.agent.entries()[before:]]


def test_the_screen_answers(house: House) -> None:
    with urllib.request.urlopen(house.agent.ready["screen"] + "/healthz") as answer:
        told = json.load(answer)
    assert told["ok"] is True
    assert (told["enrolled"], told["lanes"], told["list_version"]) == (True, {"1": "open"}, venue_module.VERSION)


def test_every_pulse_has_its_entry(house: House) -> None:
    intents = {entry.seq: entry for entry in house.agent.entries() if entry.kind is EntryKind.INTENT}
    pulses = house.agent.pulses()
    assert pulses
    for pulse in pulses:
        assert (intents[pulse["entry_seq"]].pass_id or b"").hex() == pulse["pass"]


def test_two_agents_never_share_a_data_directory(house: House, tmp_path: Path) -> None:
    told = gate_agent("run", "--data", str(house.agent.data_dir), "--lane", f"1:reader=sim,turnstile=file:{tmp_path}/p")
    assert (told.returncode, told.stdout) == (1, "")
    assert "another gate-agent is running" in told.stderr


def test_a_lane_goes_on_while_another_ones_scanner_is_away(tmp_path: Path) -> None:
    venue = Venue()
    tickets = [venue.issue() for _ in range(3)]
    venue.settle(tmp_path)
    scanner, late = PtyScanner(), tmp_path / "late-scanner"
    lanes = [lane(1, scanner.path, tmp_path), lane(2, late, tmp_path)]
    with running(tmp_path, lanes) as agent:
        until(lambda: health(agent)["lanes"] == {"1": "open", "2": "out_of_order"})
        scanner.type(tickets[0].text)
        assert agent.await_pulse(0)["lane"] == 1
        plugged = PtyScanner(link=late)
        until(lambda: health(agent)["lanes"] == {"1": "open", "2": "open"})
        plugged.type(tickets[1].text)
        assert agent.await_pulse(1)["lane"] == 2
        plugged.close()
        until(lambda: health(agent)["lanes"]["2"] == "out_of_order")
        scanner.type(tickets[2].text)
        assert agent.await_pulse(2)["lane"] == 1
    scanner.close()


def test_it_stops_at_once_when_asked(tmp_path: Path) -> None:
    Venue().settle(tmp_path)
    with running(tmp_path, ["1:reader=sim,turnstile=sim"], "--simulate") as agent:
        began_ns = device_clock_ns()
        assert agent.stop() == 0
        assert device_clock_ns() - began_ns < 4 * SECOND_NS  # nothing is waited for: its threads may take five


def test_it_starts_before_anything_is_enrolled(tmp_path: Path) -> None:
    scanner = PtyScanner()
    with running(tmp_path, [lane(1, scanner.path, tmp_path)]) as agent:
        until(lambda: health(agent)["lanes"] == {"1": "closed"})
        assert health(agent)["enrolled"] is False
        scanner.type(Venue().issue().text)
        assert agent.await_refusal(0).reason == Reason.UNKNOWN_KEY
        assert agent.pulses() == []
    scanner.close()


def test_a_damaged_journal_is_set_aside_and_reported(tmp_path: Path) -> None:
    venue = Venue()
    ticket = venue.issue()
    venue.settle(tmp_path)
    (tmp_path / "entries.db").write_bytes(b"not a journal at all" * 500)
    scanner = PtyScanner()
    with running(tmp_path, [lane(1, scanner.path, tmp_path)]) as agent:
        scanner.type(ticket.text)
        agent.await_pulse(0)
        first = agent.entries()[0]
        assert (first.kind, first.reason) == (EntryKind.EVENT, "journal_set_aside")
    assert (tmp_path / "entries-damaged-1.db").exists()
    assert "entries-damaged-1.db" in (tmp_path / "agent.log").read_text()
    scanner.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "no lane is named"),
        (["--lane", "1:reader=nothing:x,turnstile=sim"], "known are serial:PATH"),
        (["--lane", "1:reader=sim,turnstile=sim", "--lane", "1:reader=sim,turnstile=sim"], "lane 1 is there twice"),
        (["--lane", "1:reader=sim,turnstile=file:/nowhere/pulses"], "cannot be opened"),
        (["--settings", "/nowhere/gate.toml"], "there is no such file"),
    ],
)
def test_a_wrong_setting_ends_it_with_a_sentence(tmp_path: Path, options: list[str], says: str) -> None:
    told = gate_agent("run", "--data", str(tmp_path), *options)
    assert told.returncode == 78
    assert says in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("damage", ["no database", "nonsense in it", "deleted"])
def test_with_a_damaged_sync_db_it_admits_by_the_copy_and_says_so(tmp_path: Path, damage: str) -> None:
    venue = Venue()
    ticket = venue.issue()
    venue.settle(tmp_path)
    harm(tmp_path, damage)
    scanner = PtyScanner()
    with running(tmp_path, [lane(1, scanner.path, tmp_path)]) as agent:
        scanner.type(ticket.text)
        agent.await_pulse(0)
        until(lambda: "sync_lost" in health(agent)["alarms"], what="the alarm")
    scanner.close()


@pytest.mark.parametrize("damage", ["no database", "nonsense in it"])
def test_without_a_copy_a_damaged_sync_db_ends_a_start_with_a_sentence_that_names_it(
    tmp_path: Path, damage: str
) -> None:
    venue_module.enrol(tmp_path)
    harm(tmp_path, damage)
    (tmp_path / enrolment_copy.NAME).write_bytes(b"damaged too")
    told = gate_agent("run", "--data", str(tmp_path), "--simulate", "--no-sync")
    assert (told.returncode, "remove a damaged sync.db" in told.stderr, "Traceback" in told.stderr) == (1, True, False)


def harm(data_dir: Path, damage: str) -> None:
    """What a card, or somebody, may do to sync.db."""
    if damage == "no database":
        (data_dir / "sync.db").write_bytes(b"no database" * 1_000)
    elif damage == "deleted":
        for left in data_dir.glob("sync.db*"):
            left.unlink()
    else:
        with closing(sqlite3.connect(data_dir / "sync.db")) as db, db:
            db.execute("UPDATE enrolment SET config = x'c1'")


def test_a_deleted_journal_is_missed_although_the_centre_never_heard_of_it(tmp_path: Path) -> None:
    venue = Venue()
    ticket = venue.issue()
    venue.settle(tmp_path)
    scanner = PtyScanner()
    with running(tmp_path, [lane(1, scanner.path, tmp_path)]) as agent:
        scanner.type(ticket.text)
        agent.await_pulse(0)
        agent.stop()
    with EntriesView.open(tmp_path) as view:
        gone = view.incarnation.hex()
    for left in tmp_path.glob("entries.db*"):
        left.unlink()
    with running(tmp_path, [lane(1, scanner.path, tmp_path)]) as agent:
        first = agent.entries()[0]
        assert (first.kind, first.reason) == (EntryKind.EVENT, f"journal_lost: {gone}")
        assert "journal_lost" in health(agent)["alarms"]
    scanner.close()


def test_a_deleted_list_is_missed_and_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    Venue().settle(tmp_path)
    shutil.rmtree(tmp_path / "lists")
    with running(tmp_path, ["1:reader=sim,turnstile=sim"]) as agent:
        told = health(agent)
        assert (told["ok"], told["alarms"]) == (False, ["no_list"])
        with urllib.request.urlopen(agent.ready["screen"] + "/staff") as page:
            assert "请接通网络，名单会自动下载" in page.read().decode()


def gate_agent(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One command, run to its end."""
    return subprocess.run(
        [sys.executable, "-m", "gate_agent", *arguments], capture_output=True, text=True, timeout=30, check=False
    )


def health(agent: AgentProcess) -> dict[str, Any]:
    """What /healthz says."""
    with urllib.request.urlopen(agent.ready["screen"] + "/healthz") as answer:
        told: dict[str, Any] = json.load(answer)
        return told
