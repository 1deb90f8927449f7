"""Whatever bytes a file holds and however a good file is spoilt: it is read, or refused in one sentence."""

import gzip
import tempfile
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.replay.files.faults import NotARecording
from actors.replay.files.reading import Recording, read_recording
from actors.replay.ticks import walked
from tests.unit.replay.files.test_forms import (
    AMIBROKER,
    APART,
    KAGGLE,
    KITE_CSV,
    KITE_JSON,
    OBJECTS,
    SEMICOLONS,
    TRADINGVIEW_UNIX,
    UPSTOX,
    YFINANCE,
)
from tests.unit.replay.recordings import HEADER, minutes, ours_of

FORMS = [KITE_JSON, OBJECTS, KITE_CSV, KAGGLE, UPSTOX, APART, AMIBROKER, YFINANCE, TRADINGVIEW_UNIX, SEMICOLONS]
MARKS = [b"\xff\xfe", b"\xef\xbb\xbf", b"\x1f\x8b\x08", b"PK\x03\x04", b"{", b"["]
CODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]
CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["NaN", "inf", "-0", "1e400", "1e-400", "", "0", "-1", "9" * 40, "95", "95,5", "1,000.5", "٣"]),
    st.sampled_from(
        ["2019-07-09T09:15:00+05:30", "2019-07-09 09:15", "99999999999999", "1562643900", "9999-12-31 23:59"]
    ),
    st.sampled_from(["2019-07-09T09:15:00+99:99", "0001-01-01T00:00:00-23:59", "20190709 915", "31/02/2019 09:15"]),
)


def read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "day.csv"
        path.write_bytes(content)
        result = outcome(path)
    if isinstance(result, str):
        assert result.startswith("day.csv: ")
        assert result.isprintable()
        assert len(result) < 400
    else:
        assert all(bar.low > 0 for bar in result.bars)
        ticks = walked(result.bars, result.spacing, result.closes)
        assert all(earlier.at < later.at for earlier, later in pairwise(ticks))
        assert all(sentence.isprintable() for sentence in result.understood.sentences())


def outcome(path: Path) -> Recording | str:
    try:
        return read_recording(path)
    except NotARecording as refused:
        return str(refused)


@given(st.binary(max_size=300))
@example(b"PK\x03\x04" + bytes(60))
@example(b"\x1f\x8b\x08\x04\xff\xff\xff\xff")
def test_any_bytes(content: bytes) -> None:
    read_or_refused(content)


@given(st.binary(max_size=120), st.sampled_from(MARKS))
def test_any_bytes_after_a_mark_that_is_known(content: bytes, mark: bytes) -> None:
    read_or_refused(mark + content)


@given(st.text(max_size=200))
def test_any_text_under_our_header(text: str) -> None:
    read_or_refused(f"{HEADER}\n{text}".encode(errors="surrogatepass"))


@given(st.lists(st.lists(CELLS, min_size=6, max_size=6), max_size=4))
def test_any_cells_under_our_header(rows: list[list[str]]) -> None:
    read_or_refused("\n".join([HEADER, *(",".join(cells) for cells in rows)]).encode(errors="surrogatepass"))


@settings(max_examples=300)
@given(st.sampled_from(FORMS), st.sampled_from(CODINGS), st.booleans(), st.data())
def test_any_good_file_that_was_spoilt(form: str, coding: str, packed: bool, data: st.DataObject) -> None:
    content = form.encode(coding)
    content = gzip.compress(content, mtime=0) if packed else content
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, min(begin + 8, len(content))))
    read_or_refused(content[:begin] + data.draw(st.binary(max_size=8)) + content[end:])


@given(st.sets(st.integers(0, 374), min_size=2))
def test_any_minutes_of_a_session_are_a_recording(numbers: set[int]) -> None:
    starts = minutes(*sorted(numbers))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "day.csv"
        path.write_text(ours_of(*starts), encoding="utf-8")
        result = outcome(path)
    if isinstance(result, str):
        assert "hours apart" in result
        return
    covered = timedelta(minutes=375) - sum((gap.ends - gap.begins for gap in result.understood.gaps), timedelta())
    assert covered > timedelta()
    assert result.understood.bars == len(starts)
