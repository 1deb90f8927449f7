"""Whatever bytes the operator's file of sessions holds: it is days, or sentences that can be printed."""

import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from broker.market.override_file import OverrideFile
from broker.market.overrides import InvalidOverrides, Overrides

GOOD = (
    '2026-11-08 = "18:00-19:15"\n2026-11-24 = "closed"\n'
    '2026-12-05 = ["09:15-10:00", {hours = "11:45-12:40", square_off = "12:30", last_entry = "12:20"}]\n'
    '[[2026-12-12]]\nhours = "09:15-10:00"\n'
)
KEYS = st.one_of(st.sampled_from(["2026-11-08", "20261108", "hours", "square_off", "last_entry"]), st.text(max_size=8))
TEXTS = st.one_of(
    st.sampled_from(["closed", "18:00-19:15", "09:15-10:00, 11:45-12:40", "19:05", "24:00", "", ",", "-", "09:15-"]),
    st.text(max_size=12),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(), st.booleans(), st.floats()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def days_or_sentences(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "days.toml"
        path.write_bytes(content)
        problems, days = outcome(path)
    assert problems or all(
        earlier.closes <= later.opens for sessions in days.values() for earlier, later in pairwise(sessions)
    )
    assert all(problem.isprintable() and len(problem) < 400 for problem in problems)


def outcome(path: Path) -> tuple[tuple[str, ...], Overrides]:
    try:
        return (), OverrideFile(path).days
    except InvalidOverrides as refused:
        return refused.problems, {}


def written(value: object) -> str:
    """A value in TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else repr(value)


def quoted(text: str) -> str:
    """A text in TOML."""
    return '"' + "".join(f"\\U{ord(char):08x}" for char in text) + '"'


@given(st.binary(max_size=200))
@example(b"a = " + b"[" * 5000)
@example(b"a = " + b"1" * 5000)
@example(b"\xef\xbb\xbf")
def test_any_bytes(content: bytes) -> None:
    days_or_sentences(content)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_table(table: dict[str, object]) -> None:
    lines = [f"{quoted(key)} = {written(value)}" for key, value in table.items()]
    days_or_sentences("\n".join(lines).encode(errors="surrogatepass"))


@given(st.data())
def test_any_good_file_that_was_spoilt(data: st.DataObject) -> None:
    content = GOOD.encode(data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, min(begin + 8, len(content))))
    days_or_sentences(content[:begin] + data.draw(st.binary(max_size=8)) + content[end:])
