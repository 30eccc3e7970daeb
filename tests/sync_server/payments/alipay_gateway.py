"""A local stand-in for Alipay's gateway: real HTTP, RSA2 both ways, a book of its own, bills, notices and faults.

Written from Alipay's documents, not from our client: `python-alipay-sdk` talks to it as well.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from sandbox_provider.book import Book
from sandbox_provider.faults import Fault, FaultKind, Faults
from sandbox_provider.tables import Conflict, Order, Transfer

Said = dict[str, object]
SELLER = "2088000000000001"
HERE = "http://notify.example/"
ACCOUNT_COLUMNS = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,"
    "交易渠道,业务类型,备注"
)
TRADE_COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
WORDS = {"charge": "在线支付", "collect": "在线支付", "top_up": "在线支付", "refund": "交易退款", "payout": "转账"}


class _GbkName(zipfile.ZipInfo):
    """A file in a zip whose name is in GBK, as Alipay packs them: zipfile alone writes UTF-8 and says so."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802  zipfile's own name
        return self.filename.encode("gbk"), self.flag_bits


@cache
def _own_key() -> rsa.RSAPrivateKey:
    """One for all gateways of a run: to make one takes longer than most tests of it."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class AlipayGateway:
    """One merchant's application at one gateway; the merchant's account in the book has the application's name."""

    def __init__(self, folder: Path, app_id: str, app_key: rsa.RSAPublicKey, now_ms: Callable[[], int]) -> None:
        self.key = _own_key()
        self.app_id, self._app_key, self._now_ms = app_id, app_key, now_ms
        self.book, self.faults = Book(folder / "alipay.db"), Faults()
        self.book.add_merchant(app_id, "")
        self.agreements: dict[str, Said] = {}
        self._files: dict[str, bytes] = {}
        self._server = make_server("127.0.0.1", 0, Request.application(self._serve), threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self._root = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self._root}/gateway.do"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def agree(self, agreement_no: str, account: str, external_no: str = "", state: str = "NORMAL") -> None:
        """Somebody signed a standing agreement for this account."""
        self.agreements[agreement_no] = {"account": account, "external_no": external_no, "status": state}

    def notice(self, number: str, **changes: str) -> bytes:
        """What it would post about a trade."""
        trade = self.book.find(number)
        assert trade is not None
        told = {
            "notify_time": self._time(self._now_ms()),
            "notify_type": "trade_status_sync",
            "notify_id": "n1",
            "app_id": self.app_id,
            "charset": "utf-8",
            "version": "1.0",
            "sign_type": "RSA2",
            "seller_id": SELLER,
            "subject": trade.title,
            "buyer_id": "",
            "out_trade_no": number,
            "total_amount": yuan(trade.amount_fen),
            "trade_no": trade.provider_ref or "T0",
            "trade_status": self._status(trade),
            **changes,
        }
        text = "&".join(f"{name}={told[name]}" for name in sorted(told) if told[name] and name != "sign_type")
        return urlencode({**told, "sign": self._sign(text)}).encode()

    def _serve(self, request: Request) -> Response:
        if request.path.startswith("/bill/"):
            return Response(self._files[request.path.removeprefix("/bill/")], content_type="application/zip")
        asked = {**request.args.to_dict(), **dict(parse_qsl(request.get_data().decode(), keep_blank_values=True))}
        method = asked.get("method", "")
        if not self._is_signed(asked):
            return self._reply(method, failed("isv.invalid-signature", "40002"))
        content = json.loads(asked["biz_content"])
        fault = self.faults.take(method)
        kind = fault.kind if fault else None
        if kind is FaultKind.LOST_REQUEST:
            return Response("gateway timeout", status=504)
        if kind is FaultKind.SYSTEM_ERROR:
            word = "ACQ.SYSTEM_ERROR" if ".trade." in method else "SYSTEM_ERROR"
            return self._reply(method, failed(word, "20000"))
        said = self._do(method, content, asked, fault)
        if kind is FaultKind.LOST_ANSWER:
            return Response("gateway timeout", status=504)
        if kind is FaultKind.NONSENSE:
            return Response("<html><body>please log in to the network</body></html>", content_type="text/html")
        return self._reply(method, said)

    def _do(self, method: str, content: Said, asked: dict[str, str], fault: Fault | None) -> Said:
        number = str(content.get("out_trade_no") or content.get("out_biz_no") or "")
        match method.removeprefix("alipay."):
            case "trade.pay":
                params = content.get("agreement_params")
                agreement = self.agreements.get(str(params["agreement_no"])) if isinstance(params, dict) else None
                if agreement is None or agreement["status"] != "NORMAL":
                    return failed("ACQ.AGREEMENT_NOT_EXIST")
                return self._paid(self._act("charge", content, "total_amount", str(agreement["account"]), asked, fault))
            case "trade.precreate" | "trade.wap.pay" | "trade.page.pay":
                made = self._act("collect", content, "total_amount", None, asked, fault)
                qr_code = f"{self._root}/qr/{number}"
                return made if isinstance(made, dict) else done(out_trade_no=number, qr_code=qr_code)
            case "trade.query":
                trade = self.book.find(number)
                return failed("ACQ.TRADE_NOT_EXIST") if _is_no_trade(trade) else self._told(trade)
            case "trade.close":
                trade = self.book.find(number)
                if _is_no_trade(trade):
                    return failed("ACQ.TRADE_NOT_EXIST")
                if trade is not None and trade.status != "WAITING":
                    return failed("ACQ.TRADE_STATUS_ERROR")
                self.book.cancel(self.app_id, number, self._now_ms())
                return done(out_trade_no=number)
            case "trade.cancel":
                self.book.cancel(self.app_id, number, self._now_ms())
                return done(out_trade_no=number, retry_flag="N", action="close")
            case "trade.refund":
                return self._refund(content, asked, fault)
            case "trade.fastpay.refund.query":
                refund = self.book.find(str(content["out_request_no"]))
                if refund is None or refund.status != "SUCCESS":
                    return done(out_trade_no=number)
                amount = yuan(refund.amount_fen)
                return done(trade_no=refund.provider_ref, refund_status="REFUND_SUCCESS", refund_amount=amount)
            case "fund.trans.uni.transfer":
                payee = content["payee_info"]
                assert isinstance(payee, dict)
                made = self._act("payout", content, "trans_amount", str(payee["identity"]), asked, fault)
                return made if isinstance(made, dict) else self._transferred(made, asking=True)
            case "fund.trans.common.query":
                transfer = self.book.find(number)
                return failed("ORDER_NOT_EXIST") if transfer is None else self._transferred(transfer, asking=False)
            case "data.dataservice.bill.downloadurl.query":
                return self._bill(str(content["bill_type"]), date.fromisoformat(str(content["bill_date"])))
            case "user.agreement.query":
                for agreement_no, agreement in self.agreements.items():
                    if agreement["external_no"] == content["external_agreement_no"]:
                        return done(agreement_no=agreement_no, status=agreement["status"])
                return failed("USER_AGREEMENT_NOT_EXIST")
            case "user.agreement.unsign":
                if str(content["agreement_no"]) not in self.agreements:
                    return failed("USER_AGREEMENT_NOT_EXIST")
                self.agreements[str(content["agreement_no"])]["status"] = "STOP"
                return done()
        return failed("isv.invalid-method", "40002")

    def _act(
        self,
        kind: str,
        content: Said,
        amount: str,
        account: str | None,
        asked: dict[str, str],
        fault: Fault | None,
        original: str | None = None,
    ) -> Transfer | Said:
        number = str(content.get("out_request_no") or content.get("out_trade_no") or content.get("out_biz_no"))
        assert number.replace("_", "").isalnum(), "letters, digits and _ only"
        whole, _, part = str(content[amount]).partition(".")
        title = str(content.get("subject") or content.get("order_title") or "")
        notice_url = asked.get("notify_url", "")
        order = Order(self.app_id, number, account, int(whole) * 100 + int(f"{part:0<2}"), title, notice_url, original)
        played = {FaultKind.REFUSED: "FAILED", FaultKind.INSUFFICIENT: "INSUFFICIENT"}
        outcome = played.get(fault.kind) if fault else None
        defer_ms = fault.delay_ms if fault and fault.kind is FaultKind.DEFERRED else 0
        try:
            return self.book.act(kind, order, self._now_ms(), outcome, defer_ms)
        except Conflict as error:
            word = "ACQ.CONTEXT_INCONSISTENT" if original is None else "ACQ.REASON_TRADE_REFUND_FEE_ERR"
            return failed(word, why=error)

    def _refund(self, content: Said, asked: dict[str, str], fault: Fault | None) -> Said:
        fresh = self.book.find(str(content["out_request_no"])) is None
        original = str(content["out_trade_no"])
        if self.book.find(original) is None:
            return failed("ACQ.TRADE_NOT_EXIST")
        made = self._act("refund", content, "refund_amount", None, asked, fault, original)
        if isinstance(made, dict):
            return made
        words = {"INSUFFICIENT": "ACQ.SELLER_BALANCE_NOT_ENOUGH", "FAILED": "ACQ.TRADE_NOT_ALLOW_REFUND"}
        if made.status in words:
            return failed(words[made.status])
        moved = fresh and made.status == "SUCCESS"
        return done(trade_no=made.provider_ref, out_trade_no=original, fund_change="Y" if moved else "N")

    def _paid(self, made: Transfer | Said) -> Said:
        if isinstance(made, dict):
            return made
        words = {"INSUFFICIENT": "ACQ.BUYER_BALANCE_NOT_ENOUGH", "FAILED": "ACQ.TRADE_HAS_CLOSE"}
        if made.status in words:
            return failed(words[made.status])
        if made.status == "WAITING":
            return {"code": "10003", "msg": "order success pay inprocess", "out_trade_no": made.out_no}
        return done(trade_no=made.provider_ref, out_trade_no=made.out_no, total_amount=yuan(made.amount_fen))

    def _told(self, trade: Transfer | None) -> Said:
        assert trade is not None
        amount = yuan(trade.amount_fen)
        return done(
            out_trade_no=trade.out_no,
            trade_no=trade.provider_ref or "T0",
            trade_status=self._status(trade),
            total_amount=amount,
            subject='标题 {"与"} \\ 括号',  # a node is signed as it is written, whatever stands in it
        )

    def _transferred(self, made: Transfer, *, asking: bool) -> Said:
        words = {"INSUFFICIENT": "PAYER_BALANCE_NOT_ENOUGH", "FAILED": "PAYEE_NOT_EXIST"}
        if made.status in words and asking:
            return failed(words[made.status])
        if made.status in words:
            return done(out_biz_no=made.out_no, status="FAIL", error_code=words[made.status], fail_reason=made.reason)
        state = "SUCCESS" if made.status == "SUCCESS" else "DEALING"
        amount = {} if asking else {"trans_amount": yuan(made.amount_fen)}
        return done(out_biz_no=made.out_no, order_id=made.provider_ref, status=state, **amount)

    def _bill(self, kind: str, day: date) -> Said:
        from_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000) - 8 * 3_600_000
        lines = self.book.statement(self.app_id, from_ms, from_ms + 24 * 3_600_000)
        if not lines or self._now_ms() < from_ms + 33 * 3_600_000:
            return failed("isp.bill_not_exist")
        rows_of = self._account_rows if kind == "signcustomer" else self._trade_rows
        rows = [row for line in lines for row in rows_of(line)]
        columns = ACCOUNT_COLUMNS if kind == "signcustomer" else TRADE_COLUMNS
        edge = "#---------------明细列表---------------"
        table = ["#支付宝账务明细查询", f"#账号：[{SELLER}0156]", edge, columns, *rows, edge]
        summary = ["#支付宝业务汇总查询", "#----"]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as opened:
            for name, text in (("明细", table), ("明细(汇总)", summary)):
                part = _GbkName(f"{SELLER}_{day:%Y%m%d}_{name}.csv")
                opened.writestr(part, "\r\n".join(text).encode("gbk"))
        name = f"{kind}-{day}.zip"
        self._files[name] = packed.getvalue()
        return done(bill_download_url=f"{self._root}/bill/{name}")

    def _account_rows(self, line: dict[str, object]) -> list[str]:
        transfer = self.book.find(str(line["out_no"]))
        assert transfer is not None
        number, at = transfer.original or transfer.out_no, self._time(int(str(line["at_ms"])))
        fen, fee_fen = int(str(line["amount_fen"])), int(str(line["fee_fen"]))
        rows = [self._row(f"{line['line_no']}1", str(transfer.provider_ref), number, at, fen, WORDS[transfer.kind])]
        if fee_fen:
            rows.append(self._row(f"{line['line_no']}2", str(transfer.provider_ref), number, at, -fee_fen, "收费"))
        return rows

    @staticmethod
    def _row(line_no: str, flow: str, number: str, at: str, fen: int, word: str) -> str:
        came, went = (f"+{yuan(fen)}", "") if fen > 0 else ("", f"-{yuan(-fen)}")
        flat = (f"{line_no}\t", f"{flow}\t", f"{number}\t", '"门票, 两张"', at, "某人(a***@b)", came, went, "1.00")
        return ",".join((*flat, "支付宝", word, ""))

    def _trade_rows(self, line: dict[str, object]) -> list[str]:
        transfer = self.book.find(str(line["out_no"]))
        assert transfer is not None
        if transfer.kind == "payout":
            return []
        at, back = self._time(int(str(line["at_ms"]))), transfer.kind == "refund"
        amount = f"-{yuan(transfer.amount_fen)}" if back else yuan(transfer.amount_fen)
        request, number = (transfer.out_no, str(transfer.original)) if back else ("", transfer.out_no)
        word = "退款" if back else "交易"
        trade_no = f"{transfer.provider_ref}\t"
        flat = (trade_no, f"{number}\t", word, "门票", at, at, "", "", "", "", "某人", amount, amount)
        return [",".join((*flat, f"{request}\t", "0.00", "0.00", ""))]

    def _status(self, trade: Transfer) -> str:
        return {"SUCCESS": "TRADE_SUCCESS", "WAITING": "WAIT_BUYER_PAY"}.get(trade.status, "TRADE_CLOSED")

    def _time(self, at_ms: int) -> str:
        return f"{datetime.fromtimestamp(at_ms / 1000, UTC) + timedelta(hours=8):%Y-%m-%d %H:%M:%S}"

    def _is_signed(self, asked: dict[str, str]) -> bool:
        text = "&".join(f"{name}={asked[name]}" for name in sorted(asked) if asked[name] and name != "sign")
        try:
            signature = base64.b64decode(asked.get("sign", ""))
            self._app_key.verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return asked.get("app_id") == self.app_id and asked.get("sign_type") == "RSA2"

    def _sign(self, text: str) -> str:
        return base64.b64encode(self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()

    def _reply(self, method: str, said: Said) -> Response:
        node = json.dumps({name: value for name, value in said.items() if value is not None}, ensure_ascii=False)
        node = node.replace("/", "\\/")  # as Alipay writes it
        body = f'{{"{method.replace(".", "_")}_response":{node},"sign":"{self._sign(node)}"}}'
        return Response(body, content_type="text/html;charset=utf-8")


def yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


def done(**values: object) -> Said:
    return {"code": "10000", "msg": "Success", **values}


def failed(word: str, code: str = "40004", why: object = "") -> Said:
    return {"code": code, "msg": "Business Failed", "sub_code": word, "sub_msg": f"played {why}"}


def _is_no_trade(trade: Transfer | None) -> bool:
    return trade is None or trade.kind == "payout"
