"""What the sheets of the staff's face say: what an act does, why one does it, what came of it; zh and en."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gate_agent.acts import Act, Came, Unfit
from gate_agent.list_find import NotSought
from gate_agent.sync_state import TroubleKind

Pair = tuple[str, str]

EFFECTS: Mapping[Act, Pair] = MappingProxyType(
    {
        Act.LET_IN: ("开闸一次", "The gate opens once"),
        Act.GROUP: ("一人一闸，逐个放行", "One by one, the gate opens for each"),
        Act.RETURN: ("退还一次，此票可再次入园", "The pass may be used again"),
        Act.COUNTER: ("按票的规则判断后开闸", "Judged by the pass's own rules, then opened"),
        Act.CHECK: ("下一位出示的票只查不核，不开闸", "The next pass shown is only checked; the gate stays shut"),
        Act.TEST_CARD: ("读一张卡看读到什么，不放行", "Reads a card and says what came; nobody is let in"),
        Act.COMMISSION: (
            "通道停用，逐项试读头、闸臂和信号",
            "The lane stops; its readers, arm and inputs are tried one by one",
        ),
        Act.CLOSE: ("通道停止验票", "The lane stops checking passes"),
        Act.OPEN: ("通道恢复验票", "The lane checks passes again"),
        Act.HOLD: ("到时自动恢复验票", "Ends by itself"),
        Act.SYNC: ("马上上传记录、取名单", "Sends entries and fetches the list now"),
        Act.EXPORT: ("把全部记录写到 U 盘", "Writes the whole journal to a USB stick"),
        Act.ENROL: ("用中心给的登记码登记本机", "Makes this box a gate of the centre by its code"),
        Act.ENROL_SCAN: ("两分钟内由通道的读头读登记二维码", "For two minutes the lane reads the centre's QR code"),
        Act.PAIR: ("让一台平板可以操作本机，每次操作仍需 PIN", "Lets a tablet act here; each act still needs a PIN"),
    }
)

DO: Mapping[Act, Pair] = MappingProxyType(
    {
        Act.LET_IN: ("开闸放行", "Open the gate"),
        Act.GROUP: ("开始放行", "Let them in"),
        Act.RETURN: ("退还", "Return it"),
        Act.COUNTER: ("放行", "Let in"),
        Act.CHECK: ("开始查验", "Check"),
        Act.TEST_CARD: ("开始读卡", "Read"),
        Act.COMMISSION: ("开始调试", "Begin"),
        Act.CLOSE: ("关闭通道", "Close"),
        Act.OPEN: ("开放通道", "Open"),
        Act.HOLD: ("常开", "Hold open"),
        Act.SYNC: ("同步", "Sync"),
        Act.EXPORT: ("导出", "Export"),
        Act.ENROL: ("登记", "Enrol"),
        Act.ENROL_SCAN: ("开始扫码", "Scan"),
        Act.PAIR: ("显示配对码", "Show a code"),
    }
)

REASONS: Mapping[str, Pair] = MappingProxyType(
    {
        "unreadable": ("票有效但读不出", "Valid but unreadable"),
        "assisted": ("协助老人、儿童", "Helping elderly or children"),
        "stepped_out": ("已入园，误出", "Was inside, left by mistake"),
        "work": ("工作出入", "On duty"),
        "misjudged": ("设备误判", "Gate was wrong"),
        "booked": ("团队已预约", "Booked group"),
        "school": ("学校团体", "School"),
        "tour": ("旅行团", "Tour"),
        "not_entered": ("没有进去", "Did not get in"),
        "wrong_pass": ("刷错了票", "Wrong pass shown"),
        "no_phone": ("手机没电或打不开", "Phone dead or failing"),
        "no_card": ("忘带卡", "Card left at home"),
        "repair": ("检修", "Repair"),
        "crowd": ("人流高峰", "Crowd"),
        "unattended": ("无人值守", "Nobody on duty"),
        "incident": ("突发情况", "Incident"),
        "group": ("团队通过", "Group"),
        "other": ("其他", "Other"),
    }
)

SHEET: Mapping[str, Pair] = MappingProxyType(
    {
        "pin": ("请输入 PIN", "Enter your PIN"),
        "why": ("原因（必选，记入日志）", "Reason (required, journalled)"),
        "minutes": ("多久", "For how long"),
        "n_minutes": ("{n} 分钟", "{n} min"),
        "people": ("人数", "People"),
        "number": ("票号、票号后六位或身份证号", "Ticket number, its last six digits, or an ID number"),
        "look": ("查找", "Find"),
        "url": ("中心地址", "The centre's address"),
        "code": ("登记码", "Enrolment code"),
        "in": ("{lane} 号通道 · 入园方向", "Lane {lane} · way in"),
        "out": ("{lane} 号通道 · 出园方向", "Lane {lane} · way out"),
        "noted": ("会记下您的姓名、时间和原因。", "Your name, the time and the reason are journalled."),
        "limit": ("检票员每人每天可放行 {n} 人。", "A steward may let in {n} people a day."),
        "supervisor": ("需要班长的 PIN。", "Needs a supervisor's PIN."),
        "found": ("找到 {n} 张", "{n} found"),
        "none_found": ("没有找到，请核对号码", "Nothing found, please check the number"),
        "no_entry": ("本机最近没有可退还的入园记录，请在列表里点一条", "No entry to return here: tap one in the list"),
    }
)

UNFIT: Mapping[Unfit, Pair] = MappingProxyType(
    {
        Unfit.NO_LANE: ("本机没有这条通道", "This box has no such lane"),
        Unfit.NO_REASON: ("请选择原因", "Please choose a reason"),
        Unfit.NO_COUNT: ("人数须为 2 到 60", "2 to 60 people"),
        Unfit.NO_MINUTES: ("请选择时间", "Please choose for how long"),
        Unfit.NO_ENTRY: ("请先点一条入园记录", "Tap the entry first"),
        Unfit.NOT_FOUND: ("请先查找这张票", "Find the pass first"),
        Unfit.NO_CODE: ("请填写中心地址和登记码", "Fill in the address and the code"),
    }
)

NOT_SOUGHT: Mapping[NotSought, Pair] = MappingProxyType(
    {
        NotSought.TOO_SHORT: ("至少输入 6 位数字", "At least 6 digits"),
        NotSought.NO_LIST: ("本机还没有名单", "This gate has no list yet"),
        NotSought.BUSY: ("正在查找，请稍后再试", "Busy finding, please try again"),
        NotSought.TOO_LONG: ("查找时间太长，请用完整票号", "That takes too long, please use the whole number"),
    }
)

CAME: Mapping[Came, Pair] = MappingProxyType(
    {
        Came.WRONG_PIN: ("PIN 不对，还可试 {left} 次", "Wrong PIN, {left} tries left"),
        Came.PINS_PAUSED: ("请等 {wait} 秒", "Please wait {wait} s"),
        Came.NO_STAFF: (
            "本机还没有工作人员 PIN：请管理员运行 gate-agent staff add",
            "Nobody has a PIN here yet: the administrator runs gate-agent staff add",
        ),
        Came.STAFF_UNREADABLE: ("人员文件读不出，请报修", "The staff file cannot be read, call service"),
        Came.NOT_ALLOWED: ("此操作需要班长", "This needs a supervisor"),
        Came.DAY_LIMIT: (
            "今日已放行 {used} 人，还可 {left} 人；请班长放行",
            "{used} let in today, {left} left; ask the supervisor",
        ),
        Came.SHEET_OLD: ("这张单子已失效，请关闭后重开", "This sheet is no longer good, close it and open a new one"),
        Came.BUSY: ("本机正忙，请再按一次", "Busy, please press again"),
        Came.LANE_SILENT: ("通道没有应答，请看闸机是否已动作", "The lane does not answer, look whether it moved"),
        Came.CANNOT_RECORD: ("记录写不进去，没有执行", "It cannot be recorded, nothing was done"),
        Came.SYNC_SILENT: ("同步程序没有应答，请报修", "Sync does not answer, call service"),
        Came.NO_MEDIUM: ("没有找到 U 盘，请插好后再试", "No USB stick found, plug one in and try again"),
        Came.MEDIUM_FULL: ("U 盘空间不够，请换一个", "The USB stick is too full, take another"),
        Came.NOTHING_SHOWN: ("没有读到卡，请检查读卡器后再试", "No card came; look at the reader and try again"),
        Came.REFUSED: ("这张票不能入园：{reason}", "This pass is refused: {reason}"),
        Came.STARTING: ("通道正在启动", "The lane is starting"),
        Came.LANE_CLOSED: ("通道已关闭，请先开放", "The lane is closed, open it first"),
        Came.OUT_OF_ORDER: ("通道故障，不能开闸", "The lane is out of order"),
        Came.FIRE: ("消防信号已触发，闸门由消防控制", "Fire: the gates are released, nothing else opens them"),
        Came.GROUP_GOING: ("团体还在通过，请等他们走完", "A group is still going through, please wait"),
        Came.TURNSTILE: ("闸机没有应答，没有开闸", "The turnstile does not answer, it did not open"),
        Came.NO_SUCH_ENTRY: ("本机没有这条入园记录", "This gate has no such entry"),
        Came.DOES_NOT_COUNT: ("这条记录没有扣次数或已退还", "This entry does not count, or was returned already"),
        Came.STILL_OPEN: ("游客可能正在过闸，请稍后再退", "Somebody may be walking through, try again in a moment"),
        Came.IN_USE: (
            "通道还在使用：请先关闭通道，等闸机里没有人",
            "The lane is in use: close it first, and let nobody stand in the arm",
        ),
        Came.COMMISSIONING: ("有通道正在调试，请等调试结束", "A lane is being commissioned, please wait"),
        Came.EXPORT_FAILED: ("没有写完，请换一个 U 盘再试", "It was not written whole, try another stick"),
    }
)
"""`done` and `centre` have their own words below."""

MORE: Pair = ("，还可 {left} 人", ", {left} left")

SHOWN: Mapping[str, Pair] = MappingProxyType(
    {
        "card": (
            "区号 {area} · 卡号 {number} · 识别码 {identification} · 身份证号 {id_number} · 认证 {auth}",
            "Area {area} · card {number} · identification {identification} · ID number {id_number} · auth {auth}",
        ),
        "absent": ("没有", "none"),
        "code": ("读到的是本系统的码，不是卡", "One of our codes, not a card"),
        "not_ours": ("读到的不是本系统的码，也不是卡", "Neither a card nor one of our codes"),
    }
)
"""What was held to a reader to try it; of a card's numbers only the ends."""

