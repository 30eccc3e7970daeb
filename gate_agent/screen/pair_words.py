"""What a tablet that is not paired, or is just being paired, is told; zh and en, one beside the other."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gate_agent.pairing import NotPaired
from gate_agent.screen.act_words import Pair

NOT_PAIRED: Mapping[NotPaired, Pair] = MappingProxyType(
    {
        NotPaired.NO_NAME: ("请给平板起个名字，最多 32 个字", "Name the tablet, in at most 32 characters"),
        NotPaired.TOO_MANY: (
            "已配对 32 台，请管理员先运行 gate-agent staff forget",
            "32 are paired: the administrator runs gate-agent staff forget first",
        ),
        NotPaired.NOT_STARTED: (
            "现在没有有效的配对码，请班长在闸机屏幕上点 更多 › 配对平板",
            "No code is open now: the supervisor taps More › Pair a tablet at the box",
        ),
        NotPaired.WRONG: ("配对码不对，请再看一次", "Wrong code, please look again"),
        NotPaired.SPENT: (
            "错得太多，这个配对码已作废，请班长再发起一次",
            "Too many wrong codes: this one is void, the supervisor starts again",
        ),
        NotPaired.DISK: ("本机写不进去，没有配对，请报修", "The box cannot write it down, call service"),
    }
)

UNPAIRED: Pair = (
    "这台平板没有配对，只能看游客画面；请打开 /staff/pair",
    "This tablet is not paired and sees the visitors' screens alone; open /staff/pair",
)
ONLY_AT_THE_BOX: Pair = ("配对只能在闸机自己的屏幕上发起", "Pairing is started at the box's own screen")
