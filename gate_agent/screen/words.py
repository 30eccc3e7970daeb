"""Every sentence a visitor can read at the gate, in Chinese and English. No other sentence is ever shown to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from gate_agent.faces import Enrolling, Limit, State, Verdict
from wire.reasons import Reason

BREAK = "¦"
"""The only place where the large text may break."""
LONGEST = 14
LONGEST_LINE = 8


@dataclass(frozen=True, slots=True)
class Sentence:
    """The large text and its fact line. `{…}` is filled in from the face's facts; an unknown one empties its line."""

    zh: str
    en: str
    fact_zh: str = ""
    fact_en: str = ""


_LATEST_USE = ("今日 {at} · {lane}号通道", "Today {at} · Lane {lane}")

_VISITOR: dict[Verdict, Sentence] = {
    Reason.NOT_OURS: Sentence(
        "这不是入园码¦请打开年票码",
        "Not an entry code. Open your pass code.",
        "在“我的年票”里点开年票码",
        "Open it under My passes",
    ),
    Reason.MALFORMED: Sentence(
        "没有读清¦请正对扫码口再试",
        "Could not read it. Hold it flat and try again.",
        "调亮屏幕，离扫码口约一掌远",
        "Brighten, a hand away",
    ),
    Reason.NEEDS_UPDATE: Sentence("请工作人员协助", "Please wait for our staff"),
    Reason.WRONG_PURPOSE: Sentence(
        "这不是入园码¦请打开年票码",
        "Not an entry code. Open your pass code.",
        "在“我的年票”里点开年票码",
        "Open it under My passes",
    ),
    Reason.UNKNOWN_KEY: Sentence("请工作人员协助", "Please wait for our staff"),
    Reason.WRONG_VENUE: Sentence(
        "此票不含本景区",
        "This pass does not include this venue",
        "适用景区见“我的年票”",
        "See My passes for the venues",
    ),
    Reason.UNKNOWN_PRODUCT: Sentence("请工作人员协助", "Please wait for our staff"),
    Reason.EXPIRED: Sentence("此票已过期", "This pass has expired", "有效期至 {until}", "Valid until {until}"),
    Reason.NOT_YET_ACTIVE: Sentence(
        "此票尚未启用", "Your pass is not active yet", "将于 {from} 起可用", "Usable from {from}"
    ),
    Reason.FORGED: Sentence("请工作人员协助", "Please wait for our staff"),
    Reason.NOT_IN_LIST: Sentence("请工作人员协助", "Please wait for our staff"),
    Reason.REPLACED: Sentence(
        "此码已换新¦请打开新年票码",
        "This code was replaced. Open the new one.",
        "旧码、旧卡已停用",
        "Old code or card is void",
    ),
    Reason.REVOKED: Sentence("此票已失效¦请到服务台", "No longer valid. Please go to the service desk."),
    Reason.SUSPENDED: Sentence("此票已暂停使用¦请到服务台", "On hold. Please go to the service desk."),
    Reason.NOT_BOUND: Sentence("此票还没填游客¦请到服务台", "No visitor named yet. Please go to the service desk."),
    Reason.NEEDS_ROTATING_CODE: Sentence(
        "截图不能入园¦请打开年票码",
        "Screenshots do not work. Open the live code.",
        "“我的年票”里的码会自动更新",
        "It renews under My passes",
    ),
    Reason.NEEDS_FULL_CODE: Sentence(
        "请点“大码”¦再扫一次", "Tap “Large code”, then scan again", "按钮在年票码下方", "The button is below the code"
    ),
    Reason.CODE_TOO_OLD: Sentence(
        "码已过时¦请刷新年票码", "Code too old. Please refresh it.", "打开“我的年票”，等新码出现", "Open My passes"
    ),
    Reason.CODE_REUSED: Sentence(
        "此码刚用过¦请等新码再试",
        "Code already used. Wait for the next one.",
        "每 15 秒换一个新码",
        "A new code every 15 s",
    ),
    Reason.CLOCK_UNKNOWN: Sentence("请工作人员协助", "Please wait for our staff"),
    Reason.NEEDS_NETWORK: Sentence(
        "请出示年票码¦或刷实体社保卡",
        "Network down. Show your pass code or tap the physical card.",
        "网络中断，电子社保卡暂时不能用",
        "Network down",
    ),
    Reason.CARD_UNKNOWN: Sentence(
        "此卡未开通年票¦请出示年票码",
        "No pass on this card. Show your pass code.",
        "首次刷卡请先到服务台绑定",
        "Bind the card at the desk",
    ),
    Reason.CARD_UNAUTHENTICATED: Sentence("请稍候¦工作人员来核对", "One moment. Staff will check your card."),
    Reason.NEEDS_CARD: Sentence(
        "此票请刷社保卡", "Please tap your social security card", "年票码不能单独使用", "The code alone will not do"
    ),
    Reason.VENUE_CLOSED: Sentence(
        "景区现在未开放", "The venue is closed now", "今日开放 {hours}", "Open today {hours}"
    ),
    Reason.BLACKOUT: Sentence("此票今日不可用", "Not usable on this date", "{range} 不可用", "Not usable {range}"),
    Reason.WRONG_TIME_SLOT: Sentence(
        "未在可入园时段", "Outside this pass's hours", "可入园时段 {slot}", "Entry {slot}"
    ),
    Reason.USED_UP: Sentence("今日已入园", "Already used today", *_LATEST_USE),
    Reason.ALREADY_INSIDE: Sentence(
        "此票已在园内", "This pass is already inside", "{at} · {lane}号通道入园", "{at} · Lane {lane}"
    ),
    Reason.TOO_SOON: Sentence(
        "刚刚入过园¦请稍后再来", "Just used. Please come back later.", "{next} 后可再次入园", "Again from {next}"
    ),
    Reason.OFFLINE_LIMIT: Sentence("请工作人员协助", "Please wait for our staff"),
    Reason.OTHER_LANE: Sentence("请走{to}号通道", "Please use lane {to}"),
    Reason.LANE_CLOSED: Sentence("本通道关闭¦请走{to}号通道", "Lane closed. Please use lane {to}."),
    Reason.CANNOT_RECORD: Sentence("本机暂停验票¦请走{to}号通道", "Not checking passes. Please use lane {to}."),
    Reason.FAULT: Sentence("本通道故障¦请走{to}号通道", "Out of order. Please use lane {to}."),
    State.IDLE: Sentence(
        "请出示年票码¦或刷社保卡", "Show your pass code or tap your card", "一人一票，依次通过", "One person, one pass"
    ),
    State.READING: Sentence("正在核验", "Checking …", "请把手机停在原处", "Hold still"),
    State.ADMITTED: Sentence(
        "请入园", "Please enter", "今日第{n}次 · 有效期至 {until}", "Entry {n} today · valid until {until}"
    ),
    State.ADMITTED_GROUP: Sentence("团体请入园", "Group, please enter", "第 {k} 位 / 共 {n} 位", "{k} of {n}"),
    State.REOPENED: Sentence("请再次通过", "Please go through", "只计一次", "Counted once"),
    State.HELD_OPEN: Sentence("通道常开¦请直接入园", "Gate open. Walk through."),
    State.EXIT: Sentence("请慢走", "Goodbye"),
    State.NOT_PASSED: Sentence(
        "未通过闸机¦请重新出示", "Not passed. Please show it again.", "次数没有扣", "Nothing was deducted"
    ),
    State.ONE_AT_A_TIME: Sentence("请退后一步¦一人一票", "Step back please. One pass per person."),
    State.CHECK_ONLY: Sentence("工作人员查询中", "Staff are checking a pass", "本次不开闸", "The gate stays shut"),
    State.FIRE: Sentence(
        "闸门已全开¦请有序离开", "Gates are open. Please leave calmly.", "跟随出口标志", "Follow the exit signs"
    ),
    State.STARTING: Sentence("正在启动¦请走{to}号通道", "Starting. Please use lane {to}."),
}
VISITOR: Mapping[Verdict, Sentence] = MappingProxyType(_VISITOR)

