"""An accounting program of others reads the book and adds it up as we do."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from beancount import loader
from beancount.core.data import Transaction
from click.testing import CliRunner

from sync_server import crypto
from sync_server.centre import Centre, Opener
from sync_server.exports import export
from sync_server.ledger.accounts import CHART, Account
from sync_server.ledger.balances import trial_balance
from sync_server.ledger.beancount import account_name, beancount_lines
from sync_server.ledger.book import Txn, legs, post, reverse
from sync_server.ledger.tables import ledger_account
from sync_server.money import yuan
from tests.sync_server.conftest import START_MS
from tests.sync_server.sandbox import World

ZONE = ZoneInfo("Asia/Shanghai")
ORDER = UUID(int=5)


def book(centre: Centre) -> str:
    with centre.read() as connection:
        return "\n".join(beancount_lines(connection, ZONE)) + "\n"


def test_beancount_finds_no_error_in_a_sold_and_used_ticket(world: World) -> None:
    order_id = world.buy(2)
    world.turn()
    world.enter(world.items(order_id)[0])
    world.turn()
    entries, errors, _ = loader.load_string(book(world.centre))
    assert errors == []
    assert sum(isinstance(entry, Transaction) for entry in entries) == 3  # charge, redeem, payout


def test_every_account_sums_to_what_our_trial_balance_says(centre: Centre) -> None:
    now_ms = centre.now_ms()
    with centre.write() as connection:
        for n, (code, kept) in enumerate(CHART.items(), start=1):
            account = Account(code, ORDER if kept.owner else None)
            if code != "1010":
                post(connection, [Txn(f'"{n}\\', legs((Account("1010"), n), (account, -n)), now_ms, 'a "b"')], now_ms)
        waiting = Txn("later", legs((Account("1010"), 500), (Account("4010"), -500)), now_ms, "test", pending=True)
        post(connection, [waiting], now_ms)
        reverse(connection, '"2\\', now_ms, "test", now_ms + 86_400_000)
    entries, errors, _ = loader.load_string(book(centre))
    assert errors == []
    sums: dict[str, Decimal] = {}
    for entry in entries:
        if isinstance(entry, Transaction):
            for leg in entry.postings:
                assert leg.units is not None
                code = leg.account.split(":")[1]
                sums[code] = sums.get(code, Decimal(0)) + leg.units.number  # type: ignore[operator]  # it has one
    with centre.read() as connection:
        ours = {line.code: Decimal(line.balance_fen) / 100 for line in trial_balance(connection)}
    assert sums == ours


def test_beancount_finds_a_total_of_ours_that_is_not_the_sum_of_its_postings(centre: Centre) -> None:
    with centre.write() as connection:
        post(connection, [Txn("k", legs((Account("1010"), 5), (Account("4010"), -5)), START_MS, "test")], START_MS)
        connection.execute(ledger_account.update().where(ledger_account.c.code == "1010").values(debits_posted_fen=6))
    _, errors, _ = loader.load_string(book(centre))
    assert ["Assets:1010" in str(error) for error in errors] == [True]


@pytest.mark.parametrize(("fen", "text"), [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (-123_456, "-1234.56")])
def test_fen_are_written_as_yuan(fen: int, text: str) -> None:
    assert yuan(fen) == text


def test_names_that_beancount_takes() -> None:
    assert account_name("1010", None) == "Assets:1010"
    assert account_name("2120", ORDER) == f"Liabilities:2120:{ORDER.hex.upper()}"


def test_on_the_command_line(centre: Centre, tmp_path: Path) -> None:
    with centre.write() as connection:
        post(connection, [Txn("k", legs((Account("1010"), 5), (Account("4010"), -5)), START_MS, "test")], START_MS)
    crypto.write_secrets(centre.settings.secret_file, centre.secrets)
    opener = Opener(lambda: centre.settings)
    done = CliRunner().invoke(export, ["ledger", "--format", "beancount"], obj=opener)
    assert done.exit_code == 0, done.output
    file = tmp_path / "book.beancount"
    file.write_text(done.output, encoding="utf-8")
    assert loader.load_file(str(file))[1] == []
    refused = CliRunner().invoke(export, ["statements", "--format", "beancount"], obj=opener)
    assert refused.exit_code == 2
    assert "only the ledger" in refused.output
