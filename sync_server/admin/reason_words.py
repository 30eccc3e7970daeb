"""The short word of each reason for which a gate lets nobody in, as operators read it in lists."""

from __future__ import annotations

from flask_babel import lazy_gettext as _

from wire.reasons import Reason

REASON_WORDS = {
    Reason.NOT_OURS: _("不是入园码"),
    Reason.MALFORMED: _("码不完整"),
    Reason.NEEDS_UPDATE: _("码比闸机新"),
    Reason.WRONG_PURPOSE: _("不是入园用的码"),
    Reason.UNKNOWN_KEY: _("密钥不认识"),
    Reason.WRONG_VENUE: _("不含本景区"),
    Reason.UNKNOWN_PRODUCT: _("产品不认识"),
    Reason.EXPIRED: _("已过期"),
    Reason.NOT_YET_ACTIVE: _("尚未启用"),
    Reason.FORGED: _("签名不对"),
    Reason.NOT_IN_LIST: _("不在名单"),
    Reason.REPLACED: _("旧码旧卡"),
    Reason.REVOKED: _("票已失效"),
    Reason.SUSPENDED: _("票已冻结"),
    Reason.NOT_BOUND: _("未填游客"),
    Reason.NEEDS_ROTATING_CODE: _("截图不能用"),
    Reason.NEEDS_FULL_CODE: _("需要大码"),
    Reason.CODE_TOO_OLD: _("码已过时"),
    Reason.CODE_REUSED: _("码刚用过"),
    Reason.CLOCK_UNKNOWN: _("闸机时间不明"),
    Reason.NEEDS_NETWORK: _("需要联网"),
    Reason.CARD_UNKNOWN: _("卡未绑定"),
    Reason.CARD_UNAUTHENTICATED: _("卡未认证"),
    Reason.NEEDS_CARD: _("须刷卡"),
    Reason.VENUE_CLOSED: _("景区未开放"),
    Reason.BLACKOUT: _("今日不可用"),
    Reason.WRONG_TIME_SLOT: _("不在时段内"),
    Reason.USED_UP: _("次数已用完"),
    Reason.ALREADY_INSIDE: _("已在园内"),
    Reason.TOO_SOON: _("刚刚入过园"),
    Reason.OFFLINE_LIMIT: _("断网限额已满"),
    Reason.OTHER_LANE: _("请走别的通道"),
    Reason.LANE_CLOSED: _("通道关闭"),
    Reason.CANNOT_RECORD: _("无法记录"),
    Reason.FAULT: _("闸机故障"),
}
