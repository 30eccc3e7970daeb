"""`sync-server product terms | discount`, `people`, `channel`, `fee` on the command line."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from sync_server.catalog.channels import SEEDED, takes_orders
from sync_server.catalog.commands import product
from sync_server.catalog.selling_commands import channel, fee, people
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError, NotFoundError
from tests.sync_server.people_numbers import id_number
from tests.sync_server.town import Town, build_town


@pytest.fixture
def town(centre: Centre) -> Town:
    return build_town(centre)


def run(town: Town, group: click.Command, *arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(group, arguments, obj=lambda: town.centre, input=text)


def said(town: Town, group: click.Command, *arguments: str, text: str = "") -> list[Any]:
    done = run(town, group, *arguments, text=text)
    assert done.exit_code == 0, (done.output, done.exception)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_terms_are_shown_and_changed(town: Town) -> None:
    assert said(town, people, "import", "教师", "-", text=f"证件号\n{id_number()}\n") == [
        {"list": "教师", "persons": 1, "repeated": 0}
    ]
    [first] = said(town, product, "terms", "1")
    assert (first["eligibility"], first["renewal_days"], first["refund_frees_stock"]) == ("ANYONE", 60, True)
    [areas] = said(town, product, "terms", "1", "--area", "4102", "--area", "4101", "--hotline", "12345")
    assert (areas["eligibility"], areas["areas"], areas["hotline"]) == ("AREAS", ["4102", "4101"], "12345")
    [by_list] = said(town, product, "terms", "1", "--list", "教师", "--renewal-days", "30", "--refund-keeps-stock")
    assert (by_list["eligibility"], by_list["renewal_days"], by_list["hotline"]) == ("LIST", 30, "12345")
    assert said(town, product, "terms", "1") == [by_list]
    [anyone] = said(town, product, "terms", "1", "--anyone")
    assert (anyone["person_list_id"], anyone["refund_frees_stock"]) == (None, False)
    assert run(town, product, "terms", "1", "--anyone", "--area", "41").exit_code == 2


def test_wrong_lines_of_a_list_are_named(town: Town) -> None:
    done = run(town, people, "import", "教师", "-", text=f"{id_number()}\n123456789012345678\n")
    assert done.exit_code == 1
    assert "line 2: the holder's ID number is not valid" in done.stderr
    assert "1 lines are wrong, nothing was imported" in done.stderr


def test_discounts_are_added_listed_and_ended(town: Town) -> None:
    [senior] = said(town, product, "discount", "add", "1", "--price-fen", "9900", "--senior", "70")
    said(town, product, "discount", "add", "1", "--price-fen", "100", "--from", "2026-10-01", "--to", "2026-10-07")
    listed = said(town, product, "discount", "list", "1")
    promotion, _ = sorted(listed, key=lambda row: str(row["kind"]))
    assert [row["kind"] for row in listed].count("SENIOR") == 1
    assert promotion["until_ms"] - promotion["from_ms"] == 7 * 24 * 3_600_000
    said(town, product, "discount", "end", senior["discount"])
    assert [row["kind"] for row in said(town, product, "discount", "list", "1")] == ["PROMOTION"]
    for days in (("--from", "2027-01-01"), ("--from", "2027-01-01", "--to", "2027-01-31"), ("--to", "2027-01-31")):
        later = run(town, product, "discount", "add", "1", "--price-fen", "100", "--resident", "11", *days)
        assert isinstance(later.exception, NotAllowedError), "it would be charged from today on"
    nothing = run(town, product, "discount", "add", "1", "--price-fen", "9900")
    assert isinstance(nothing.exception, NotAllowedError)
    for no_less in ("19800", "19801"):
        dearer = run(town, product, "discount", "add", "1", "--price-fen", no_less, "--senior", "70")
        assert "everybody pays 19800 fen" in str(dearer.exception)


def test_channels_are_seeded_added_and_closed(town: Town) -> None:
    assert [row["name"] for row in said(town, channel, "list")] == [name for name, _ in SEEDED]
    said(town, channel, "add", "市民中心", "--english", "Civic centre")
    assert said(town, channel, "list")[-1] == {
        "name": "市民中心",
        "name_en": "Civic centre",
        "position": 7,
        "open": True,
        "refund_hold_h": 72,
    }
    said(town, channel, "set", "市民中心", "--closed")
    with town.centre.read() as connection:
        assert not takes_orders(connection, "市民中心")
        assert takes_orders(connection, "人社公众号")
    hold = said(town, channel, "set", "市民中心", "--refund-hold-h", "48")
    assert hold == [{"channel": "市民中心", "open": False, "refund_hold_h": 48}]
    assert [row["refund_hold_h"] for row in said(town, channel, "list")] == [72] * 6 + [48]
    assert run(town, channel, "set", "市民中心").exit_code == 2
    assert isinstance(run(town, channel, "set", "nowhere", "--refund-hold-h", "1").exception, NotFoundError)
    assert isinstance(run(town, channel, "add", "其他", "--english", "Other").exception, NotAllowedError)
    assert isinstance(run(town, channel, "set", "nowhere", "--open").exception, NotFoundError)


def test_fee_rates_are_added_and_listed(town: Town) -> None:
    before = len(said(town, fee, "list"))
    said(town, fee, "add", "2001", "PAYOUT", "60", "--product", "2", "--min-fen", "5", "--from", "2027-01-01")
    mine = said(town, fee, "list", "--party", "2001")
    assert len(said(town, fee, "list")) == before + 1
    assert mine[-1] | {"valid_from_ms": 0} == {
        "org_number": "2001", "kind": "PAYOUT", "product": 2, "bps": 60, "min_fen": 5, "max_fen": None,
        "valid_from_ms": 0,
    }  # fmt: skip
    assert run(town, fee, "add", "2001", "PAYOUT", "10001").exit_code == 2
    for party, kind, pays in (
        ("2001", "CHARGE", "DISTRIBUTOR"), ("3001", "PAYOUT", "VENUE"),
        ("1000", "CHARGE", "DISTRIBUTOR"), ("1000", "PAYOUT", "VENUE"),
    ):  # fmt: skip
        nobody = run(town, fee, "add", party, kind, "60")
        assert isinstance(nobody.exception, NotAllowedError)
        assert str(nobody.exception).endswith(f"a {kind} fee is paid by a {pays}")
    bounds = ("--min-fen", "6", "--max-fen", "5")
    assert "at least 6 fen" in str(run(town, fee, "add", "2001", "PAYOUT", "60", *bounds).exception)
