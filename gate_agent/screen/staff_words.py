"""What the staff's face says of a scan: what happened, and what to tell the visitor; zh and en."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gate_agent.faces import Limit
from wire.entitlement import StopCause
from wire.reasons import Reason


@dataclass(frozen=True, slots=True)
class Telling:
    """What happened, and the sentence to be read aloud as it stands. `{…}` as in words.fill."""

    what_zh: str
    say_zh: str
    what_en: str
    say_en: str


STAFF: Mapping[Reason, Telling] = MappingProxyType(
    {
        Reason.NOT_OURS: Telling(
            "扫到的不是本系统的码（付款码、名片码或其他景区的票）。",
            "请打开“我的年票”，把年票码对准扫码口。",
            "Not one of our codes (payment, contact or another site's ticket).",
            "Please open My passes and show the pass code.",
        ),
        Reason.MALFORMED: Telling(
            "码不完整：反光、贴膜、屏幕太暗或打印模糊。",
            "请把屏幕调亮、放平，离远一点再扫一次。",
            "Code incomplete: glare, film, dim screen or poor print.",
            "Please brighten the screen, hold it flat and a little further away.",
        ),
        Reason.NEEDS_UPDATE: Telling(
            "码的格式比本机新，本机需要更新。",
            "您的票没有问题，我帮您查一下。",
            "The code's format is newer than this gate; the gate needs an update.",
            "Your pass is fine, let me look it up.",
        ),
        Reason.WRONG_PURPOSE: Telling(
            "是本系统的码，但不是入园用的（订单码、登记码）。",
            "请打开“我的年票”，点开年票码。",
            "Our code, but not for entry (order or enrolment code).",
            "Please open My passes and tap the pass code.",
        ),
        Reason.UNKNOWN_KEY: Telling(
            "签发此码的密钥本机不认识：本机久未联网，或码不是真的。",
            "请稍等，我用票号帮您查。",
            "Signed by a key this gate does not know: long off-line, or not genuine.",
            "One moment, I will look it up by ticket number.",
        ),
        Reason.WRONG_VENUE: Telling(
            "票是真的，但不包含本景区。",
            "这张票不含我们景区，可在“我的年票”看适用景区，也可现场购票。",
            "Genuine, but not valid for this venue.",
            "This pass does not cover us; My passes lists the venues, or buy a ticket here.",
        ),
        Reason.UNKNOWN_PRODUCT: Telling(
            "本机名单里还没有这种产品。",
            "请稍等，我用票号帮您查。",
            "This product is not in the gate's list yet.",
            "One moment, I will look it up by ticket number.",
        ),
        Reason.EXPIRED: Telling(
            "已过有效期。",
            "您的票 {until} 到期了，可在手机上重新办理。",
            "Past its last day.",
            "Your pass ended on {until}; you can buy a new one on your phone.",
        ),
        Reason.NOT_YET_ACTIVE: Telling(
            "还没到启用时间（购买后 24 小时启用）。",
            "您的票 {from} 起可用，到时直接来就行。",
            "Before its activation time (24 h after purchase).",
            "Your pass works from {from}; just come back then.",
        ),
        Reason.FORGED: Telling(
            "签名不对：码被改动过，或不是本系统签发的。不要指责，可请班长。",
            "这个码验不过，请打开“我的年票”重新出示。",
            "Signature wrong: altered, or not issued by us. Do not accuse; call the supervisor.",
            "This code cannot be verified; please open My passes.",
        ),
        Reason.NOT_IN_LIST: Telling(
            "签名正确，但名单里没有这张票。",
            "请稍等，我用票号查一下。",
            "Signature correct, but the pass is not in the list.",
            "One moment, I will look it up by ticket number.",
        ),
        Reason.REPLACED: Telling(
            "补办过：这是旧码或旧卡，新的已发到手机。",
            "您补办过，请打开“我的年票”里的新码。",
            "Re-issued: this is the old code or card.",
            "It was replaced; please open the new code under My passes.",
        ),
        Reason.REVOKED: Telling(
            "已退款或已作废（{cause}，{when}）。",
            "这张票已经退款（作废），请到服务台查看。",
            "Refunded or cancelled ({cause}, {when}).",
            "This pass was refunded or cancelled; the service desk can help.",
        ),
        Reason.SUSPENDED: Telling(
            "已挂失或被暂停（{cause}，{when}）。",
            "这张票目前挂失（暂停），本人带证件到服务台可恢复。",
            "Reported lost or put on hold ({cause}, {when}).",
            "This pass is on hold; its holder can lift it at the service desk with ID.",
        ),
        Reason.NOT_BOUND: Telling(
            "经销商售出后还没有绑定游客（待激活）。",
            "请联系购票平台填写游客信息，或到服务台办理。",
            "Sold by a distributor, no traveller bound yet.",
            "Please complete the traveller's details with the seller or at the desk.",
        ),
        Reason.NEEDS_ROTATING_CODE: Telling(
            "出示的是截图或打印码，此票只认手机上的动态码。",
            "截图不能用，请打开“我的年票”里的码。",
            "A screenshot or print; this pass needs the live code.",
            "Screenshots do not work; please open the code under My passes.",
        ),
        Reason.NEEDS_FULL_CODE: Telling(
            "本机名单里还没有这部手机的密钥，要扫大码。",
            "请点年票码下面的“大码”，再扫一次。",
            "This phone's key is not in the gate's list yet.",
            "Please tap “Large code” below the code and scan again.",
        ),
        Reason.CODE_TOO_OLD: Telling(
            "动态码是 {age} 秒前生成的，超过时限：截图、页面卡住或手机时间不准。",
            "请刷新“我的年票”页面，等新码出来再扫。",
            "Live code made {age} s ago: screenshot, stuck page or wrong phone time.",
            "Please refresh My passes and scan the new code.",
        ),
        Reason.CODE_REUSED: Telling(
            "同一个动态码已经放行过一次（{lane}号通道 {at}），可能是截图转给了别人。",
            "这个码刚用过，请持票人本人打开新码。",
            "This very code was admitted before (lane {lane}, {at}); perhaps a forwarded screenshot.",
            "This code was just used; the holder should open a new one.",
        ),
        Reason.CLOCK_UNKNOWN: Telling(
            "本机时间不可信（断电后未对时），这张票无法判断。",
            "机器在对时，您的票我来核对。",
            "The gate's clock is not trusted; this pass cannot be judged.",
            "The machine is setting its clock; I will check your pass.",
        ),
        Reason.NEEDS_NETWORK: Telling(
            "电子社保卡要联网核验，现在连不上中心。",
            "网络断了，请出示年票码，或刷实体社保卡。",
            "Electronic cards are checked on line; the centre is unreachable.",
            "The network is down; please show the pass code or tap the physical card.",
        ),
        Reason.CARD_UNKNOWN: Telling(
            "卡不在名单：没办年票、没绑定，或绑定还没同步到本机。",
            "这张卡还没开通，请先出示年票码，卡到服务台绑定。",
            "Card not listed: no pass, not bound, or binding not yet synced.",
            "This card is not set up; please show the code and bind the card at the desk.",
        ),
        Reason.CARD_UNAUTHENTICATED: Telling(
            "卡只做了普通读取（可能被复制），本景区要求看照片核对。",
            "请稍等，我核对一下照片。",
            "Plain read only (could be a copy); this venue asks for a photo check.",
            "One moment, I will compare the photo.",
        ),
        Reason.NEEDS_CARD: Telling(
            "此产品规定要刷实体社保卡。",
            "这张票要刷社保卡入园，请把卡贴在感应区。",
            "This product requires the physical card.",
            "This pass needs the card; please tap it on the reader.",
        ),
        Reason.VENUE_CLOSED: Telling(
            "现在不在开放时间，或临时闭园（{cause}）。",
            "现在未开放，今天开放时间是 {hours}。",
            "Outside opening hours or closed ({cause}).",
            "We are closed now; today's hours are {hours}.",
        ),
        Reason.BLACKOUT: Telling(
            "今天在此产品的不可用日期内。",
            "这张票 {range} 不能用，其他日子可以来。",
            "Today is in the product's excluded dates.",
            "This pass is not usable {range}; any other day is fine.",
        ),
        Reason.WRONG_TIME_SLOT: Telling(
            "不在此票的入园时段。",
            "您的票是 {slot} 入园，请按时段来。",
            "Outside the pass's entry hours.",
            "Your pass is for {slot}; please come then.",
        ),
        Reason.USED_UP: Telling(
            "今日次数已用：{at} {lane}号通道入园。",
            "您今天 {at} 已从{lane}号通道入园，此票每天限一次。",
            "Today's entry was used: {at}, lane {lane}.",
            "You entered today at {at} through lane {lane}; one entry a day.",
        ),
        Reason.ALREADY_INSIDE: Telling(
            "{at} 入园后还没有出园记录。",
            "记录显示已在园内。若您刚从旁门出来，我帮您查。",
            "Entered at {at} and not yet left.",
            "It shows as inside. If you left by another exit I will check.",
        ),
        Reason.TOO_SOON: Telling(
            "两次入园间隔太短（上次 {at}）。",
            "您 {at} 刚入过园，{next} 以后可以再进。",
            "Too short since the last entry ({at}).",
            "You entered at {at}; again from {next}.",
        ),
        Reason.OFFLINE_LIMIT: Telling(
            "断网时此类票的放行数已到上限（{n} 次）。",
            "网络断了，我用票号登记后请您入园。",
            "Off-line limit for this kind of ticket reached ({n}).",
            "The network is down; I will note the number and let you in.",
        ),
        Reason.OTHER_LANE: Telling(
            "断网时此票只在{to}号通道核验，防止一票两用。",
            "请走{to}号通道，马上就能进。",
            "While cut off, this pass is checked at lane {to} only.",
            "Please use lane {to}; it will let you in.",
        ),
        Reason.LANE_CLOSED: Telling(
            "本通道已由{who}关闭。", "请走{to}号通道。", "This lane was closed by {who}.", "Please use lane {to}."
        ),
        Reason.CANNOT_RECORD: Telling(
            "无法写入记录（磁盘满或损坏），为不漏记已停止放行。",
            "请走{to}号通道，您的次数没有扣。",
            "Cannot write the record (disk full or bad); admission stopped.",
            "Please use lane {to}; nothing was deducted.",
        ),
        Reason.FAULT: Telling(
            "设备故障：{device} {what}。",
            "请走{to}号通道，您的次数没有扣。",
            "Device fault: {device} {what}.",
            "Please use lane {to}; nothing was deducted.",
        ),
    }
)

CODE_AHEAD = Telling(
    "动态码的时间比本机快 {age} 秒：手机时间不准。",
    "您手机的时间不准，请改为自动设置，再刷新“我的年票”。",
    "Live code {age} s ahead of this gate: the phone's time is wrong.",
    "Your phone's time is off; please set it to automatic and refresh My passes.",
)
"""For a code of the future, which is `code_too_old` as well."""
USED_UP: Mapping[Limit, Telling] = MappingProxyType(
    {
        Limit.ONCE_A_DAY: STAFF[Reason.USED_UP],
        Limit.DAY: Telling(
            "今日次数已用完：最近 {at} {lane}号通道入园。",
            "您今天 {at} 已从{lane}号通道入园，此票今天的次数用完了。",
            "Today's entries are used: the last {at}, lane {lane}.",
            "You entered today at {at} through lane {lane}; today's entries are used.",
        ),
        Limit.MONTH: Telling(
            "本月次数已用完：最近 {at} {lane}号通道入园。",
            "这张票本月的次数用完了，最近一次是 {at} {lane}号通道，下个月可以再来。",
            "This month's entries are used: the last {at}, lane {lane}.",
            "This month's entries are used, the last at {at}, lane {lane}; it opens again next month.",
        ),
        Limit.YEAR: Telling(
            "本年次数已用完：最近 {at} {lane}号通道入园。",
            "这张票本年的次数用完了，最近一次是 {at} {lane}号通道。",
            "This year's entries are used: the last {at}, lane {lane}.",
            "This year's entries are used, the last at {at}, lane {lane}.",
        ),
        Limit.TOTAL: Telling(
            "次数已用完：最近 {at} {lane}号通道入园。",
            "这张票的次数用完了，最近一次是 {at} {lane}号通道。",
            "All entries are used: the last {at}, lane {lane}.",
            "All entries of this pass are used, the last at {at}, lane {lane}.",
        ),
    }
)
STOPPED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        StopCause.LOST: ("挂失", "reported lost"),
        StopCause.REQUESTED: ("本人申请", "at the holder's wish"),
        StopCause.REVIEW: ("核查中", "being looked into"),
        StopCause.CANCELLED: ("作废", "cancelled"),
        StopCause.OTHER: ("其他原因", "another reason"),
    }
)
"""Why the centre suspended or revoked a pass: {cause}."""

ADMITTED = Telling("", "请往里走，祝您游园愉快。", "", "Please walk in, enjoy your visit.")

SHORT: Mapping[Reason, tuple[str, str]] = MappingProxyType(
    {
        Reason.NEEDS_UPDATE: ("本机需要更新", "Gate needs an update"),
        Reason.UNKNOWN_KEY: ("密钥不认识", "Unknown key"),
        Reason.UNKNOWN_PRODUCT: ("产品不认识", "Unknown product"),
        Reason.FORGED: ("签名不对", "Wrong signature"),
        Reason.NOT_IN_LIST: ("不在名单", "Not in the list"),
        Reason.CLOCK_UNKNOWN: ("时钟未知", "Clock unknown"),
        Reason.OFFLINE_LIMIT: ("断网限量", "Off-line limit"),
    }
)
"""How the counters name a reason whose visitor sentence is only 请工作人员协助."""
