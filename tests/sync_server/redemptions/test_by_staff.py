"""A steward and the supervisor at a running gate: by PIN, once, on disk first, and at the centre what it is worth."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa
from click.testing import CliRunner

from gate_agent.cli import main
from gate_agent.entries_view import EntriesView
from hardware.card_reader import CardRead
from sync_server.centre import Centre
from sync_server.redemptions.tables import redemption
from tests.gate_agent.agent_process import AgentProcess, running
from tests.gate_agent.venue import Venue
from tests.sync_server.town import build_town
from tests.waiting import until
from wire.messages import Entry, EntryKind, Outcome, Presentation, encode_entry

pytestmark = pytest.mark.story

STEWARD, SUPERVISOR, WRONG = "40719358", "83615207", "27490631"
ID_NUMBER = "41020319900307773X"
LANE = "1:reader=sim,turnstile=file:{}"
SETTINGS = "[staff]\nlet_in_per_day = 2\n"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An approved gate with two members of staff and one pass, whose holder has an ID card."""
    (tmp_path / "box").mkdir(mode=0o700)
    venue = Venue()
    venue.issue(card=CardRead("410200", "A12345678", "0123456789ABCDEF", id_number=ID_NUMBER))
    venue.settle(tmp_path / "box")
    (tmp_path / "box" / "gate.toml").write_text(SETTINGS, encoding="utf-8")
    for name, role, pin in (("李小芳", "steward", STEWARD), ("张国", "supervisor", SUPERVISOR)):
        command = ["staff", "add", name, "--role", role, "--pin-file", "-", "--data", str(tmp_path / "box")]
        assert CliRunner().invoke(main, command, input=pin).exit_code == 0
    return tmp_path / "box"


class Screen:
    """A browser at the staff face of a running agent."""

    def __init__(self, agent: AgentProcess) -> None:
        self.url = str(agent.ready["screen"])

    def sheet(self, act: str, **query: str) -> dict[str, str]:
        """The hidden fields of a sheet."""
        page = requests.get(f"{self.url}/staff/sheet/{act}", params={"lane": "1", **query}, timeout=10)
        assert page.status_code == 200, page.text
        return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text))

    def send(self, act: str, form: dict[str, str]) -> requests.Response:
        """Its form."""
        return requests.post(f"{self.url}/staff/act/{act}", data=form, timeout=30)

    def act(self, act: str, pin: str, **fields: str) -> requests.Response:
        """Open a sheet and send it."""
        query = {name: fields[name] for name in ("pass", "seq") if name in fields}
        return self.send(act, {**self.sheet(act, **query), "pin": pin, "reason": "other", **fields})


def by_staff(agent: AgentProcess, kind: EntryKind) -> list[Entry]:
    return [entry for entry in agent.entries() if entry.kind is kind and entry.who]


def test_a_day_of_staff_at_a_gate(data_dir: Path, centre: Centre) -> None:
    lanes = [LANE.format(data_dir / "pulses")]
    with running(data_dir, lanes) as agent:
        screen = Screen(agent)
        until(lambda: requests.get(f"{screen.url}/healthz", timeout=10).json()["lanes"]["1"] == "open")
        assert screen.act("let_in", WRONG).text == "PIN 不对，还可试 2 次"
        form = {**screen.sheet("let_in"), "pin": STEWARD, "reason": "unreadable"}
        first = screen.send("let_in", form)
        assert "李*芳 今日已放行 1 人，还可 1 人" in first.text
        assert screen.send("let_in", form).text == first.text  # a second tap
        [manual] = by_staff(agent, EntryKind.MANUAL)
        assert (manual.who, manual.reason) == ("李小芳", "unreadable")
        assert [pulse["entry_seq"] for pulse in agent.pulses()] == [manual.seq]
        agent.kill()
    with running(data_dir, lanes) as agent:
        screen = Screen(agent)
        until(lambda: requests.get(f"{screen.url}/healthz", timeout=10).json()["lanes"]["1"] == "open")
        assert screen.send("let_in", form).status_code == 409  # a sheet from before the restart
        assert screen.act("let_in", STEWARD).status_code == 200
        full = screen.act("let_in", STEWARD)
        assert (full.status_code, "今日已放行 2 人，还可 0 人" in full.text) == (409, True)
        found = requests.post(f"{screen.url}/staff/find", data={"number": ID_NUMBER, "lane": "1"}, timeout=30)
        [listed] = re.findall(r"pass=([0-9a-f]{16})", found.text)
        assert screen.act("counter", STEWARD, **{"pass": listed, "reason": "no_card"}).status_code == 200
        [intent] = by_staff(agent, EntryKind.INTENT)
        assert intent.presentation is Presentation.COUNTER
        assert screen.act("counter", STEWARD, **{"pass": listed}).text == "这张票不能入园：今日已入园"
        assert screen.act("hold", STEWARD, minutes="10").text == "此操作需要班长"
        for _ in range(3):
            paused = screen.act("let_in", WRONG)
        assert (paused.status_code, paused.headers["Retry-After"]) == (429, "30")
        agent.stop()
    with running(data_dir, lanes) as agent:
        assert Screen(agent).act("let_in", SUPERVISOR).status_code == 429  # the pause outlives a restart
        agent.stop()
    kept = b"".join(path.read_bytes() for path in data_dir.rglob("*") if path.is_file())
    for secret in (STEWARD, SUPERVISOR, WRONG, ID_NUMBER):
        assert secret.encode() not in kept
    assert sorted(worth(data_dir, centre)) == ["UNKNOWN_PASS", "UNPROVEN", "UNPROVEN"]


def worth(data_dir: Path, centre: Centre) -> list[str]:
    """What the centre makes of this journal: the whole of it is taken, and counted."""
    town = build_town(centre)
    gate = town.gate()
    with EntriesView.open(data_dir) as journal:
        for entry, chained in journal.entries():
            gate.entries.append(entry)
            gate.bodies.append(encode_entry(entry))
            gate.hashes.append(chained)
    town.clock.now_ms = max(town.clock.now_ms, *(entry.device_at_ms for entry in gate.entries))
    assert town.upload(gate).through_seq == len(gate.entries)
    with centre.read() as connection:
        return [str(Outcome[row.outcome].name) for row in connection.execute(sa.select(redemption))]
