"""Alipay's bill as a file: every line or none."""

from __future__ import annotations

import io
import zipfile

import pytest

from sync_server.payments.alipay_bill import NotABill, our_number, read_bill
from tests.sync_server.payments.test_provider_contract import (
    number,
)


def zipped(*tables: str, encoding: str = "gbk") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for n, table in enumerate(tables):
            opened.writestr(f"{n}.csv", table.encode(encoding))
    return packed.getvalue()


HEAD = "#\n账务流水号,业务流水号,商户订单号,发生时间,收入金额（+元）,支出金额（-元）,业务类型,备注\n"


@pytest.mark.parametrize(
    "file",
    [
        b"no zip",
        zipped(),
        zipped(HEAD, HEAD),
        zipped(HEAD, encoding="utf-16"),
        zipped("#\n账务流水号,业务类型\n1,转账\n"),
        zipped(HEAD + "1,2,3\n"),
        zipped(HEAD + "1,2,3,yesterday,1.00,,转账,\n"),
        zipped(HEAD + "1,2,3,2026-09-21 10:00:00,one,,转账,\n"),
    ],
)
def test_a_file_that_is_no_bill_is_refused_whole(file: bytes) -> None:
    with pytest.raises(NotABill):
        read_bill(file, None)


def test_an_arrival_is_known_by_our_number_in_its_remark() -> None:
    arrived = f"9,8,,2026-09-21 10:00:00,+30.00,,转账,调拨 {number(7)}\n"
    odd = "10,9,,2026-09-21 10:00:01,0.31,,退费,\n11,9,,2026-09-21 10:00:02,1.00,,转账,\n"
    first, second, third = read_bill(zipped(HEAD + arrived + odd), None)
    assert (first.out_no, first.kind, first.amount_fen, first.fee_fen) == (number(7), "SWEEP_IN", 3000, 0)
    assert (third.out_no, third.kind) == (None, "转账")
    assert (second.out_no, second.amount_fen, second.kind) == (None, 31, "退费")
    assert our_number("0" * 33 + "_1") is None
