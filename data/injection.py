"""Phrases in other people's text that speak to a model, taken out by rule (PARAMETERS.md 1.4).

It keeps the plain attempts out of prompts and counts them. What it misses meets an answer schema
and the risk gate, which no text can widen.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

REMOVED: Final = "[removed]"  # what stands where such a phrase stood
_HOLE: Final = "\0"  # the same while at work: no word, so that what it parts is still one phrase

_OF_OURS = (
    r"(?:(?:all|any|every|the|your|our|my|of|these|those|this|previous|prior|above|earlier"
    r"|preceding|foregoing|former|existing|initial|original|given|system|safety|other)\W+)"
)
_ORDERS = r"(?:instructions?|prompts?|directives?|guidelines?|guardrails?|rules?|commands?|context)"
_ANSWERS = r"(?:long|short|buy|sell|hold|close)(?!-)"

_PHRASES: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # "ignore all previous instructions", "do not follow your rules"
        rf"\b(?:ignore|disregard|forget|override|bypass|overrule)\W+{_OF_OURS}{{1,6}}{_ORDERS}\b",
        r"\b(?:ignore|disregard|forget)\W+(?:everything|anything|all|what)\W+"
        r"(?:you\W+|that\W+|was\W+|were\W+|has\W+|have\W+|been\W+|said\W+|told\W+|is\W+)*"
        r"(?:above|before|so\W+far|previously|earlier)\b",
        rf"\b(?:do\W+not|don.?t|never|stop)\W+(?:follow(?:ing)?|obey(?:ing)?)\W+"
        rf"{_OF_OURS}{{1,6}}{_ORDERS}\b",
        # fresh instructions, announced
        rf"\b(?:new|updated|real|actual|true|secret|hidden)\W+(?:system\W+)?{_ORDERS}\s*:",
        r"\b(?:system|developer)\W+(?:prompt|message|override)\b",
        rf"\b(?:reveal|print|repeat|show|leak|output)\W+(?:me\W+)?(?:your|the\W+system)\W+"
        rf"(?:\w+\W+)?{_ORDERS}\b",
        # "you are now a ...", "pretend to be ..."
        r"\byou\W+are\W+(?:now|no\W+longer)\W+(?:a|an|the|in|my|dan|acting|bound|required)\b",
        r"\bpretend\W+(?:to\W+be|that\W+you|you)\b",
        r"\b(?:enable|enter|activate)\W+(?:developer|debug|god|dan|jailbreak)\W+mode\b",
        # "answer only with BUY"
        rf"\b(?:respond|reply|answer)\W+(?:only\W+|always\W+|just\W+)*(?:with\W+)?{_ANSWERS}\b",
        rf"\b(?:you|agents?|models?|assistants?)\W+(?:must|should|shall)\W+(?:now\W+|always\W+)*"
        rf"(?:vote\W+|go\W+|say\W+|answer\W+)?{_ANSWERS}\b",
        # marks of whose turn it is
        r"<\|[^|>]{1,40}\|>",
        r"\[/?INST\]",
        r"<</?SYS>>",
        r"#{2,}\s*(?:system|instructions?|assistant|user|response)\b:?",
        r"^\s*(?:system|assistant|developer)\s*:",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """A text without such phrases."""

    text: str
    removed: int  # phrases taken out


def purged(text: str) -> Purged:
    """`text` as it is, or, where it speaks to a model, normalised (NFKC) and without those phrases.

    Two phrases that enclose each other count as two.
    """
    left = unicodedata.normalize("NFKC", text).replace(_HOLE, " ")
    removed = 0
    for _ in range(len(text)):  # every pass but the last takes out one at the least
        found = 0
        for phrase in _PHRASES:
            left, times = phrase.subn(_HOLE, left)
            found += times
        if not found:
            break
        removed += found
    return Purged(text=left.replace(_HOLE, REMOVED) if removed else text, removed=removed)
