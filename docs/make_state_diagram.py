"""Draw the strategy's transition table into docs/architecture.md, between the markers.

    .venv/bin/python docs/make_state_diagram.py

`tests/unit/docs/test_docs.py` fails when the drawing is not that of `actors.domain.strategy.state.TRANSITIONS`.
"""

from pathlib import Path

from actors.domain.strategy.events import RunRecovered
from actors.domain.strategy.state import TRANSITIONS, Phase

PAGE = Path(__file__).parent / "architecture.md"
BEGIN = "<!-- transitions: begin (written by docs/make_state_diagram.py) -->"
END = "<!-- transitions: end -->"


def block() -> str:
    """Everything between the markers: the drawing, then the whole table."""
    return "\n".join([BEGIN, "", *_diagram(), "", *_table(), "", END])


def page_with_block(page: str) -> str:
    """The page with its block brought up to date.

    Raises:
        ValueError: the page has not exactly one pair of markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"{PAGE.name} must hold one pair of markers")
    return before + block() + after


def _diagram() -> list[str]:
    """Moves only: what leaves the phase as it was, and what recovery may find, is in the table."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {Phase.SCHEDULED.name}"]
    for phase, events in TRANSITIONS.items():
        for target in Phase:
            causes = [e.__name__ for e, targets in events.items() if target in targets and e is not RunRecovered]
            if causes and target is not phase:
                lines.append(f"    {phase.name} --> {target.name} : {'<br/>'.join(causes)}")
    return [*lines, f"    {Phase.ENDED.name} --> [*]", "```"]


def _table() -> list[str]:
    phases = list(TRANSITIONS)
    events = sorted({event for row in TRANSITIONS.values() for event in row}, key=lambda event: event.__name__)
    lines = ["| event | " + " | ".join(phase.name for phase in phases) + " |", "|---" * (len(phases) + 1) + "|"]
    for event in events:
        cells = [_cell(phase, TRANSITIONS[phase].get(event)) for phase in phases]
        lines.append(f"| `{event.__name__}` | " + " | ".join(cells) + " |")
    return lines


def _cell(phase: Phase, targets: frozenset[Phase] | None) -> str:
    if targets is None:
        return "illegal"
    moves = [target.name for target in Phase if target in targets and target is not phase]
    return "<br/>".join((["·"] if phase in targets else []) + moves)


if __name__ == "__main__":
    PAGE.write_text(page_with_block(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
