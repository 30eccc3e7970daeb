"""The words of states and permissions: word, colour and icon of every chip (look/admin/guide.md §8), in one table."""

from __future__ import annotations

from typing import NamedTuple

from flask_babel import lazy_gettext as _

from sync_server.people.permissions import Permission
from wire.messages import Presentation


class Chip(NamedTuple):
    """`word` is translated when shown; `tone` is a class of parts.css, `icon` a symbol of icons.svg."""

    word: str
    tone: str
    icon: str


# Families of states, as the tables of the centre name them. Sources: money.md §2.2 to §2.6, wire.md §6.
CHIPS: dict[str, dict[str, Chip]] = {
    "PASS": {  # annual-pass order, money.md §2.5
        "PENDING_PAYMENT": Chip(_("待支付"), "warn", "clock"),
        "PAY_FAILED": Chip(_("支付失败"), "no", "x"),
        "CANCELLED": Chip(_("已取消"), "idle", "ban"),
        "TIMED_OUT": Chip(_("超时取消"), "idle", "clockx"),
        "ISSUING": Chip(_("出票中"), "info", "run"),
        "ISSUED": Chip(_("出票成功"), "ok", "check"),
        "ISSUE_FAILED": Chip(_("出票失败"), "no", "xc"),
        "REFUNDING": Chip(_("退款中"), "info", "run"),
        "REFUNDED": Chip(_("退款成功"), "idle", "undo"),
        "REFUND_FAILED": Chip(_("退款失败"), "no", "xc"),
    },
    "TICKET": {  # order, money.md §2.4
        "PENDING_PAYMENT": Chip(_("等待支付"), "warn", "clock"),
        "PAID": Chip(_("支付成功"), "info", "checkc"),
        "ISSUE_FAILED": Chip(_("出票失败"), "no", "xc"),
        "ISSUED": Chip(_("出票成功"), "ok", "check"),
        "COMPLETED": Chip(_("交易成功"), "ok", "checkc"),
        "CLOSED_UNPAID": Chip(_("交易关闭1"), "idle", "ban"),
        "CLOSED_REFUNDED": Chip(_("交易关闭2"), "idle", "undo"),
    },
    "pass": {  # money.md §2.6
        "WAITING": Chip(_("待生效"), "warn", "hour"),
        "ACTIVE": Chip(_("使用中"), "live", "check"),
        "EXPIRED": Chip(_("已过期"), "idle", "cal"),
        "SUSPENDED": Chip(_("已冻结"), "no", "snow"),
        "REFUNDING": Chip(_("退票中"), "info", "run"),
        "REFUNDED": Chip(_("已退票"), "idle", "undo"),
        "REVOKED": Chip(_("已作废"), "idle", "ban"),
        "NOT_BOUND": Chip(_("待激活"), "warn", "user"),
    },
    "usage": {  # money.md §2.3
        "INACTIVE": Chip(_("待激活"), "warn", "user"),
        "READY": Chip(_("待游玩"), "live", "ticket"),
        "USED": Chip(_("已游玩"), "ok", "check"),
        "EXPIRED": Chip(_("已失效"), "idle", "cal"),
        "CANCELLED": Chip(_("已取消"), "idle", "ban"),
    },
    "money": {  # money.md §2.3
        "HELD": Chip(_("待处理"), "idle", "hour"),
        "DUE": Chip(_("待结算"), "warn", "coins"),
        "SETTLING": Chip(_("结算中"), "info", "run"),
        "SETTLE_FAILED": Chip(_("结算失败"), "no", "xc"),
        "SETTLED": Chip(_("已结算"), "ok", "checkc"),
        "REFUND_DUE": Chip(_("待退款"), "warn", "undo"),
        "REFUNDING": Chip(_("退款中"), "info", "run"),
        "REFUND_FAILED": Chip(_("退款失败"), "no", "xc"),
        "REFUNDED": Chip(_("已退款"), "idle", "undo"),
        "FORFEIT": Chip(_("逾期不退"), "idle", "coins"),
    },
    "mark": {  # money.md §2.3: in place of the money
        "hold": Chip(_("退款待处理"), "warn", "undo"),
        "clawback": Chip(_("游玩后退款"), "idle", "undo"),
    },
    "refund": {  # 退款状态, as settlement.item_states.refund_status says it; beside these "已退 1/2"
        "退款待处理": Chip(_("退款待处理"), "warn", "undo"),
        "退款中": Chip(_("退款中"), "info", "run"),
        "部分退款成功": Chip(_("部分退款成功"), "idle", "undo"),
        "退款成功": Chip(_("退款成功"), "idle", "undo"),
    },
    "payout": {  # money.md §2.4
        "OPEN": Chip(_("收集中"), "idle", "clock"),
        "SEALED": Chip(_("已封账"), "info", "lock"),
        "PAID": Chip(_("已打款"), "ok", "checkc"),
        "FAILED": Chip(_("打款失败"), "no", "xc"),
        "REPLACED": Chip(_("已改付"), "idle", "xc"),
    },
    "transfer": {  # money.md §2.2
        "CREATED": Chip(_("待执行"), "idle", "clock"),
        "SENT": Chip(_("执行中"), "info", "run"),
        "UNKNOWN": Chip(_("待确认"), "open", "ask"),
        "SUCCEEDED": Chip(_("成功"), "ok", "check"),
        "DEFINITE_FAIL": Chip(_("失败待重试"), "no", "x"),
        "INSUFFICIENT": Chip(_("余额不足"), "no", "wallet"),
        "VOID": Chip(_("已撤销"), "idle", "ban"),
    },
    "redemption": {  # wire.md §6
        "REFUSED": Chip(_("未放行"), "idle", "ban"),
        "NOT_ENTERED": Chip(_("未入园"), "idle", "hour"),
        "CLAIMED": Chip(_("已核销"), "ok", "check"),
        "PASS_VISIT": Chip(_("年票入园"), "ok", "ticket"),
        "REPEAT": Chip(_("重复上报"), "idle", "copy"),
        "RETURNED": Chip(_("已归还"), "idle", "undo"),
        "CONFLICT": Chip(_("冲突"), "no", "scale"),
        "LATE": Chip(_("迟到"), "warn", "clockx"),
        "UNPROVEN": Chip(_("待举证"), "warn", "ask"),
        "UNKNOWN_PASS": Chip(_("未知票"), "warn", "ticket"),
        "IMPLAUSIBLE": Chip(_("时间存疑"), "warn", "clock"),
    },
    "gate": {
        "online": Chip(_("在线"), "ok", "check"),
        "offline": Chip(_("断网放行"), "warn", "cloudoff"),
        "frozen": Chip(_("暂停结算"), "no", "snow"),
        "pending": Chip(_("待比对"), "open", "ask"),
        "waiting": Chip(_("未连上"), "idle", "hour"),
        "closed": Chip(_("闭园"), "idle", "moon"),
        "revoked": Chip(_("已吊销"), "idle", "ban"),
    },
    "operator": {
        "ACTIVE": Chip(_("可登录"), "ok", "check"),
        "DISABLED": Chip(_("已停用"), "idle", "ban"),
    },
    "sale": {
        "DRAFT": Chip(_("草稿"), "idle", "edit"),
        "IN_REVIEW": Chip(_("待审核"), "open", "hour"),
        "ON_SALE": Chip(_("已上架"), "ok", "check"),
        "OFF_SALE": Chip(_("已下架"), "idle", "minus"),
    },
    "opening": {  # a venue now, and on a day
        "open": Chip(_("开放中"), "ok", "door2"),
        "shut": Chip(_("闭园"), "idle", "moon"),
        "closed": Chip(_("临时闭园"), "no", "ban"),
    },
    "stock": {
        "selling": Chip(_("在售"), "ok", "check"),
        "sold_out": Chip(_("售罄"), "idle", "box"),
    },
}
CHIPS["attempt"] = CHIPS[
    "transfer"
] | {  # an attempt walks its transfer's states; these moved beside them, or were undone
    "EXTRA": Chip(_("另有动账"), "no", "copy"),
    "RETURNED": Chip(_("动账已了结"), "idle", "undo"),
    "REVERSED": Chip(_("已冲回"), "idle", "undo"),
}

