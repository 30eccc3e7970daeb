"""Pairing a tablet: six digits that are good once, for five minutes and a few tries; what is kept, and forgotten."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from gate_agent import browsers
from gate_agent.acts import Act, Came, Wish
from gate_agent.browsers import BROWSERS_LIMIT, Browser
from gate_agent.cli import main
from gate_agent.pairing import OPEN_MS, TRIES, NotPaired, Pairing
from gate_agent.staff import Member, Role
from tests.gate_agent.stage import Stage
from tests.gate_agent.venue import NOW_MS
from wire.messages import EntryKind

BOSS = Member("张国", Role.SUPERVISOR, "")
ADDRESS = "https://192.168.1.20:8443/staff/pair"


@pytest.fixture
def pairing(stage: Stage) -> Pairing:
    return Pairing(stage.data_dir, stage.journal, stage.clock.look, ADDRESS)


def start(pairing: Pairing) -> str:
    shown = pairing.start(BOSS, Wish(Act.PAIR, "once"))
    assert (shown.came, shown.detail) == (Came.DONE, ADDRESS)
    return shown.word


def wrong(code: str) -> str:
    return f"{(int(code.replace(' ', '')) + 1) % 10**6:06d}"


def events(stage: Stage) -> list[tuple[str | None, str | None]]:
    return [(entry.reason, entry.who) for entry in stage.written() if entry.kind is EntryKind.EVENT]


def test_the_right_digits_pair_one_browser_once(pairing: Pairing, stage: Stage) -> None:
    code = start(pairing)
    token = pairing.finish(code, "  平板  2 ")
    assert not isinstance(token, NotPaired)
    assert pairing.browser(token) == "平板 2"
    assert pairing.finish(code, "other") is NotPaired.NOT_STARTED
    assert browsers.every(stage.data_dir) == [Browser("平板 2", NOW_MS, "张国")]
    assert events(stage) == [("browser_paired: 平板 2", "张国")]


def test_without_a_start_or_too_late_no_digits_pair(pairing: Pairing, stage: Stage) -> None:
    assert pairing.finish("000000", "tablet") is NotPaired.NOT_STARTED
    code = start(pairing)
    stage.wait(OPEN_MS)
    assert pairing.finish(code, "tablet") is NotPaired.NOT_STARTED
    old, new = start(pairing), start(pairing)
    assert old == new or pairing.finish(old, "tablet") is NotPaired.WRONG
    assert isinstance(pairing.finish(new, "tablet"), str)


def test_few_tries_are_taken_then_the_code_is_void(pairing: Pairing, stage: Stage) -> None:
    code = start(pairing)
    said = [pairing.finish(wrong(code), "tablet") for _ in range(TRIES)]
    assert said == [*[NotPaired.WRONG] * (TRIES - 1), NotPaired.SPENT]
    assert pairing.finish(code, "tablet") is NotPaired.NOT_STARTED
    assert events(stage) == [("pairing_ended: too many wrong codes", None)]
    code = start(pairing)
    for _ in range(TRIES - 1):
        pairing.finish(wrong(code), "tablet")
    assert isinstance(pairing.finish(code, "tablet"), str), "the last try may be right"


@pytest.mark.parametrize("name", ["", "  ", "a" * 33, "a\x1b[2Jb"])
def test_a_name_that_will_not_do_costs_no_try(pairing: Pairing, name: str) -> None:
    code = start(pairing)
    for _ in range(TRIES):
        assert pairing.finish(code, name) is NotPaired.NO_NAME
    assert isinstance(pairing.finish(code, "tablet"), str)


def test_the_cookie_is_kept_nowhere_and_nobody_else_may_look(pairing: Pairing, stage: Stage) -> None:
    token = str(pairing.finish(start(pairing), "tablet"))
    (path,) = (stage.data_dir / browsers.NAME).iterdir()
    assert token not in path.name and token.encode() not in path.read_bytes()
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)


@pytest.mark.parametrize("token", ["", "x", "../staff.json", "x" * 5000, "\x00", "..", "é"])
def test_no_other_cookie_is_anybody_s(pairing: Pairing, token: str) -> None:
    pairing.finish(start(pairing), "tablet")
    assert pairing.browser(token) is None


def test_the_same_name_again_takes_the_place_of_the_one_before(pairing: Pairing, stage: Stage) -> None:
    first, second = (str(pairing.finish(start(pairing), "tablet")) for _ in range(2))
    assert (pairing.browser(first), pairing.browser(second)) == (None, "tablet")
    assert len(browsers.every(stage.data_dir)) == 1


def test_only_so_many_browsers_are_paired(pairing: Pairing, stage: Stage) -> None:
    for number in range(BROWSERS_LIMIT):
        browsers.add(stage.data_dir, Browser(f"tablet {number}", NOW_MS, "张国"))
    code = start(pairing)
    assert pairing.finish(code, "one more") is NotPaired.TOO_MANY
    assert isinstance(pairing.finish(code, "tablet 7"), str)


def test_what_the_disk_does_not_take_is_not_paired(pairing: Pairing, stage: Stage) -> None:
    (stage.data_dir / browsers.NAME).write_text("in the way")
    assert pairing.finish(start(pairing), "tablet") is NotPaired.DISK


def test_a_damaged_file_is_no_paired_browser(pairing: Pairing, stage: Stage) -> None:
    token = str(pairing.finish(start(pairing), "tablet"))
    (path,) = (stage.data_dir / browsers.NAME).iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert pairing.browser(token) is None
    assert browsers.every(stage.data_dir) == []


def test_browsers_are_listed_and_forgotten_at_once(pairing: Pairing, stage: Stage, tmp_path: Path) -> None:
    kept, lost = (str(pairing.finish(start(pairing), name)) for name in ("平板 1", "平板 2"))

    def run(*command: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["staff", command[0], "--data", str(stage.data_dir), *command[1:]])
        return result.exit_code, result.output

    assert run("browsers") == (0, "2026-11-18 11:06 UTC\t张国\t平板 1\n2026-11-18 11:06 UTC\t张国\t平板 2\n")
    assert run("forget", "平板 2")[0] == 0
    assert (pairing.browser(kept), pairing.browser(lost)) == ("平板 1", None)
    code, said = run("forget", "平板 2")
    assert (code, "staff browsers shows them all" in said) == (1, True)
