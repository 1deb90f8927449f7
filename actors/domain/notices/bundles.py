"""Several notices of a trader in one message (row N1): five sells at 15:10 are one thing to look at, not five."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

from actors.domain.notices.notice import AT_RISK, NoticeKind

BUNDLED_WITHIN = timedelta(seconds=3)
"""How long a notice waits for others that may go with it. Those of which money may depend never wait."""

MOST_OF_A_KIND = 5
"""How many notices of a kind are written out in one message; of more, one line says how many."""

_MANY: Mapping[NoticeKind, str] = MappingProxyType(
    {
        NoticeKind.FILL_ENTRY: "{} purchases",
        NoticeKind.EXIT_STOP: "{} sales at a stop-loss",
        NoticeKind.EXIT_TIME: "{} sales at their time",
        NoticeKind.EXIT_TARGET: "{} sales at a target",
        NoticeKind.EXIT_MANUAL: "{} sales by STOP",
        NoticeKind.NOT_BOUGHT: "{} NOT bought",
    }
)
_OTHERS = "{} notices more"


def may_wait(kind: NoticeKind) -> bool:
    """Whether a notice of this kind may go with others. A test that the trader asks for does not."""
    return kind not in AT_RISK and kind is not NoticeKind.TEST


def bundled(notices: Sequence[tuple[NoticeKind, str]]) -> str:
    """One text for notices in their order: a line for each, or one for all of a kind of which there are many."""
    counts, lines, counted = Counter(kind for kind, _ in notices), [], set()
    for kind, text in notices:
        if counts[kind] <= MOST_OF_A_KIND:
            lines.append(text)
        elif kind not in counted:
            counted.add(kind)
            lines.append(f"{_MANY.get(kind, _OTHERS).format(counts[kind])}: the inbox has each.")
    return "\n".join(lines)