# How a pass was shown at a gate (wire.messages.Presentation).
PRESENTATION_WORDS = {
    Presentation.NONE: "–",
    Presentation.STATIC: _("固定码"),
    Presentation.SHORT: _("动态码"),
    Presentation.FULL: _("动态大码"),
    Presentation.CARD: _("刷卡"),
    Presentation.COUNTER: _("人工"),
    Presentation.ELECTRONIC_CARD: _("电子社保卡"),
}

PRODUCT_KINDS = {"PASS": _("年票"), "SINGLE": _("单票"), "COMBO": _("联票")}

# What happened to an order, as its history names it (orders.history).
ORDER_EVENT_WORDS = {
    "placed": _("下单"),
    "pay": _("发起付款"),
    "paid": _("付款到账"),
    "held": _("余额不足，等充值"),
    "resumed": _("充值后继续"),
    "applied": _("申请出票"),
    "application_refused": _("出票申请被拒"),
    "issued": _("出票"),
    "finished": _("全部结束"),
    "forfeited": _("全部过期"),
    "refunded": _("退款到账"),
    "cancel_asked": _("申请取消"),
    "cancelled": _("取消"),
    "timed_out": _("超时未付，关闭"),
    "paid_late": _("关闭后到账，全额退回"),
    "pay_failed": _("付款失败"),
    "issue_failed": _("出票失败"),
    "refund_asked": _("申请退款"),
    "refund": _("退款"),
    "refund_failed": _("退款失败"),
    "refund_undone": _("退款被退回"),
    "unissued_refund_undone": _("退款被退回"),
}

