"""The options of the command line that name a bank's voucher."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from sync_server.arguments import DAY, FILE
from sync_server.payments.vouchers import Voucher

Command = TypeVar("Command", bound=Callable[..., Any])


def by_voucher(command: Command) -> Command:
    """The options that name a voucher; `voucher_of` reads them."""
    for option in (
        click.option("--file", type=FILE, help="a copy of it; its SHA-256 is kept"),
        click.option("--voucher", required=True, help="its number"),
        click.option("--paid-on", required=True, type=DAY, help="as the voucher says"),
        click.option("--bank", required=True, help="which bank"),
    ):
        command = option(command)
    return command


def voucher_of(options: dict[str, Any]) -> Voucher:
    """The voucher that these options name, which are taken out of the others."""
    paid_on: datetime = options.pop("paid_on")
    path: Path | None = options.pop("file")
    return Voucher(options.pop("bank"), paid_on.date(), options.pop("voucher"), None if path is None else _sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
