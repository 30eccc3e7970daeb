"""The payment providers 支付通道, and on which clearing account the money that each one holds for us is booked."""

from __future__ import annotations

from sync_server.ledger.accounts import Account

VISITORS = "ALIPAY"
"""Where visitors pay at the cashier; every party has its own provider."""
CLEARING = {"ALIPAY": Account("1010"), "HUIJINBAO": Account("1020"), "OFFLINE": Account("1030")}
