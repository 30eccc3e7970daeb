"""Alipay's client on its OpenAPI gateway: trades, refunds, transfers, agreements and bills; no fund moves.

Alipay's numbers may hold letters, digits and `_`: the `-` of ours is written `_` there. An answer whose meaning we do
not know is an unclear outcome, never a failure: it is asked for again under the same number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple
from urllib.parse import parse_qsl

from sync_server.centre import Centre
from sync_server.errors import ConfigurationError
from sync_server.payments.alipay_answers import (
    DONE,
    NOT_KNOWN,
    answer_of,
    moved,
    reason_of,
    refunded,
    told_of,
    trade_state,
    transferred,
)
from sync_server.payments.alipay_bill import NotABill, our_number, read_bill
from sync_server.payments.alipay_gate import Gate, app_of
from sync_server.payments.alipay_signing import fen_of, yuan
from sync_server.payments.provider import (
    CALENDAR,
    Answer,
    Instruction,
    Notice,
    NotKnown,
    Refused,
    StatementLine,
    Unclear,
    Waiting,
)

BILL_IS_MISSING = {"isp.bill_not_exist", "BILL_NOT_EXIST"}
BILLS_ARE_MADE_AT_H = 12  # of the next day; usually at nine: a day that has no bill by then had no movement
NOTICE_PATH = "/callbacks/alipay"
AGREEMENT_PRODUCT = "GENERAL_WITHHOLDING"
USER_ID_DIGITS = 16  # 2088…
MAX_TITLE_CHARACTERS = 100


class Agreement(NamedTuple):
    """A payer's standing agreement 商家扣款; a CHARGE names its number. `state` TEMP, NORMAL or STOP."""

    agreement_no: str
    state: str


