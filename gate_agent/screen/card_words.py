"""What is said when a card was held to a reader and told nothing: to the visitor, and to the staff; zh and en."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gate_agent.faces import Verdict
from gate_agent.screen.staff_words import Telling
from gate_agent.screen.words import Sentence
from hardware.card_reader import CardTrouble
from wire.reasons import Reason

_OR_CODE = ("也可以出示年票码", "Or show your pass code")

VISITOR: Mapping[CardTrouble, Sentence] = MappingProxyType(
    {
        CardTrouble.UNREADABLE: Sentence("没有读清卡¦请再刷一次", "Could not read it. Tap the card again.", *_OR_CODE),
        CardTrouble.PULLED: Sentence(
            "卡拿得太快¦请再刷一次",
            "Taken away too soon. Tap it again.",
            "停在读卡区，等闸机回应",
            "Until it answers",
        ),
        CardTrouble.TWO_CARDS: Sentence(
            "一次只刷¦一张卡", "One card only, please.", "请把别的卡拿开一点", "Keep other cards away"
        ),
        CardTrouble.MUTE: Sentence(
            "没有读到卡¦请再刷一次",
            "No answer. Tap the card again.",
            "卡放平，或芯片朝前插到底",
            "Flat, or chip first",
        ),
        CardTrouble.LEFT_BEHIND: Sentence("请先拿开卡¦再刷一次", "Take the card away. Then tap it again.", *_OR_CODE),
        CardTrouble.FOREIGN: Sentence(
            "请刷社保卡¦或出示年票码", "Not a social-security card. Tap that, or show your code.", *_OR_CODE
        ),
        CardTrouble.LOCKED: Sentence(
            "此卡不能读¦请出示年票码",
            "This card is locked. Show your pass code.",
            "解锁请问社保服务",
            "Ask social security",
        ),
        CardTrouble.UNPROVEN: Sentence("此卡不能读¦请出示年票码", "This card cannot be read. Show your pass code."),
        CardTrouble.READER: Sentence("此卡不能读¦请出示年票码", "This card cannot be read. Show your pass code."),
    }
)

ELECTRONIC: Mapping[Verdict, Sentence] = MappingProxyType(
    {
        Reason.CODE_TOO_OLD: Sentence("码已过时¦请刷新此码", "Code too old. Please refresh it.", *_OR_CODE),
        Reason.CODE_REUSED: Sentence("此码刚用过¦请刷新此码", "Code already used. Please refresh it.", *_OR_CODE),
    }
)
"""Of an electronic card's code, which is not drawn by 我的年票."""

ELECTRONIC_STAFF: Mapping[Verdict, Telling] = MappingProxyType(
    {
        Reason.CODE_TOO_OLD: Telling(
            "电子社保卡的码已过期，发卡平台不再认它。",
            "请刷新电子社保卡再扫，或出示年票码。",
            "The electronic card's code has run out; its platform takes it no longer.",
            "Please refresh the electronic card and scan again, or show the pass code.",
        ),
        Reason.CODE_REUSED: Telling(
            "电子社保卡的码每个只能验一次，这个已经验过。",
            "请刷新电子社保卡再扫，或出示年票码。",
            "An electronic card's code is good once; this one was checked before.",
            "Please refresh the electronic card and scan again, or show the pass code.",
        ),
        Reason.CARD_UNKNOWN: Telling(
            "持卡人没有办年票，或名单还没同步到本机。",
            "电子社保卡没有查到年票，请出示年票码。",
            "Its holder has no pass, or the list has not reached this gate yet.",
            "No pass was found for the electronic card; please show the pass code.",
        ),
    }
)

STAFF: Mapping[CardTrouble, Telling] = MappingProxyType(
    {
        CardTrouble.UNREADABLE: Telling(
            "读卡器收到的内容不完整，没有读出卡。",
            "请再刷一次，不行就出示年票码。",
            "What came from the card was not complete.",
            "Please tap it again, or show the pass code.",
        ),
        CardTrouble.PULLED: Telling(
            "卡还没读完就移开了。",
            "请把卡贴住不动，等闸机回应再拿开。",
            "The card was taken away before it was read.",
            "Please hold the card still until the gate answers.",
        ),
        CardTrouble.TWO_CARDS: Telling(
            "读卡区里同时有两张卡，一张都没有读。",
            "请只拿一张卡来刷，别的卡离远一点。",
            "Two cards at once; neither was read.",
            "One card only, please; keep the other one away.",
        ),
        CardTrouble.MUTE: Telling(
            "读卡器感到有卡，但卡没有应答：放反、没插到底，或卡已损坏。",
            "请把卡放平，或芯片朝前插到底再试。",
            "A card is there and does not answer: wrong way round, not fully in, or damaged.",
            "Please lay it flat, or push it fully in with the chip first.",
        ),
        CardTrouble.LEFT_BEHIND: Telling(
            "读卡器刚接上时卡已经放在上面，没有读。",
            "请先把卡拿开，再刷一次。",
            "The card lay there when the reader came on; it was not read.",
            "Please take the card away and tap it again.",
        ),
        CardTrouble.FOREIGN: Telling(
            "这不是社保卡（银行卡、交通卡或其他卡）。",
            "请刷社保卡，或出示年票码。",
            "Not a social-security card (bank, transport or another card).",
            "Please tap the social-security card, or show the pass code.",
        ),
        CardTrouble.LOCKED: Telling(
            "卡已被发卡单位锁定。",
            "请出示年票码入园，卡的问题请问社保服务。",
            "The card is locked by who issued it.",
            "Please show the pass code; social security can unlock the card.",
        ),
        CardTrouble.UNPROVEN: Telling(
            "卡没有通过真伪认证，可能是复制的，请查看实物。",
            "请出示年票码，我来核对一下。",
            "The card failed its authentication and may be a copy; look at it.",
            "Please show the pass code, I will check it.",
        ),
        CardTrouble.READER: Telling(
            "读卡器缺少读这种卡的密钥或正被占用，请联系供应商。",
            "这台机器读不了这张卡，请出示年票码。",
            "The reader lacks the keys for this card, or is in use by another program; tell its supplier.",
            "This machine cannot read the card; please show the pass code.",
        ),
    }
)
