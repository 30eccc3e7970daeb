"""A distributor that pays in before, by the command line alone: set up, topped up, held, run, refused, re-addressed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from sync_server.centre import Centre
from sync_server.parties.parties import party_by_org_number
from tests.sync_server.command_line import command
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import PASSWORD, employ
from tests.sync_server.town import Town, build_town

Run = Callable[..., Any]


@pytest.fixture
def town(centre: Centre) -> Town:
    built = build_town(centre)
    for account in ("qian", "sun"):
        employ(centre, account, "finance")
    return built


@pytest.fixture
def run(centre: Centre, town: Town) -> Run:
    """Run a command, by an operator where one is named; what it printed, or what it said and the error."""

    def run_it(*arguments: str, by: str | None = None, fails: bool = False) -> Any:
        who = () if by is None else ("--organisation", "1000", "--account", by, "--password-stdin")
        group = command(arguments[0])
        done = CliRunner().invoke(group, (*arguments[1:], *who), obj=lambda: centre, input=f"{PASSWORD}\n")
        assert (done.exit_code != 0) is fails, (done.output, done.exception)
        if fails:
            return f"{done.output} {done.exception}"
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return lines[0] if len(lines) == 1 else lines

    return run_it


def pay_in(run: Run, amount_fen: int, voucher: str) -> None:
    said = ("--bank", "工商银行", "--paid-on", "2026-09-21", "--voucher", voucher, "--reason", "seen on the list")
    asked = run("top-up", "record", "3001", str(amount_fen), *said, by="qian")
    assert "two persons" in run("request", "confirm", asked["request"], by="qian", fails=True)
    assert run("request", "confirm", asked["request"], by="sun")["state"] == "confirmed"


def test_from_the_first_top_up_to_the_issued_order(run: Run, clock: Clock) -> None:
    run("party", "funding", "3001", "PREPAID", "--on-top-up", "--reason", "contract 6", by="qian")
    told = run("party", "funding", "3001", "PREPAID", "--reason", "contract 7", by="qian")
    assert told["goes_on_after_top_up"] is True, "what is not named stays as it was"
    run("party", "funding", "3001", "PREPAID", "--not-on-top-up", "--reason", "contract 7", by="qian")
    one = run("party", "list", "--kind", "DISTRIBUTOR")
    assert (one["party"], one["funding"], one["goes_on_after_top_up"]) == ("3001", "PREPAID", False)
    assert (one["account"], one["late_liability"]) == ("ALIPAY …3001", "PLATFORM")
    pay_in(run, 6_000, "V1")
    assert run("top-up", "balance", "3001") == {"party": "3001", "balance_fen": 6_000, "coming_fen": 0}
    first = run("order", "place", "--product", "2", "--distributor", "3001")
    assert (first["state"], first["funding"], first["paid_fen"], first["payment"]) == ("PAID", "PREPAID", 5_200, None)
    held = run("order", "place", "--product", "2", "--distributor", "3001")
    assert (held["state"], held["hold"], held["lacking_fen"]) == ("PENDING_PAYMENT", "INSUFFICIENT", 4_400)
    assert '"lacking_fen": 4400' in run("order", "apply", held["number"], fails=True)
    assert run("order", "applications")["number"] == held["number"]
    run("order", "refuse", held["number"], "--reason", "no money came", by="qian")
    assert run("order", "applications") == []
    assert "还差 44.00 元" in run("order", "run", held["number"], "--reason", "by phone", by="qian", fails=True)
    pay_in(run, 4_400, "V2")
    assert run("order", "apply", held["number"])["state"] == "paid"
    assert run("order", "show", held["number"])["state"] == "PAID"
    assert run("top-up", "balance", "3001")["balance_fen"] == 0


def test_where_a_party_is_paid_is_changed_and_shown(run: Run, clock: Clock) -> None:
    asked = run("party", "account", "2001", "HUIJINBAO", "bridge-new", "--reason", "letter", by="qian")
    run("request", "confirm", asked["request"], by="sun")
    told = run("party", "accounts", "2001")
    assert told["changes"][0]["used_from_ms"] == clock.now_ms + 24 * 3_600_000
    assert (told["provider"], told["account_ref"]) == ("ALIPAY", "account-2001")
    assert [(one["provider"], one["account_ref"]) for one in told["changes"]] == [("HUIJINBAO", "bridge-new")]
    clock.pass_ms(24 * 3_600_000)
    assert run("party", "accounts", "2001")["account_ref"] == "bridge-new"
    back = run("party", "account", "2001", "ALIPAY", "account-2001", "--reason", "letter", by="qian")
    assert run("request", "withdraw", back["request"], by="qian")["state"] == "withdrawn"
    again = run("party", "account", "2001", "ALIPAY", "account-2001", "--reason", "letter", by="qian")
    run("request", "confirm", again["request"], by="sun")
    assert run("party", "stop", again["request"], "--reason", "not theirs", by="qian")["state"] == "stopped"
    clock.pass_ms(24 * 3_600_000)
    assert run("party", "accounts", "2001")["account_ref"] == "bridge-new"


def test_a_party_is_registered_once_and_listed(run: Run, centre: Centre) -> None:
    names = ("--name-zh", "开封府", "--name-en", "Kaifeng Hall")
    assert "no time zone" in run("party", "add", "VENUE", "2003", *names, "--account", "x", "--zone", "?", fails=True)
    made = run("party", "add", "VENUE", "2003", *names, "--account", "2088000000000001")
    assert (made["party"], made["venue"]) == ("2003", len(run("venue", "list")))
    (told,) = (one for one in run("party", "list") if one["party"] == "2003")
    assert (told["account"], told["payout_mode"]) == ("ALIPAY …0001", "PER_REDEMPTION")
    with centre.read() as connection:
        party_id = party_by_org_number(connection, "2003").id
    assert (told["venue"], told["party_id"]) == (made["venue"], str(party_id))
    for kind, number, refusal in (
        ("PARTNER", "2003", "the VENUE 2003 already"),
        ("PLATFORM", "1001", "the PLATFORM 1000 already"),
        ("PARTNER", "d 1", "capital letters"),
    ):
        assert refusal in run("party", "add", kind, number, *names, "--account", "x", fails=True)
    assert "a party's account" in run("party", "add", "PARTNER", "4001", *names, "--account", "", fails=True)


def test_a_top_up_at_the_cashier_is_begun(run: Run) -> None:
    told = run("top-up", "cashier", "3001", "100000")
    assert told["amount_fen"] == 100_000
    assert run("top-up", "balance", "3001")["coming_fen"] == 100_000
