"""What an entry of the event log keeps beside its action, in words: amounts in yuan, acts and permissions named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _

from sync_server.admin.action_words import ACTION_WORDS
from sync_server.admin.shown import money
from sync_server.admin.words import PERMISSION_WORDS

# A key that is not here is shown as the log has it.
DETAIL_WORDS = {
    "act": _("动作"),
    "after": _("改为"),
    "amount_fen": _("金额"),
    "approval": _("复核申请"),
    "as": _("了结为"),
    "asked_by": _("申请人"),
    "attempt": _("指令号"),
    "bank": _("银行"),
    "before": _("原为"),
    "beside": _("通道之外另付"),
    "by": _("按"),
    "dist_price_fen": _("经销商结算价"),
    "file_sha256": _("凭证文件"),
    "from": _("自"),
    "kept_fen": _("不退"),
    "kind": _("类别"),
    "liability": _("承担方"),
    "mode": _("方式"),
    "moved_fen": _("实动金额"),
    "needs": _("需要权限"),
    "note": _("备注"),
    "number": _("编号"),
    "paid_on": _("付款日期"),
    "party": _("机构"),
    "phone": _("手机号"),
    "product": _("产品"),
    "reason": _("理由"),
    "refundable": _("可退"),
    "state": _("状态"),
    "tariffs_fen": _("每次入园结算价"),
    "to": _("至"),
    "told": _("告知"),
    "venue": _("景区"),
    "venue_price_fen": _("景区结算价"),
    "version": _("版本"),
    "voucher": _("凭证号"),
}
YES_NO = {True: _("是"), False: _("否")}
NAMED = {"act": ACTION_WORDS, "needs": PERMISSION_WORDS}
OPERATORS = ("asked_by",)
"""Keys whose value is an operator's id."""


def detail_lines(detail: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, str]]:
    """(word, text) of each thing that is there; `names` are operators' by "operator:<id>"."""
    return [
        (str(DETAIL_WORDS.get(key, key)), _text(key, value, names))
        for key, value in detail.items()
        if value is not None
    ]


def _text(key: str, value: Any, names: Mapping[str, str]) -> str:
    if isinstance(value, Mapping):  # of amounts by whose they are, or of things by their own keys
        parts = [(each, key if key.endswith("_fen") else each, one) for each, one in value.items()]
        return ", ".join(f"{DETAIL_WORDS.get(each, each)} {_text(means, one, names)}" for each, means, one in parts)
    if isinstance(value, bool):
        return str(YES_NO[value])
    if key.endswith("_fen") and isinstance(value, int):
        return money(value)
    if key in OPERATORS:
        return names.get(f"operator:{value}", str(value))
    if key in NAMED:
        return str(NAMED[key].get(value, value))  # type: ignore[attr-defined]  # of two kinds of keys
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
