"""What can be wrong with the gate, what that means and what to do about it, as the staff read it; zh and en."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gate_agent.faces import LaneTrouble
from gate_agent.status import AlarmKind

Both = tuple[str, str]


@dataclass(frozen=True, slots=True)
class TroubleWords:
    """What stops a lane: the device, what is wrong with it, the lane chip's word, the code service asks for."""

    device: Both
    what: Both
    chip: Both
    code: str


TROUBLES: Mapping[LaneTrouble, TroubleWords] = MappingProxyType(
    {
        LaneTrouble.READER: TroubleWords(
            ("读头", "reader"), ("未连接", "not connected"), ("读头故障", "Reader fault"), "E-R1"
        ),
        LaneTrouble.TURNSTILE: TroubleWords(
            ("闸机", "turnstile"), ("没有应答", "does not answer"), ("闸机故障", "Turnstile fault"), "E-T1"
        ),
        LaneTrouble.RECORD: TroubleWords(
            ("记录", "journal"), ("写不进去", "cannot be written"), ("停止放行", "Not admitting"), "E-J1"
        ),
        LaneTrouble.MOVED: TroubleWords(
            ("设备", "devices"), ("换过口", "moved"), ("设备换口", "Devices moved"), "E-M1"
        ),
        LaneTrouble.CROSSED: TroubleWords(("通道", "lane"), ("接反", "crossed"), ("通道接反", "Crossed"), "E-X1"),
    }
)


@dataclass(frozen=True, slots=True)
class AlarmWords:
    """What is wrong and what it does to the lane; what to do. `sends_away`: visitors are told another lane."""

    first: Both
    remedy: Both
    sends_away: bool = False


ALARMS: Mapping[AlarmKind, AlarmWords] = MappingProxyType(
    {
        AlarmKind.FIRE: AlarmWords(
            ("消防信号已触发，全部闸门已开", "Fire input active, all gates open"),
            ("请引导游客离开；恢复后逐条通道确认", "Guide visitors out; afterwards confirm each lane"),
        ),
        AlarmKind.RECORD: AlarmWords(
            ("记录写不进去，已停止放行", "Cannot record, admission stopped"),
            ("请导出到 U 盘，并报修", "Export to USB, call service"),
        ),
        AlarmKind.JOURNAL_GONE: AlarmWords(
            ("记录文件被人删除或替换，已停止放行", "The journal was deleted or replaced, admission stopped"),
            ("请重新启动闸机程序，并报修", "Start the gate program anew, call service"),
        ),
        AlarmKind.NO_LIST: AlarmWords(
            ("本机没有名单文件", "There is no list on this box"),
            (
                "请接通网络，名单会自动下载；连不上时请用 U 盘导入名单；没有名单不能放行",
                "Connect it and the list comes; cut off, import it from a stick. Without one nobody is admitted",
            ),
        ),
        AlarmKind.FORCED: AlarmWords(("{lane} 号通道有人闯闸", "Lane {lane} forced"), ("请到通道查看", "Go and look")),
        AlarmKind.PART_ENDED: AlarmWords(
            ("闸机程序的一部分停了", "A part of the gate program has ended"),
            ("请重新启动闸机程序，并报修", "Start the gate program anew, call service"),
        ),
        AlarmKind.TAMPER: AlarmWords(
            ("{lane} 号通道闸机外壳被打开", "Lane {lane} housing open"),
            (
                "请到通道查看，关好外壳；没有人打开时请报修接线",
                "Go and look, close it; if nobody opened it have its wire mended",
            ),
        ),
        AlarmKind.CROSSED: AlarmWords(
            ("{lane}、{other} 号通道接反", "Lanes {lane} and {other} crossed"),
            ("请停用两条通道并报修", "Close both, call service"),
        ),
        AlarmKind.TURNSTILE: AlarmWords(
            ("{lane} 号通道闸机没有应答，{side}已停用", "Lane {lane} turnstile does not answer"),
            ("请检查闸机的电源和接线，并报修", "Check its power and wiring, call service"),
            sends_away=True,
        ),
        AlarmKind.MOVED: AlarmWords(
            ("{lane} 号通道设备换过口", "Lane {lane} devices moved"),
            ("请班长重新调试本通道", "Have the supervisor commission it again"),
            sends_away=True,
        ),
        AlarmKind.READER: AlarmWords(
            ("{lane} 号通道读头未连接，{side}已停用", "Lane {lane} reader not connected"),
            ("请检查 USB 线，或把读头插回原来的口", "Check the cable, or plug it into its old port"),
            sends_away=True,
        ),
        AlarmKind.SENSOR: AlarmWords(
            ("{lane} 号通道过闸信号一直有效", "Lane {lane} passage sensor stuck"),
            (
                "请看传感器前有无遮挡；放行照常，过闸按已通过记",
                "Look for something in front of it; admission goes on, passages are assumed",
            ),
        ),
        AlarmKind.BACKWARDS: AlarmWords(
            ("{lane} 号通道有人逆行", "Somebody went backwards through lane {lane}"), ("请到通道查看", "Go and look")
        ),
        AlarmKind.SECOND_PERSON: AlarmWords(
            ("{lane} 号通道有人跟随通过", "A second person went through lane {lane}"),
            ("请到通道查看，请跟随的人补验票", "Go and look; ask the second person for a pass"),
        ),
        AlarmKind.ANNULLED_OFTEN: AlarmWords(
            ("{lane} 号通道多次开闸没有人通过", "Lane {lane} opened several times and nobody passed"),
            ("请到通道看闸机是否卡住，或有人反复试码", "Look whether the arm is stuck, or somebody keeps trying"),
        ),
        AlarmKind.JOURNAL_LOST: AlarmWords(
            ("原来的记录文件不见了，已另起新记录", "The journal was gone, a new one was begun"),
            (
                "放行照常；请报修，查明原因：没有上传的入园记录可能丢失",
                "Admission goes on; call service to find out why: entries that were not sent may be lost",
            ),
        ),
        AlarmKind.JOURNAL_SET_ASIDE: AlarmWords(
            ("原来的记录文件已损坏，另存后换了新的", "The journal was damaged, set aside, and a new one begun"),
            ("放行照常；请报修，由维修人员取走旧文件", "Admission goes on; call service to take the old file away"),
        ),
        AlarmKind.JOURNAL_SUPERSEDED: AlarmWords(
            ("存储卡是旧的副本，已另起新记录", "The card is an old copy; a new journal was begun"),
            (
                "放行照常；请报修，由平台核对旧记录",
                "Admission goes on; call service, the platform compares the old journal",
            ),
        ),
        AlarmKind.SYNC_LOST: AlarmWords(
            ("与中心同步的数据损坏或丢失，已用副本", "What sync had learnt was damaged or lost; its copy is used"),
            (
                "放行照常，不用重新登记；请报修，检查存储卡",
                "Admission goes on, no enrolment is needed; call service to look at the card",
            ),
        ),
        AlarmKind.UNDER_VOLTAGE: AlarmWords(
            ("供电不足，已降低识别频率", "The power supply is too weak, decoding slowed"),
            ("请换原装电源，检查电源线", "Use the box's own power supply, check its cable"),
        ),
        AlarmKind.SYNC_SILENT: AlarmWords(
            ("本机的同步程序没有运行", "The exchange with the centre is not running"),
            ("放行照常，记录留在本机；请报修", "Admission goes on, entries stay here; call service"),
        ),
        AlarmKind.LIST_EXPIRED: AlarmWords(
            (
                "名单过期：单票、联票限量放行，年票照常",
                "List expired: limited for tickets, annual passes as usual",
            ),
            ("请检查网络，联网后自动更新", "Check the network; it renews itself once connected"),
        ),
    }
)
USE_LANE = ("；游客请走 {to} 号通道", "; visitors please use lane {to}")