LOST_CARD = Sentence("此卡已挂失¦请到服务台", "Reported lost. Please go to the service desk.")
"""A suspended pass whose card was reported lost; said of the card alone, never of a code."""

FROZEN = Sentence(
    "画面已停止¦请看闸机指示灯", "Screen stopped. Follow the gate light.", "或找工作人员", "or ask our staff"
)

USED_UP: Mapping[Limit, Sentence] = MappingProxyType(
    {
        Limit.ONCE_A_DAY: VISITOR[Reason.USED_UP],
        Limit.DAY: Sentence("今日次数已用完", "No entries left today", *_LATEST_USE),
        Limit.MONTH: Sentence("本月次数已用完", "No entries left this month", *_LATEST_USE),
        Limit.YEAR: Sentence("本年次数已用完", "No entries left this year", *_LATEST_USE),
        Limit.TOTAL: Sentence("次数已用完", "All entries used", *_LATEST_USE),
    }
)

ENROLLING: Mapping[Enrolling, Sentence] = MappingProxyType(
    {
        Enrolling.SHOW: Sentence(
            "请出示登记码",
            "Show the enrolment code",
            "中心“登记闸机”页面上的二维码",
            "The centre's QR code",
        ),
        Enrolling.ASKING: Sentence("正在登记", "Enrolling", "请稍候", "One moment"),
        Enrolling.COMPARE: Sentence(
            "请核对六位码",
            "Compare the characters",
            "与中心页面上的一致才批准",
            "Approve if they are alike",
        ),
        Enrolling.FAILED: Sentence("登记没有成功", "Not enrolled", "请重新生成登记码再试", "Try a new code"),
    }
)
"""What the lanes of a box say that is on its way to being a gate; read by whoever enrols it."""
ON_TRIAL = Sentence("本通道调试中¦请走{to}号通道", "Lane being tested. Please use lane {to}.")
"""Also beside a code, which is for whoever commissions the lane alone."""
NO_OTHER_LANE = Sentence("请工作人员协助", "Please wait for our staff")
"""Stands in for "please use lane {to}" when no other lane is open."""
ASK_STAFF = Sentence("有疑问请找工作人员", "Questions? Please ask our staff")
WAIT_HERE = Sentence("请在原处稍候，马上就来", "Please wait here")
NOT_DEDUCTED = Sentence("次数没有扣", "Nothing was deducted")
ONE_SECOND = Sentence("最长 1 秒", "Up to one second")

