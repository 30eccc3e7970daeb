"""Downloaded statements: JSON lines and Alipay's bills are read alike, and what is not that day's is refused."""

from __future__ import annotations

import io
import zipfile
from datetime import date
from pathlib import Path

import msgspec
import pytest

from sync_server.errors import NotAllowedError
from sync_server.payments.provider import StatementLine
from sync_server.reconciliation.statement_files import BESIDE_MS, read_file
from sync_server.reconciliation.statements_in import bounds

DAY = date(2026, 9, 21)
FROM_MS, TO_MS = bounds(DAY)
LINE = StatementLine("1", "a-1", "CHARGE", 5231, 31, FROM_MS)
OUR = "0" * 31
ACCOUNT = (
    "#支付宝账务明细查询\n账务流水号,业务流水号,商户订单号,发生时间,收入金额（+元）,支出金额（-元）,业务类型,备注\n"
)
PAID = f"7,P7,{OUR}1_1,2026-09-21 10:00:00,52.31,,在线支付,\n"
REFUNDED = f"8,P8,{OUR}1_1,2026-09-21 11:00:00,,-52.31,交易退款,\n"
TRADES = "#\n商户订单号,业务类型,订单金额（元）,退款批次号/请求号\n"
REFUND = f"{OUR}1_1,退款,-52.31,{OUR}2_1\n"


def written(folder: Path, name: str, content: bytes) -> Path:
    file = folder / name
    file.write_bytes(content)
    return file


def zipped(table: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("bill.csv", table.encode("gbk"))
    return packed.getvalue()


def read(folder: Path, *lines: StatementLine | str, provider: str = "ALIPAY") -> list[StatementLine]:
    texts = [line.encode() if isinstance(line, str) else msgspec.json.encode(line) for line in lines]
    return read_file(provider, DAY, written(folder, "day.jsonl", b"\n".join(texts)))


def test_json_lines_are_read_as_they_are(tmp_path: Path) -> None:
    late = StatementLine("2", None, "SOMETHING", -1, 0, TO_MS + BESIDE_MS - 1, "ref", "account", "a-1")
    assert read(tmp_path, LINE, "", late) == [LINE, late]
    assert read(tmp_path) == []


@pytest.mark.parametrize("at_ms", [FROM_MS - BESIDE_MS - 1, TO_MS + BESIDE_MS, FROM_MS // 1000])
def test_a_line_of_another_day_is_named(tmp_path: Path, at_ms: int) -> None:
    strange = StatementLine("no-2", None, "CHARGE", 1, 0, at_ms)
    with pytest.raises(NotAllowedError, match=r"line 'no-2' is of .* no statement of 2026-09-21"):
        read(tmp_path, LINE, strange)


@pytest.mark.parametrize(
    "line",
    [
        '{"line_no": "1"}',
        '{"line_no": 1, "kind": "CHARGE", "amount_fen": 1, "at_ms": 1}',
        '{"line_no": "", "kind": "CHARGE", "amount_fen": 1, "at_ms": 1}',
        '{"line_no": "\\u0000", "kind": "CHARGE", "amount_fen": 1, "at_ms": 1}',
        '{"line_no": "1", "kind": "CHARGE", "amount_fen": 1.5, "at_ms": 1}',
        '{"line_no": "1", "kind": "CHARGE", "amount_fen": 1, "fee_fen": -1, "at_ms": 1}',
        '{"line_no": "1", "kind": "CHARGE", "amount_fen": 1, "at_ms": 1, "acount_ref": "typo"}',
        '{"line_no": "' + "1" * 65 + '", "kind": "CHARGE", "amount_fen": 1, "at_ms": 1}',
        "not JSON",
        "账务流水号",
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(NotAllowedError, match=r"line 2 of .*day\.jsonl cannot be read"):
        read(tmp_path, LINE, line)


@pytest.mark.parametrize("packed", [zipped, lambda table: table.encode("gbk")], ids=["zip", "csv"])
def test_alipays_own_bills_are_read_as_our_client_reads_them(tmp_path: Path, packed: object) -> None:
    assert callable(packed)
    account = written(tmp_path, "account", packed(ACCOUNT + PAID + REFUNDED))
    trades = written(tmp_path, "trades", packed(TRADES + REFUND))
    paid, refund = read_file("ALIPAY", DAY, account, trades)
    assert (paid.line_no, paid.out_no, paid.kind, paid.amount_fen) == ("7", f"{OUR}1-1", "COLLECT", 5231)
    assert (refund.out_no, refund.original_out_no, refund.amount_fen) == (f"{OUR}2-1", f"{OUR}1-1", -5231)
    with pytest.raises(NotAllowedError, match="'7' is of 2026-09-21, this is no statement of 2026-09-23"):
        read_file("ALIPAY", date(2026, 9, 23), account, trades)


def test_refunds_are_not_taken_in_without_their_numbers(tmp_path: Path) -> None:
    account = written(tmp_path, "account.zip", zipped(ACCOUNT + PAID + REFUNDED))
    with pytest.raises(NotAllowedError, match="--trades"):
        read_file("ALIPAY", DAY, account)
    alone = written(tmp_path, "alone.zip", zipped(ACCOUNT + PAID))
    assert len(read_file("ALIPAY", DAY, alone)) == 1


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    account = written(tmp_path, "account.zip", zipped(ACCOUNT + PAID + REFUNDED))
    trades = written(tmp_path, "trades.zip", zipped(TRADES + REFUND))
    with pytest.raises(NotAllowedError, match="not of HUIJINBAO's"):
        read_file("HUIJINBAO", DAY, account, trades)
    with pytest.raises(NotAllowedError, match="no column 账务流水号"):
        read_file("ALIPAY", DAY, trades)
    with pytest.raises(NotAllowedError, match="no column 退款批次号/请求号"):
        read_file("ALIPAY", DAY, account, account)
    with pytest.raises(NotAllowedError, match="cannot be unpacked"):
        read_file("ALIPAY", DAY, written(tmp_path, "broken.zip", b"PK broken"))
    lines = written(tmp_path, "lines.jsonl", msgspec.json.encode(LINE))
    with pytest.raises(NotAllowedError, match="no bill of Alipay's"):
        read_file("ALIPAY", DAY, lines, trades)
    with pytest.raises(NotAllowedError, match="cannot be read"):
        read_file("ALIPAY", DAY, tmp_path)