DONE: Mapping[Act, Pair] = MappingProxyType(
    {
        Act.LET_IN: ("已开闸 · {who} 今日已放行 {used} 人{more}", "Open · {who}: {used} let in today{more}"),
        Act.GROUP: (
            "开始放行 {count} 人，逐个通过 · {who} 今日已放行 {used} 人{more}",
            "{count} people, one by one · {who}: {used} let in today{more}",
        ),
        Act.RETURN: ("已退还，此票可再次入园", "Returned: the pass may be used again"),
        Act.COUNTER: ("已开闸", "Open"),
        Act.CHECK: ("请出示票，一分钟内有效；结果在列表里", "Show the pass within a minute; the list says what came"),
        Act.TEST_CARD: ("{shown}", "{shown}"),
        Act.COMMISSION: ("调试已开始，请按提示做", "Begun: do as the screen says"),
        Act.CLOSE: ("通道已关闭", "Lane closed"),
        Act.OPEN: ("通道已开放", "Lane open"),
        Act.HOLD: ("通道常开 {count} 分钟，到时自动恢复", "Held open for {count} min, ends by itself"),
        Act.SYNC: ("已同步", "Synced"),
        Act.EXPORT: ("已导出到 {detail}，可以拔下 U 盘", "Written to {detail}; the stick may be pulled"),
        Act.ENROL: (
            "已登记，核对码 {detail}，请在中心核对后批准",
            "Enrolled, check characters {detail}: compare them at the centre, then approve",
        ),
        Act.ENROL_SCAN: (
            "请在两分钟内出示登记二维码，核对码显示在通道屏上",
            "Show the QR code within two minutes; the lane's screen then shows the check characters",
        ),
        Act.PAIR: (
            "配对码 {word} · 五分钟内有效，用一次。在平板的浏览器里打开 {detail} 输入",
            "Code {word} · good for five minutes, once. Open {detail} in the tablet's browser and type it",
        ),
    }
)

CENTRE: Mapping[str, Pair] = MappingProxyType(
    {
        TroubleKind.NOT_ENROLLED: ("登记没有成功", "Not enrolled"),
        TroubleKind.PENDING: ("中心还没有批准本机", "The centre has not approved this gate yet"),
        TroubleKind.UNREACHABLE: (
            "连不上中心，记录会自动上传",
            "The centre is unreachable; entries go up by themselves",
        ),
        TroubleKind.NOT_THE_CENTRE: ("答话的不是中心，网络里可能有登录页", "Not the centre answers: a login page?"),
        TroubleKind.REFUSED: ("中心拒绝了本机", "The centre refused this gate"),
        TroubleKind.BAD_LIST: ("新名单有误，仍用原名单", "The new list is bad, the old one stays"),
        TroubleKind.BAD_RECEIPT: ("中心的回执有误", "The centre's receipt is bad"),
        TroubleKind.JOURNAL: ("本机记录与中心不符，请报修", "Journal and centre differ, call service"),
        TroubleKind.DISK: ("磁盘读写出错，请报修", "The disk fails, call service"),
        "needs_update": ("同步程序需要更新", "Sync needs an update"),
    }
)