ENTRY_TODAY = Sentence("今日第{n}次", "Entry {n} today")
ENTRY_TODAY_UNTIL = Sentence("今日第{n}次 · 有效期至 {until}", "Entry {n} today · valid until {until}")
LEFT_HERE = Sentence("本景区还可入园 {left} 次", "{left} entries left here")
VENUES_LEFT = Sentence("还可游 {left} 个景区", "{left} venues left")
LAST_USE = Sentence("本次用完，祝您游园愉快", "Last entry used. Enjoy your visit.")
DAYS_LEFT = Sentence("还有 {days} 天到期 · {until}", "{days} days left · {until}")

_AT_EXIT = {"入园": "出园", "entry code": "exit code", "please enter": "please leave"}

_GAP = re.compile(r"\{(\w+)\}")
_ASIDE = re.compile(r"（[^（）]*）| \([^()]*\)")


def at_exit(sentence: Sentence) -> Sentence:
    """The sentence as an exit lane says it (reasons.md, Variants)."""
    zh, en = sentence.zh, sentence.en
    for at_entry, leaving in _AT_EXIT.items():
        zh, en = zh.replace(at_entry, leaving), en.replace(at_entry, leaving)
    return replace(sentence, zh=zh, en=en)


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its `{…}` filled. An unknown value takes its bracketed aside along, or else the whole text."""

    def known(text: str) -> bool:
        return all(values.get(name) for name in _GAP.findall(text))

    kept = _ASIDE.sub(lambda aside: aside[0] if known(aside[0]) else "", template)
    return _GAP.sub(lambda gap: values[gap[1]], kept) if known(kept) else ""
