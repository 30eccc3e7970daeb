"""The looks from outside: verify-token, read, verify, export, status, check, each as the program prints it."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gate_agent.seams import MAX_LINE_BYTES
from hardware.phone_screen import Look, draw_phone
from hardware.simulated_turnstile import WINDOW_MS, Walk
from tests.gate_agent import lists
from tests.gate_agent.phones import Phone
from tests.gate_agent.stage import stage_at
from tests.gate_agent.test_entries import change
from tests.gate_agent.venue import DAY_MIN, NOW_MINUTE, NOW_MS, Venue, bad_codes
from tests.wire import samples
from wire import moments, token
from wire.keyset import keys_file
from wire.messages import EntryKind
from wire.presentation import STEP_MS

pytestmark = pytest.mark.story

NOW = "2026-11-18T11:06:40+00:00"


def gate_agent(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """One command, run to its end."""
    command = [sys.executable, "-m", "gate_agent", *arguments]
    return subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)


def lines(told: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    """Its lines of JSON."""
    return [json.loads(line) for line in told.stdout.splitlines()]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keys file that the centre exports."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    path.write_text(keys_file(samples.KEY_SET.keys[:1]), encoding="utf-8")
    return path


def verify_token(keys: Path, given: bytes, *options: str) -> list[dict[str, Any]]:
    """What verify-token says to these lines."""
    told = gate_agent(
        "verify-token", "--keys", str(keys), "--venue", str(lists.VENUE), "--now", NOW, *options, given=given
    )
    assert told.returncode == 0, told.stderr
    return lines(told)


def test_verify_token_tells_good_from_bad(keys: Path) -> None:
    venue = Venue()
    good, bad = venue.issue(), bad_codes(venue)
    expected = {  # name → reason, and whether the pass is named because the signature holds
        "forged": ("forged", False),
        "unknown key": ("unknown_key", False),
        "cut": ("malformed", False),
        "re-encoded": ("not_ours", False),
        "one character": ("forged", False),
        "wrong venue": ("wrong_venue", True),
        "expired": ("expired", True),
        "early": ("not_yet_active", True),
        "link": ("not_ours", False),
    }
    first, *rest = verify_token(keys, "\n".join([good.text, *(bad[name] for name in expected)]).encode())
    assert first == {"ok": True, "reason": None, "pass": good.pass_id.hex(), "kind": "static"}
    assert [(one["reason"], one["pass"] is not None) for one in rest] == list(expected.values())
    assert not any(one["ok"] for one in rest)


def test_verify_token_answers_every_line_and_survives_anything(keys: Path) -> None:
    good = Venue().issue().text.encode()
    huge = b"GATE:" + b"A" * 5_000_000
    given = [b"", good, huge, bytes(range(11, 256)), b"\xff\xfe", good + b"\r", good + b" ", b"GATE:", b"\x00" * 9000]
    told = verify_token(keys, b"\n".join(given))
    assert [one["reason"] for one in told] == [
        "not_ours", None, "malformed", "not_ours", "not_ours", None, "malformed", "malformed", "not_ours",
    ]  # fmt: skip
    assert [one["kind"] for one in told][:3] == [None, "static", None]


@pytest.mark.parametrize("length", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 2 * MAX_LINE_BYTES])
def test_verify_token_keeps_lines_apart_at_its_own_limit(keys: Path, length: int) -> None:
    good = Venue().issue().text.encode()
    told = verify_token(keys, b"x" * length + b"\n" + good + b"\n\n" + good + b"\n")
    assert [one["reason"] for one in told] == ["not_ours", None, "not_ours", None]


def test_verify_token_knows_groups(keys: Path) -> None:
    ticket = Venue().issue(scope=1, scope_kind=token.Scope.GROUP)
    assert verify_token(keys, ticket.text.encode())[0]["reason"] == "wrong_venue"
    assert verify_token(keys, ticket.text.encode(), "--group", "1")[0]["ok"] is True


def test_verify_token_reads_rotating_codes_as_far_as_they_go_without_a_list(keys: Path) -> None:
    ticket = Venue().issue()
    phone = Phone(ticket.claims, 1, samples.HOLDER)
    codes = {
        phone.full(NOW_MS): (True, None, "full"),
        phone.full(NOW_MS - STEP_MS): (True, None, "full"),
        phone.full(NOW_MS - 2 * STEP_MS): (False, "code_too_old", "full"),
        phone.full(NOW_MS, signer=samples.SERVICE): (False, "forged", "full"),
        phone.short(NOW_MS): (False, "needs_full_code", "short"),
        phone.short(NOW_MS)[:-1]: (False, "malformed", None),
    }
    told = verify_token(keys, "\n".join(codes).encode())
    assert [(one["ok"], one["reason"], one["kind"]) for one in told] == list(codes.values())
    assert [one["pass"] for one in told] == [ticket.pass_id.hex()] * 3 + [None] * 3


def test_verify_token_wants_a_keys_file_and_a_time(keys: Path, tmp_path: Path) -> None:
    for options in (
        ["--keys", str(tmp_path / "none"), "--venue", "3"],
        ["--keys", str(keys), "--venue", "3", "--now", "x"],
    ):
        told = gate_agent("verify-token", *options)
        assert told.returncode == 2
        assert b"Traceback" not in told.stderr


def test_verify_token_judges_dates_by_the_time_given(keys: Path) -> None:
    ticket = Venue().issue(not_before=NOW_MINUTE, not_after=NOW_MINUTE + DAY_MIN)
    told = gate_agent(
        "verify-token", "--keys", str(keys), "--venue", "3", "--now", "2026-11-20", given=ticket.text.encode()
    )
    assert lines(told)[0]["reason"] == "expired"
    assert moments.minute_floor(NOW_MS) == NOW_MINUTE


def test_read_prints_the_codes_of_pictures(tmp_path: Path) -> None:
    import cv2

    text = Venue().issue().text
    picture, empty = tmp_path / "phone.png", tmp_path / "empty.png"
    assert cv2.imwrite(str(picture), draw_phone(text, Look()))
    empty.write_bytes(b"no picture")
    told = gate_agent("read", str(picture), str(empty))
    first, second = lines(told)
    assert (told.returncode, first["file"], first["codes"]) == (1, str(picture), [text])
    assert first["ms"] > 0
    assert (second["codes"], "not a picture" in second["error"]) == ([], True)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A gate at which one visitor was let in and one was not."""
    venue = Venue()
    ticket = venue.issue()
    venue.settle(tmp_path)
    with stage_at(tmp_path) as stage:
        stage.show(ticket.text)
        stage.show("https://pay.example")
        stage.written()
    return tmp_path


