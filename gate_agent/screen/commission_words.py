"""What staff are told while a lane is commissioned: what to do now, what was wrong, which keys there are; zh and en."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gate_agent.commissioning import ANOTHER_ARM, MAY_SKIP, NO_ARM, OVER, PULSES_LIMIT, Flaw, FlawKind, Step, TrialTold
from hardware.turnstile import Role

Pair = tuple[str, str]
Pick = Callable[[Pair], str]

STEPS: Mapping[Step, Pair] = MappingProxyType(
    {
        Step.CODE: (
            "拍下通道屏上的码 {digits}，举到本通道每个读头前；读卡器刷任意一张卡。还差 {unread} 个读头",
            "Hold a picture of code {digits} to each reader of the lane, and a card to a card reader. {unread} to go",
        ),
        Step.ARM: ("继电器动了一次：哪条通道的闸臂开了？", "The relay pulsed once. Which lane's arm unlocked?"),
        Step.SETTLE: ("请等闸臂锁好", "Wait until the arm is locked again"),
        Step.WALK: (
            "闸臂已开，请一个人走过去（第 {pulses} 次，最多 {most} 次）",
            "The arm is unlocked: one person walks through it now ({pulses} of {most})",
        ),
        Step.FIRE: (
            "触发消防信号，再复位。全部通道会停下，之后要逐条开放",
            "Set off the fire release, and put it back. Every lane stops, and has to be opened again",
        ),
        Step.TAMPER: ("打开闸机外壳，再关上", "Open the turnstile's housing, and close it"),
        Step.DONE: ("调试完成，接线已记下", "Commissioned, and its wiring is kept"),
        Step.FAILED: ("没有调试成：{flaw}", "Not commissioned: {flaw}"),
    }
)
"""What to do now, or how it ended."""

FLAWS: Mapping[FlawKind, Pair] = MappingProxyType(
    {
        FlawKind.NOT_AT_REST: (
            "静止时信号不对（{roles}）。请锁好并清空闸臂，关好外壳，检查接线{remedy}",
            "wrong at rest: {roles}. Lock and empty the arm, close the housing, look at the wires{remedy}",
        ),
        FlawKind.UNREAD: (
            "{readers} 个读头没有读到本通道的码{aside}。请检查线缆，或设置里是否写在别的通道",
            "{readers} readers did not read the code{aside}. Look at their cables, and which lane they are set at",
        ),
        FlawKind.READ_ELSEWHERE: (
            "{other} 号通道的读头读到了本通道的码。请检查读头是否接错通道",
            "a reader of lane {other} read this lane's code. Look whether it hangs at the wrong lane",
        ),
        FlawKind.NO_ARM: (
            "闸臂没有动。请检查继电器的接线和高低电平",
            "the relay unlocks no arm. Look at its wires, and at high and low",
        ),
        FlawKind.OTHER_ARM: (
            "开的是 {other} 号通道的闸臂。请对调两条通道的接线",
            "the relay unlocks the arm of lane {other}. Exchange their wires, or what their settings name",
        ),
        FlawKind.NO_ANSWER: ("没有人回答", "nobody answered"),
        FlawKind.HELD: (
            "闸臂没有锁好。是否被顶住，或传感器断线？",
            "the arm did not come to rest. Is it held, or its sensor's wire cut?",
        ),
        FlawKind.STILL: (
            "信号没有来回变化（{roles}）。请检查这几根线",
            "these did not move there and back: {roles}. Look at their wires",
        ),
        FlawKind.RELAY: ("继电器没有动（{detail}）", "the relay was not moved: {detail}"),
        FlawKind.RECORD: ("记录写不进去（{detail}）", "it cannot be recorded: {detail}"),
        FlawKind.FIRE: ("消防信号已触发", "there is a fire"),
        FlawKind.CANCELLED: ("已取消，什么也没有保存", "it was cancelled, and nothing is kept"),
    }
)
"""The first thing that is not as it should be, and what to do."""

ANOTHER_BOX: Pair = (
    "开的是别的闸机的闸臂。请检查接线",
    "the relay unlocks the arm of another box. Look at its wires",
)
REMEDY: Pair = ("；如果都没有问题，设置里改写 {detail}", "; if all that is so, write {detail}")
ASIDE: Pair = ("（{detail}）", " ({detail})")
ROLES: Mapping[Role, Pair] = MappingProxyType(
    {
        Role.PASSAGE_IN: ("进向过闸", "passage_in"),
        Role.PASSAGE_OUT: ("出向过闸", "passage_out"),
        Role.READY: ("就绪", "ready"),
        Role.FIRE: ("消防", "fire"),
        Role.TAMPER: ("外壳", "tamper"),
    }
)
TITLE: Pair = ("{lane} 号通道调试", "Commissioning lane {lane}")
PLACE: Pair = (" · 第 {place} 步，共 {of} 步", " · step {place} of {of}")
KEYS: Mapping[str, Pair] = MappingProxyType(
    {
        "lane": ("{arm} 号", "Lane {arm}"),
        "no_arm": ("都没动", "None"),
        "another_arm": ("别的闸机", "Another box"),
        "skip": ("这次不试", "Not now"),
        "cancel": ("取消调试", "Cancel"),
        "close": ("知道了", "Close"),
    }
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key that answers: `word` says what it is for, `arm` the arm it names."""

    word: str
    label: str
    arm: int = 0