IN_ORDER = ("正常，不用处理", "In order, nothing to do")
MEANING: Mapping[str, Both] = MappingProxyType(
    {
        "link_fine": ("与中心连通，名单和记录随时同步", "Connected to the centre; list and entries are kept in step"),
        "link_cut": (
            "连不上中心。验票照常，记录留在本机，联网后自动上传；请检查网线或无线",
            "Admission goes on; entries stay here and go up by themselves. Check the network",
        ),
        "not_enrolled": (
            "本机还没有登记，没有名单，不能放行；请班长登记本机",
            "This box is not enrolled and has no list: it cannot admit. Have the supervisor enrol it",
        ),
        "held": (
            "本机自己走时，验票照常；联网后自动对时",
            "The box keeps its own time, admission goes on; it is set once connected",
        ),
        "unknown": (
            "断电后没有对时：年票照常，临近到期的票和动态码转人工；请接通网络",
            "Not set since the power cut: annual passes as usual, near dates and live codes go to staff; connect it",
        ),
        "disk_warn": (
            "磁盘快满：先停记拒绝，放行照常；请导出到 U 盘并报修",
            "Nearly full: refusals stop being written first, admission goes on; export to USB, call service",
        ),
        "disk_full": (
            "磁盘已满，停止放行；请导出到 U 盘并报修",
            "Full, admission stopped; export to USB, call service",
        ),
        "readers": (
            "有读头没有连接；请检查 USB 线，或插回原来的口",
            "A reader is not connected; check the cable, or plug it into its old port",
        ),
        "relays": (
            "有闸机没有应答；请检查闸机的电源和接线",
            "A turnstile does not answer; check its power and wiring",
        ),
        "warm": ("偏热，还在正常范围；请看通风口和日晒", "Warm, still in order; look at the vents and the sun"),
        "hot": (
            "过热，已降低识别频率；请看通风口和日晒",
            "Hot, decoding slowed; look at the vents and the sun",
        ),
    }
)
"""What each line of the state sheet means that is not in order, by what is wrong."""