PAYOUT_TABS = {"todo": _("要处理"), "running": _("进行中"), "paid": _("已打款"), "all": _("全部")}

# What a transfer is for (payments.tables.TRANSFER_KINDS).
TRANSFER_KIND_WORDS = {
    "CHARGE": _("扣款"),
    "COLLECT": _("收款"),
    "TOP_UP": _("充值"),
    "FUND_BUY": _("理财买入"),
    "FUND_SELL": _("理财取出"),
    "FUND_CLOSE": _("理财清算"),
    "SWEEP_IN": _("调拨到账"),
    "SWEEP_OUT": _("调拨转出"),
    "PAYOUT": _("打款"),
    "REFUND": _("退款"),
}

PROVIDER_WORDS = {"ALIPAY": _("支付宝"), "HUIJINBAO": _("汇金宝")}

# What a line of a payout is for, where it is not a ticket's own visit.
PAYOUT_LINES = {
    "HONOUR": _("认可付款"),
    "VISIT": _("年票入园"),
    "POOL": _("年票分成"),
    "OVERPAID": _("多还的欠款，退回"),
    "CLAWBACK": _("游玩后退款，抵扣"),
}

# Why somebody looks at a holder's full data: what the log keeps -> the reason, and what it asks of the note.
REVEAL_REASONS = {
    "caller": (_("核对来电或到场的本人"), _("已确认对方说出姓名与出生日期")),
    "dispute": (_("协助景区处理入园纠纷"), _("请在备注写明景区与时间")),
}

# 渠道, in the order of features.md A4, with the counter (orders.commands) before 其他.
DISCOUNT_WORDS = {
    "RESIDENT": _("本地居民"),
    "SENIOR": _("长者"),
    "LISTED": _("名单优惠"),
    "PROMOTION": _("限时优惠"),
}

PERMISSION_WORDS = {
    Permission.ORDERS_VIEW: _("查看订单"),
    Permission.STOCK_VIEW: _("查看库存"),
    Permission.STOCK_EDIT: _("编辑年票库存"),
    Permission.PRODUCTS_VIEW: _("查看产品"),
    Permission.PRODUCTS_SELL: _("上架与下架产品"),
    Permission.PRODUCTS_PUBLISH: _("发布本景区单票"),
    Permission.PRODUCTS_COMPOSE: _("编排联票与年票"),
    Permission.PRODUCTS_REVIEW: _("审核产品"),
    Permission.PRICES_AGREE: _("同意景区结算价"),
    Permission.PROFIT_SHARE: _("分配联票利润"),
    Permission.RULES_EDIT: _("编辑入园规则"),
    Permission.CALENDARS_VIEW: _("查看日历"),
    Permission.CALENDARS_EDIT: _("编辑日历与临时闭园"),
    Permission.PASSES_VIEW: _("查看出票记录"),
    Permission.PASSES_REVEAL: _("查看完整个人信息"),
    Permission.ENTRIES_VIEW: _("查看入园记录"),
    Permission.GATES_VIEW: _("查看闸机"),
    Permission.GATES_ENROL: _("登记闸机"),
    Permission.GATES_REVOKE: _("吊销闸机"),
    Permission.JOURNALS_RETIRE: _("不再等候闸机记录"),
    Permission.JOURNALS_UNFREEZE: _("解冻闸机记录"),
    Permission.SETTLEMENT_VIEW: _("查看结算"),
    Permission.RECON_WORK: _("处理对账差异"),
    Permission.RECON_WRITE_OFF: _("核销对账差异"),
    Permission.STATEMENTS_MAKE: _("生成财务报表"),
    Permission.MONEY_RESUME: _("恢复受阻的款项"),
    Permission.TRANSFERS_ABANDON: _("撤销付不出的款"),
    Permission.MONEY_SWEEP: _("划转平台自有资金"),
    Permission.ACCOUNTS_CHANGE: _("变更收款账户"),
    Permission.TRANSFERS_REMIT: _("登记手动汇款"),
    Permission.TOP_UPS_RECORD: _("登记充值"),
    Permission.FUNDING_SET: _("设置付款方式"),
    Permission.APPLICATIONS_DECIDE: _("处理人工出票申请"),
    Permission.PAYOUTS_MANAGE: _("管理打款"),
    Permission.VISITS_REFUND: _("游玩后退款"),
    Permission.ENTRIES_HONOUR: _("认可付款的入园记录"),
    Permission.ORDERS_REFUND: _("退款"),
    Permission.LEDGER_VIEW: _("查看记账分录"),
    Permission.USERS_MANAGE: _("管理用户"),
    Permission.AUDIT_VIEW: _("查看审计日志"),
}


def choices(family: str) -> list[tuple[str, str]]:
    """The states of a family with their words, for a filter."""
    return [(state, chip.word) for state, chip in CHIPS[family].items()]
