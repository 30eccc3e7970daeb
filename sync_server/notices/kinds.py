"""What the centre tells people by short message, as data: the words, the variables, and who is told unless changed.

A message is a template that the gateway knows by a code, and named variables: nobody writes free text. The texts here
are what is to be registered there, and what the outbox sender keeps.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

MINUTE_MS = 60_000
QUIET_MS = 30 * MINUTE_MS
"""For so long nobody is told the same again; what was held back is counted in a summary."""
USELESS_AFTER_MS = 24 * 60 * MINUTE_MS
"""A message that could not be sent for so long is not sent any more."""
MAX_VALUE = 35
"""Characters of one variable: what the gateway takes."""


class To(StrEnum):
    """Who is told."""

    ROLES = "roles"  # operators of the platform in certain roles
    PARTY = "party"  # the contact of the party that it is about
    BUYER = "buyer"  # the phone number of the order that it is about
    PHONE = "phone"  # the number that is named with it


class Kind(NamedTuple):
    """`text` names its variables as ${name}; `roles` are told unless the settings of the kind say others."""

    zh: str
    en: str
    to: To
    text: str
    roles: tuple[str, ...] = ()
    quiet_ms: int = QUIET_MS
    useless_after_ms: int = USELESS_AFTER_MS
    secret: bool = False  # what it says is nobody's but the recipient's

    @property
    def variables(self) -> tuple[str, ...]:
        """Their names, in the order of the text."""
        return tuple(_VARIABLE.findall(self.text))

    def rendered(self, variables: Mapping[str, str]) -> str:
        """The text with its values; one value is never read as the name of another."""
        return _VARIABLE.sub(lambda found: variables[found.group(1)], self.text)


KINDS: Mapping[str, Kind] = {
    "insufficient_balance": Kind(
        "余额不足",
        "insufficient balance",
        To.PARTY,
        "订单${order}应扣${amount}元，账户余额不足，未能出票。请在${hours}小时内充值并申请出票。",
    ),
    "charge_lacks": Kind(
        "扣款余额不足",
        "a charge lacks money",
        To.PARTY,
        "${purpose}应扣${amount}元，贵单位在${provider}的账户余额不足。请充值。",
    ),
    "platform_balance": Kind(
        "平台余额不足",
        "insufficient balance of the platform",
        To.ROLES,
        "${purpose}${amount}元未能执行：平台在${provider}的账户余额不足。请${advice}后继续办理。",
        ("platform_admin",),
    ),
    "payout_failed": Kind(
        "结算失败",
        "payout failed",
        To.ROLES,
        "向${payee}打款${amount}元失败：${reason}。系统将继续重试。",
        ("finance",),
    ),
    "refund_failed": Kind(
        "退款失败",
        "refund failed",
        To.ROLES,
        "退款${amount}元失败：${reason}。系统将继续重试。",
        ("finance",),
    ),
    "transfer_late": Kind(
        "资金超时未到账",
        "money still not through",
        To.ROLES,
        "${purpose}${amount}元已${hours}小时未完成：${reason}。请人工处理。",
        ("finance", "platform_admin"),
    ),
    "transfer_odd": Kind(
        "资金结果异常",
        "a transfer went another way than it was told",
        To.ROLES,
        "${purpose}${amount}元：${said}。请核对。",
        ("finance",),
    ),
    "recon_case": Kind(
        "对账差异",
        "difference from a provider's statement",
        To.ROLES,
        "对账发现差异“${difference}”：${provider}，${amount}元。请登录系统处理。",
        ("finance",),
    ),
    "no_statement": Kind(
        "对账单缺失",
        "a provider's statement that is lacking",
        To.ROLES,
        "${provider}${day}的对账单未能取得或无法导入：${reason}。请检查通道设置，或下载后导入。",
        ("finance", "platform_admin"),
    ),
    "setback": Kind(
        "任务反复失败",
        "work that fails again and again",
        To.ROLES,
        "后台任务${step}有一项已${hours}小时未能完成（${error}），请查看并处理。",
        ("finance", "platform_admin"),
    ),
    "gate_offline": Kind(
        "闸机离线",
        "gate off-line",
        To.ROLES,
        "${venue}的闸机${gate}已${minutes}分钟无应答，请检查。",
        ("operations",),
    ),
    "low_stock": Kind(
        "库存不足",
        "low stock",
        To.ROLES,
        "${product}库存仅剩${left}张，请及时补充。",
        ("operations",),
    ),
    "account_changed": Kind(
        "收款账户变更",
        "settlement account changed",
        To.PARTY,
        "贵单位收款账户将于${hours}小时后变更为${account}。如非本单位申请，请立即联系平台。",
        quiet_ms=0,
    ),
    "contact_changed": Kind(
        "联系人变更",
        "contact changed",
        To.PHONE,
        "贵单位在平台的联系电话已由本号码变更为${phone}。如非本单位申请，请立即联系平台。",
        quiet_ms=0,
    ),
    "not_issued": Kind(
        "出票失败",
        "an order that could not be issued",
        To.PARTY,
        "订单${order}未能出票，已付的${amount}元将全额退回。",
        quiet_ms=0,
    ),
    "issued": Kind("出票成功", "issued", To.BUYER, "您购买的${product}已出票，订单号${order}。", quiet_ms=0),
    "refunded": Kind("退款成功", "refunded", To.BUYER, "订单${order}的退款${amount}元已退回原支付账户。", quiet_ms=0),
    "sign_in_code": Kind(
        "验证码",
        "sign-in code",
        To.PHONE,
        "验证码${code}，${minutes}分钟内有效，请勿告知他人。",
        quiet_ms=0,
        useless_after_ms=5 * MINUTE_MS,
        secret=True,
    ),
    "summary": Kind(
        "汇总", "summary", To.PHONE, "近期另有${count}条“${about}”通知未逐条发送，请登录系统查看。", quiet_ms=0
    ),
}

_VARIABLE = re.compile(r"\$\{([a-z_]+)\}")
_SYNTAX = str.maketrans("", "", "${}【】")  # a template's own signs, and the brackets of the sender's signature


def tidy_values(kind: str, variables: Mapping[str, object]) -> dict[str, str]:
    """The variables as a gateway takes them: exactly those of the template, each on one line, short and without signs.

    ValueError where a name is missing or one too many: that is a mistake of the caller.
    """
    wanted = KINDS[kind].variables
    if set(variables) != set(wanted):
        raise ValueError(f"a message {kind!r} has the variables {', '.join(wanted)}, not {', '.join(variables)}")
    return {name: _tidy(str(variables[name])) for name in wanted}


def _tidy(value: str) -> str:
    printable = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in value[: MAX_VALUE * 20])
    text = " ".join(printable.translate(_SYNTAX).split())
    if not text:
        return "-"  # a gateway refuses an empty one
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
