"""Nothing that somebody types ends in a traceback: it is taken, or refused with a sentence."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from sync_server import errors
from sync_server.arguments import DAY, MONTH
from sync_server.centre import Centre
from sync_server.cli import cli
from sync_server.people import asking
from sync_server.people.identifying import Person
from sync_server.people.permissions import Permission
from tests.sync_server.operators import employ
from tests.sync_server.town import build_town

WHO = ["--organisation", "x", "--account", "x", "--password-stdin"]
SAID = ["--reason", "r", *WHO]
VOUCHER = ["--bank", "b", "--paid-on", "2026-09-20", "--voucher", "v", *SAID]
DRAFT = ["--name-en", "n", "--days", "30", *WHO]
OF_PASS = ["--venue", "1", "--price", "1", *DRAFT]


def parameters(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Parameter]]:
    """Of every command, with the words that lead to it."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from parameters(inner, f"{path} {name}".strip())
    for parameter in command.params:
        yield f"{path} {parameter.name}", parameter


def kinds(parameter: click.Parameter) -> list[click.ParamType[object]]:
    return list(parameter.type.types) if isinstance(parameter.type, click.Tuple) else [parameter.type]


def test_every_number_has_its_greatest() -> None:
    """Without one a number may be more than the table holds, and that is learnt from the database."""
    numbers = [
        (name, kind)
        for name, parameter in parameters(cli)
        for kind in kinds(parameter)
        if isinstance(kind, click.types.IntParamType)
    ]
    assert len(numbers) > 60
    assert [name for name, kind in numbers if not isinstance(kind, click.IntRange) or kind.max is None] == []


@pytest.mark.parametrize(
    "typed", ["9999-12", "0001-01", "1960-01", "2026-13", "2026-1", "2026-11-1", "２０２６-11", ""]
)
def test_a_month_is_one_of_the_years_of_the_product(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="is no month of 2020 to 2099: write 2026-11"):
        MONTH.convert(typed, None, None)
    assert MONTH.convert("2026-11", None, None) == "2026-11"


@pytest.mark.parametrize("typed", ["0001-01-01", "9999-12-31", "1969-12-31", "2019-12-31", "2100-01-01"])
def test_a_day_is_one_of_the_years_of_the_product(typed: str) -> None:
    with pytest.raises(click.BadParameter, match=f"{typed} is not in the years 2020 to 2099"):
        DAY.convert(typed, None, None)
    assert f"{DAY.convert('2099-12-31', None, None):%F}" == "2099-12-31"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["stock", "list", "--product", "65536"], "65536 is not in the range 1<=x<=65535"),
        (["stock", "price", "1", "1", str(10**15 + 1), *WHO], "is not in the range"),
        (["visits", "settle", "1", "PER_VISIT", "--tariff", "1", str(2**63), *SAID], "is not in the range"),
        (["product", "reprice", "1", "--dist-price", "1", "--venue", f"1={2**63}", *WHO], "is not in the range"),
        (["top-up", "record", "3001", "100", "--file", "/tmp", *VOUCHER], "is a directory"),
        (["product", "draft-pass", "--name-zh", "名" * 101, *OF_PASS], "a product's name has 1 to 100"),
        (["product", "draft-single", "--name-zh", "名", "--venue-price", "1", *DRAFT], "you are of none"),
        (["party", "funding", "3001", "PREPAID", "--reason", "x" * 5000, *WHO], "takes 4000 characters"),
        (["pass", "codes", "x" * 101], "no order with passes has the number"),
        (["order", "place", "--product", "2", "--distributor", "3001", "--key", "k" * 101], "a key has 1 to 100"),
    ],
)  # fmt: skip
def test_what_no_table_holds_is_refused(
    any_centre: Centre, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    build_town(any_centre)
    boss = employ(any_centre, "boss", "platform_admin")
    monkeypatch.setattr(asking, "identify", lambda *_: Person(boss.id, frozenset(Permission)))
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    done = CliRunner().invoke(command, words[1:], obj=lambda: any_centre, input="word\n")
    assert sentence in f"{done.stderr}{done.exception}"
    assert isinstance(done.exception, (SystemExit, errors.NotFoundError, errors.NotAllowedError))