@dataclass(frozen=True, slots=True)
class TrialLine:
    """A lane being commissioned, or how that ended: `level` "", "ok" or "w"."""

    number: int
    step: Step
    title: str
    text: str
    level: str
    keys: tuple[Key, ...]


def trial_line(told: TrialTold, lanes: Sequence[int], pick: Pick) -> TrialLine:
    """What the staff's face says; `lanes` are those of the box."""
    place = pick(PLACE).format(place=told.place, of=told.of) if told.place else ""
    title = pick(TITLE).format(lane=told.lane) + place
    level = {Step.DONE: "ok", Step.FAILED: "w"}.get(told.step, "")
    return TrialLine(told.number, told.step, title, said(told, pick), level, tuple(_keys(told.step, lanes, pick)))


def said(told: TrialTold, pick: Pick) -> str:
    """What to do now, or how it ended, as one sentence."""
    flaw = "" if told.flaw is None else flaw_said(told.flaw, pick)
    template = pick(STEPS[told.step])
    return template.format(digits=told.digits, unread=told.unread, pulses=told.pulses, most=PULSES_LIMIT, flaw=flaw)


def flaw_said(flaw: Flaw, pick: Pick) -> str:
    """What was not as it should be, and what to do."""
    another = flaw.kind is FlawKind.OTHER_ARM and flaw.lane == ANOTHER_ARM
    template = pick(ANOTHER_BOX if another else FLAWS[flaw.kind])
    roles = pick(("、", ", ")).join(pick(ROLES[role]) for role in flaw.roles)
    more = {"remedy": REMEDY, "aside": ASIDE}
    asides = {name: pick(words).format(detail=flaw.detail) if flaw.detail else "" for name, words in more.items()}
    return template.format(roles=roles, readers=flaw.readers, other=flaw.lane, detail=flaw.detail, **asides)


def _keys(step: Step, lanes: Sequence[int], pick: Pick) -> list[Key]:
    if step in OVER:
        return [Key("close", pick(KEYS["close"]))]
    keys = []
    if step is Step.ARM:
        keys += [Key("arm", pick(KEYS["lane"]).format(arm=lane), lane) for lane in lanes]
        keys += [Key("arm", pick(KEYS["no_arm"]), NO_ARM), Key("arm", pick(KEYS["another_arm"]), ANOTHER_ARM)]
    if step in MAY_SKIP:
        keys.append(Key("skip", pick(KEYS["skip"])))
    return [*keys, Key("cancel", pick(KEYS["cancel"]))]