class AlipayClient:
    """One per process and thread; see `payments.provider.Provider`. `cashier`: what a payer opens, see `_pay_url`."""

    def __init__(self, gate: Gate, cashier: str, now_ms: Callable[[], int]) -> None:
        self._gate, self._cashier, self._now_ms = gate, cashier, now_ms

    def send(self, instruction: Instruction) -> Answer:
        number, amount = _number(instruction.out_no), yuan(instruction.amount_fen)
        subject = instruction.title[:MAX_TITLE_CHARACTERS]
        match instruction.kind:
            case "CHARGE":
                content = {
                    "out_trade_no": number,
                    "total_amount": amount,
                    "subject": subject,
                    "product_code": AGREEMENT_PRODUCT,
                    "agreement_params": {"agreement_no": instruction.account_ref},
                }
                said = self._gate.ask("alipay.trade.pay", content)
                return answer_of(said, lambda done: moved(done.get("trade_no"), fen_of(done.get("total_amount"))))
            case "COLLECT" | "TOP_UP":
                return self._pay_url(instruction)
            case "REFUND":
                content = {
                    "out_trade_no": _number(str(instruction.original_out_no)),
                    "refund_amount": amount,
                    "out_request_no": number,
                    "refund_reason": subject,
                }
                said = self._gate.ask("alipay.trade.refund", content)
                if isinstance(said, dict) and said.get("code") == DONE and said.get("fund_change") != "Y":
                    return self.query(instruction)  # done before, or not yet: this answer does not tell
                return answer_of(said, lambda done: moved(done.get("trade_no"), instruction.amount_fen))
            case "PAYOUT":
                return self._pay_out(instruction)
            case "SWEEP_IN":
                return Waiting()  # Alipay tells of an arrival only in its bill
        return Refused(f"Alipay offers us no {instruction.kind}")

    def query(self, instruction: Instruction) -> Answer:
        number = _number(instruction.out_no)
        match instruction.kind:
            case "CHARGE" | "COLLECT" | "TOP_UP":
                return told_of(self._gate.ask("alipay.trade.query", {"out_trade_no": number}), trade_state)
            case "REFUND":
                original = _number(str(instruction.original_out_no))
                content = {"out_trade_no": original, "out_request_no": number}
                said = self._gate.ask("alipay.trade.fastpay.refund.query", content)
                return told_of(said, refunded)
            case "PAYOUT":
                content = {
                    "product_code": "TRANS_ACCOUNT_NO_PWD",
                    "biz_scene": "DIRECT_TRANSFER",
                    "out_biz_no": number,
                }
                return told_of(self._gate.ask("alipay.fund.trans.common.query", content), transferred)
        return NotKnown()

    def cancel(self, instruction: Instruction) -> Answer:
        """Close the trade; one that was never opened is revoked, so that its address opens none any more."""
        content = {"out_trade_no": _number(instruction.out_no)}
        said = self._gate.ask("alipay.trade.close", content)
        if isinstance(said, dict) and said.get("sub_code") in NOT_KNOWN:
            said = self._gate.ask("alipay.trade.cancel", content)
        if isinstance(said, dict) and said.get("code") == DONE:
            return Refused("cancelled")
        answer = self.query(instruction)
        return Unclear("Alipay did not close the trade") if isinstance(answer, NotKnown | Waiting) else answer

    def statement(self, day: date) -> tuple[StatementLine, ...] | Unclear:
        account = self._bill("signcustomer", day)
        if isinstance(account, Unclear):
            return account
        trades = self._bill("trade", day)
        if isinstance(trades, Unclear):
            return trades
        try:
            return read_bill(account, trades) if account is not None else ()
        except NotABill as error:
            return Unclear(f"Alipay's bill of {day}: {error}")

    def read_notice(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """Alipay posts a form; its headers say nothing."""
        del headers
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=100)
        except ValueError:  # no UTF-8, or no form
            return None
        parameters = dict(pairs)
        number = our_number(parameters.get("out_trade_no", ""))
        if number is None or len(parameters) != len(pairs) or not self._gate.told(parameters):
            return None
        return Notice(number, trade_state(parameters))

    def sign_address(self, external_no: str, return_url: str) -> str:
        """Where a payer signs the standing agreement that we will know by `external_no`."""
        content = {
            "personal_product_code": AGREEMENT_PRODUCT + "_P",
            "product_code": AGREEMENT_PRODUCT,
            "external_agreement_no": external_no,
            "access_params": {"channel": "QRCODE"},
            "sign_scene": "INDUSTRY|TRAVEL",
        }
        return self._gate.address("alipay.user.agreement.page.sign", content, return_url)

    def agreement(self, external_no: str) -> Agreement | NotKnown | Unclear:
        """What became of an agreement that somebody was to sign."""
        content = {
            "personal_product_code": AGREEMENT_PRODUCT + "_P",
            "external_agreement_no": external_no,
            "sign_scene": "INDUSTRY|TRAVEL",
        }
        said = self._gate.ask("alipay.user.agreement.query", content)
        if isinstance(said, Unclear):
            return said
        if said.get("code") == DONE and said.get("agreement_no") and said.get("status"):
            return Agreement(str(said["agreement_no"]), str(said["status"]))
        unknown = said.get("sub_code") in {"USER_AGREEMENT_NOT_EXIST", "AGREEMENT_NOT_EXIST"}
        return NotKnown() if unknown else Unclear(reason_of(said))

    def unsign(self, agreement_no: str) -> Refused | Unclear | None:
        """End an agreement; None: it is ended."""
        said = self._gate.ask("alipay.user.agreement.unsign", {"agreement_no": agreement_no})
        if isinstance(said, Unclear):
            return said
        if said.get("code") == DONE:
            return None
        definite = str(said.get("sub_code", "")).endswith("AGREEMENT_NOT_EXIST")
        return Refused(reason_of(said)) if definite else Unclear(reason_of(said))

    def close(self) -> None:
        self._gate.close()

    def _pay_url(self, instruction: Instruction) -> Answer:
        """`wap` and `page`: a page for phones, or for desks, that makes the trade when it is opened; `qr`: a code."""
        content = {
            "out_trade_no": _number(instruction.out_no),
            "total_amount": yuan(instruction.amount_fen),
            "subject": instruction.title[:MAX_TITLE_CHARACTERS],
        }
        if instruction.expires_at_ms is not None:
            at = datetime.fromtimestamp(instruction.expires_at_ms / 1000, CALENDAR)
            content["time_expire"] = at.strftime("%Y-%m-%d %H:%M:%S")
        if self._cashier == "qr":
            said = self._gate.ask("alipay.trade.precreate", content)
            return answer_of(said, lambda done: Waiting(str(done["qr_code"]) if done.get("qr_code") else None))
        code = "QUICK_WAP_WAY" if self._cashier == "wap" else "FAST_INSTANT_TRADE_PAY"
        return Waiting(self._gate.address(f"alipay.trade.{self._cashier}.pay", {**content, "product_code": code}))

    def _pay_out(self, instruction: Instruction) -> Answer:
        account = instruction.account_ref or ""
        if not is_user_id(account):
            return Refused(f"{account!r} is no Alipay user id of {USER_ID_DIGITS} digits")
        content = {
            "out_biz_no": _number(instruction.out_no),
            "trans_amount": yuan(instruction.amount_fen),
            "product_code": "TRANS_ACCOUNT_NO_PWD",
            "biz_scene": "DIRECT_TRANSFER",
            "order_title": instruction.title[:MAX_TITLE_CHARACTERS],
            "payee_info": {"identity": account, "identity_type": "ALIPAY_USER_ID"},
        }
        said = self._gate.ask("alipay.fund.trans.uni.transfer", content)
        return answer_of(said, lambda done: transferred({"trans_amount": yuan(instruction.amount_fen), **done}))

    def _bill(self, kind: str, day: date) -> bytes | Unclear | None:
        """A day's bill as a zip; None: there was nothing to put into one."""
        content = {"bill_type": kind, "bill_date": day.isoformat()}
        said = self._gate.ask("alipay.data.dataservice.bill.downloadurl.query", content)
        if isinstance(said, Unclear):
            return said
        if said.get("code") == DONE and said.get("bill_download_url"):
            return self._gate.fetch(str(said["bill_download_url"]))
        made_by = datetime.combine(day + timedelta(days=1), datetime.min.time(), CALENDAR)
        made_by += timedelta(hours=BILLS_ARE_MADE_AT_H)
        if said.get("sub_code") in BILL_IS_MISSING and self._now_ms() >= made_by.timestamp() * 1000:
            return None
        return Unclear(f"no bill of {day} yet: {reason_of(said)}")


def is_user_id(account: str) -> bool:
    """Whether Alipay can pay to it."""
    return account.isascii() and account.isdigit() and len(account) == USER_ID_DIGITS


def _number(out_no: str) -> str:
    return out_no.replace("-", "_")


def client_of(centre: Centre) -> AlipayClient:
    """The client that the centre's settings describe, with the key in its secret file."""
    settings, file = centre.settings, centre.settings.alipay_public_key_file
    assert settings.alipay_app_id is not None and file is not None  # load_settings sees to it
    try:
        app = app_of(
            settings.alipay_app_id, centre.secrets.provider_private_key, file.read_bytes(), settings.alipay_seller_id
        )
    except OSError as error:
        raise ConfigurationError(f"cannot read Alipay's public key {file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"Alipay's public key {file} cannot be read: {error}") from error
    notify_url = settings.base_url.rstrip("/") + NOTICE_PATH
    gate = Gate(settings.alipay_gateway, app, notify_url, centre.now_ms)
    return AlipayClient(gate, settings.alipay_cashier, centre.now_ms)