def test_verify_and_export(data_dir: Path) -> None:
    told = gate_agent("verify", "--data", str(data_dir))
    assert (told.returncode, told.stdout) == (0, b"2 entries, the chain is whole\n")
    first, second = lines(gate_agent("export", "--data", str(data_dir), "--format", "jsonl"))
    assert (first["seq"], first["kind"], first["lane"], first["list"]) == (1, "intent", 1, [1, 42])
    assert (second["kind"], second["reason"], second["pass"]) == ("refused", "not_ours", None)
    document = (Path(__file__).parents[2] / "docs" / "journal.md").read_text(encoding="utf-8")
    for field in first:
        assert f"`{field}`" in document, "docs/journal.md explains every field"


def test_the_documented_query_finds_the_admitted_entries(tmp_path: Path) -> None:
    venue = Venue()
    passes, balks, still_open = (venue.issue() for _ in range(3))
    venue.settle(tmp_path)
    with stage_at(tmp_path) as stage:
        stage.arms[0].walk(Walk.THROUGH)
        stage.show(passes.text)
        stage.wait(WINDOW_MS + 2_000)
        stage.show(balks.text)
        stage.wait(WINDOW_MS + 2_000)
        stage.show("https://pay.example")
        stage.show(still_open.text)
        kinds = [entry.kind for entry in stage.written()]
    assert EntryKind.ANNULLED in kinds and EntryKind.PASSED in kinds
    document = (Path(__file__).parents[2] / "docs" / "journal.md").read_text(encoding="utf-8")
    (query,) = re.findall(r"```sql\n(.*?)```", document, re.DOTALL)
    with closing(sqlite3.connect(tmp_path / "entries.db")) as journal:
        found = [row[1] for row in journal.execute(query)]
    assert found == [passes.pass_id.hex().upper(), still_open.pass_id.hex().upper()]


def test_verify_names_the_entry_where_the_chain_is_broken(data_dir: Path) -> None:
    change(data_dir, "UPDATE entry SET body = x'9600' WHERE seq = 2")
    told = gate_agent("verify", "--data", str(data_dir))
    assert told.returncode == 1
    assert told.stderr.startswith(b"gate-agent: seq 2: ")


def test_where_there_is_no_journal(tmp_path: Path) -> None:
    for command in ("verify", "export"):
        told = gate_agent(command, "--data", str(tmp_path))
        assert (told.returncode, b"no journal here" in told.stderr) == (1, True)


def test_status_is_one_line(data_dir: Path) -> None:
    (told,) = lines(gate_agent("status", "--data", str(data_dir)))
    assert (told["list"], told["entries"], told["waiting"], told["venue"]) == ([1, 42], 2, 2, lists.VENUE)


def test_check_says_what_is_missing(data_dir: Path, tmp_path: Path) -> None:
    lane = f"1:reader=serial:{tmp_path}/no-scanner,turnstile=file:{tmp_path}/pulses"
    told = gate_agent("check", "--data", str(data_dir), "--lane", lane)
    sentences = told.stdout.decode().splitlines()
    assert told.returncode == 1
    bad = [sentence for sentence in sentences if sentence.startswith("NOT")]
    assert len(bad) == 1
    assert "no-scanner is not there: plug it in" in bad[0]
    fit = gate_agent("check", "--data", str(data_dir), "--lane", "1:reader=sim,turnstile=sim")
    assert fit.returncode == 0, fit.stdout


def test_check_of_a_new_box(tmp_path: Path) -> None:
    told = gate_agent("check", "--data", str(tmp_path))
    assert told.returncode == 1
    for words in ("is not enrolled: run gate-agent enrol", "there is no list yet", "no lane is named"):
        assert words in told.stdout.decode()
