"""Files that are no recorded day of an intraday market: each is refused in one sentence that says why."""

import gzip
import io
import zipfile
from datetime import date, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from actors.domain.session import SessionHours
from actors.replay.files.faults import NotARecording
from actors.replay.files.options import ReadingOptions
from actors.replay.files.reading import read_recording
from tests.unit.replay.recordings import HEADER, MINUTE, OPEN, a_file, minutes, ours, ours_of

AT = "2019-07-09T09:15:00+05:30"
GOOD = "95.00,96.00,93.90,94.85,100"
NEXT = f"2019-07-09T09:16:00+05:30,{GOOD}"


def refusal(folder: Path, content: str | bytes, options: ReadingOptions | None = None, name: str = "day.csv") -> str:
    with pytest.raises(NotARecording) as refused:
        read_recording(a_file(folder, content, name), options)
    assert str(refused.value).startswith(f"{name}: ")
    return str(refused.value).removeprefix(f"{name}: ")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (f"{AT},95.00,96.00,0,94.85,1", "line 2: the low is '0': a price is above zero; mend it, or cut it out"),
        (f"{AT},95.00,96.00,-1,94.85,1", "line 2: the low is '-1': a price is above zero; mend it, or cut it out"),
        (f"{AT},95.00,93.00,94.00,94.50,1", "line 2: the high 93.00 is below the low 94.00; mend it, or cut it out"),
        (
            f"{AT},97.00,96.00,94.00,94.50,1",
            "line 2: the open 97.00 is not between the low 94.00 and the high 96.00; mend it, or cut it out",
        ),
        (
            f"{AT},95.00,96.00,94.00,93.50,1",
            "line 2: the close 93.50 is not between the low 94.00 and the high 96.00; mend it, or cut it out",
        ),
        (f"{AT},NaN,96.00,94.00,94.50,1", "line 2: the open is 'NaN': it is no price; write it as 1490.50"),
        (f"{AT},inf,96.00,94.00,94.50,1", "line 2: the open is 'inf': it is no price; write it as 1490.50"),
        (f"{AT},1e400,96.00,94.00,94.50,1", "line 2: the open is '1e400': it is no price; write it as 1490.50"),
        (
            f"{AT},1e99,96.00,94.00,94.50,1",
            "line 2: the open is '1e99': no share costs more than 10,000,000 rupees; mend it",
        ),
        (f"{AT},95.00,many,94.00,94.50,1", "line 2: the high is 'many': it is no price; write it as 1490.50"),
        (f"{AT},९५,96.00,94.00,94.50,1", "line 2: the open is '९५': it is no price; write it as 1490.50"),
        (f"{AT},1_000,96.00,94.00,94.50,1", "line 2: the open is '1_000': it is no price; write it as 1490.50"),
        (
            f"{AT},95.001,96.00,94.00,94.50,1",
            "line 2: the open is '95.001': prices are whole paise; take them as traded, not adjusted",
        ),
        (
            f"{AT},0.000001,96.00,94.00,94.50,1",
            "line 2: the open is '0.000001': prices are whole paise; take them as traded, not adjusted",
        ),
        (
            f"{AT},95.00,96.00,93.90,94.85,-5",
            "line 2: the volume is '-5': it cannot be negative; mend it, or leave it empty",
        ),
        (
            f"{AT},95.00,96.00,93.90,94.85,some",
            "line 2: the volume is 'some': it is no number; mend it, or leave it empty",
        ),
        (
            f"{AT},95.00,96.00,93.90,94.85,1e400",
            "line 2: the volume is '1e400': it is no number; mend it, or leave it empty",
        ),
        (f"{AT},95.00,96.00,93.90", "line 2: it has 4 cells under 6 columns; cut it out, if it is no bar"),
        (
            f"{AT},1,234.50,1,240.00,1,230.00,1,235.00,1",
            (
                "line 2: it has 10 cells under 6 columns; name each column in the header, put prices with commas into "
                "quotes, or cut it out, if it is no bar"
            ),
        ),
        (
            f"09:15,{GOOD}",
            "line 2: '09:15' is no time; times are read as 2019-07-09 09:15, as 09-07-2019 09:15, or in Unix seconds",
        ),
        (
            f"2019-13-09T09:15:00+05:30,{GOOD}",
            "line 2: '2019-13-09T09:15:00+05:30' is no time: month must be in 1..12; mend it, or cut it out",
        ),
        (
            f"2019-07-09T25:15:00+05:30,{GOOD}",
            "line 2: '2019-07-09T25:15:00+05:30' is no time: hour must be in 0..23; mend it, or cut it out",
        ),
        (
            f"0001-01-01T00:00:00+05:30,{GOOD}",
            "line 2: '0001-01-01T00:00:00+05:30' is of the year 1; mend its time, or cut the line out",
        ),
        (
            f"07/23/2019 09:15,{GOOD}",
            "line 2: '07/23/2019 09:15' has the month 23: dates are read day first, or year first; write them so",
        ),
        (
            f"9-Foo-2019 09:15,{GOOD}",
            "line 2: '9-Foo-2019 09:15' has no month that is known; write it as 2019-07-09 09:15",
        ),
        (
            f"9-07-2019 13:15 PM,{GOOD}",
            "line 2: '9-07-2019 13:15 PM' is no time: an hour before am or pm is 1 to 12; mend it, or cut it out",
        ),
        (
            f"2019-07-09,{GOOD}",
            "line 2: '2019-07-09' has no time of day: a daily bar cannot time a BUY or a SELL; export one-minute bars",
        ),
    ],
)
def test_a_row_that_no_market_made_is_named(tmp_path: Path, row: str, why: str) -> None:
    assert refusal(tmp_path, ours(row, NEXT)) == why


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (
            (NEXT, f"{AT},{GOOD}"),
            "line 3: 09 Jul 2019 09:15:00 comes after 09 Jul 2019 09:16:00: times must rise; sort the file by time",
        ),
        (
            (f"{AT},{GOOD}", f"{AT},95.10,96.00,93.90,94.85,100"),
            "line 3: a second and different bar of 09 Jul 2019 09:15:00; keep one of the two",
        ),
        (
            (f"{AT},{GOOD}", f"2019-07-09T09:16:00,{GOOD}"),
            "line 3: '2019-07-09T09:16:00' has no offset, and those before it have one: write all alike",
        ),
        (
            (f"2019-07-09T09:15:00,{GOOD}", NEXT),
            "line 3: '2019-07-09T09:16:00+05:30' has an offset, and those before it have none: write all alike",
        ),
        ((f"{AT},{GOOD}",), "one bar of 09 Jul 2019 is no recorded day: export the day again, one row for each minute"),
        ((), "it holds no bars: export the day again, one row for each minute"),
    ],
)
def test_rows_that_contradict_each_other_are_named(tmp_path: Path, rows: tuple[str, ...], why: str) -> None:
    assert refusal(tmp_path, ours(*rows)) == why


def test_times_of_another_zone_are_refused_with_the_option_that_helps(tmp_path: Path) -> None:
    utc = ours_of(*(at.replace(hour=3, minute=45 + i, tzinfo=None) for i, at in enumerate(minutes(0, 1))))
    assert refusal(tmp_path, utc) == (
        "its bars of 09 Jul 2019 are of 03:45 to 03:46 IST, and the session is 09:15 to 15:30; its times carry no "
        "offset and are taken for Asia/Kolkata: name their zone with --tz, such as --tz UTC, or a special session with "
        "--session"
    )


def test_times_outside_the_session_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, ours_of(*minutes(0, 1, 9 * 60))) == (
        "its bars of 09 Jul 2019 are of 09:15 to 18:15 IST, and the session is 09:15 to 15:30; "
        "name a special session with --session, such as --session 18:00-19:15"
    )


def test_a_session_without_bars_is_refused(tmp_path: Path) -> None:
    evening = ReadingOptions(session=SessionHours(time(18), time(19)))
    assert "and the session is 18:00 to 19:00" in refusal(tmp_path, ours_of(*minutes(0, 1)), evening)


def test_daily_bars_are_refused(tmp_path: Path) -> None:
    days = [OPEN.replace(hour=0, minute=0, day=day) for day in (8, 9, 10)]
    why = "it has one bar a day (3 days): a daily bar cannot time a BUY or a SELL; export one-minute bars"
    assert refusal(tmp_path, ours_of(*days)) == why
    assert refusal(tmp_path, ours_of(*days), ReadingOptions(day=date(2019, 7, 9))) == why


@pytest.mark.parametrize(
    "header",
    [
        "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP",
        "SC_CODE,SC_NAME,OPEN,HIGH,LOW,CLOSE,LAST",
        "TradDt,BizDt,Sgmt,TckrSymb,SctySrs,OpnPric,HghPric,LwPric,ClsPric,TtlTradgVol",
    ],
)
def test_the_exchanges_daily_lists_are_refused(tmp_path: Path, header: str) -> None:
    assert refusal(tmp_path, f"{header}\n") == (
        "line 1: this is a bhavcopy: a daily bar cannot time a BUY or a SELL; export one-minute bars of the share"
    )


def test_bars_that_are_hours_apart_are_refused(tmp_path: Path) -> None:
    why = "its bars of 09 Jul 2019 are hours apart, as in no intraday market; export one-minute bars"
    assert refusal(tmp_path, ours_of(*minutes(0, 180))) == why


def test_one_of_several_days_must_be_chosen(tmp_path: Path) -> None:
    two_days = ours_of(*minutes(0, 1), *(at + 24 * 60 * MINUTE for at in minutes(0, 1)))
    held = "it holds 2 days, 09 Jul 2019 to 10 Jul 2019"
    assert refusal(tmp_path, two_days) == f"{held}: choose one with --date YYYY-MM-DD"
    another = ReadingOptions(day=date(2019, 7, 11))
    assert refusal(tmp_path, two_days, another) == f"it has no bars on 11 Jul 2019: choose another --date; {held}"
    why = "it has no bars on 11 Jul 2019: choose another --date; it holds 09 Jul 2019"
    assert refusal(tmp_path, ours_of(*minutes(0, 1)), another) == why


def test_one_of_several_symbols_must_be_chosen(tmp_path: Path) -> None:
    content = ours(f"A,{AT},{GOOD}", f"B,{AT},{GOOD}", header=f"symbol,{HEADER}")
    assert refusal(tmp_path, content) == "line 3: it holds 'A' and 'B': choose one with --symbol"
    assert refusal(tmp_path, content, ReadingOptions(symbol="C")) == "it holds no bars of 'C': leave --symbol out"
    yfinance = "Price,Close,High,Low,Open,Volume\nTicker,A.NS,B.NS,A.NS,B.NS,A.NS\n"
    assert refusal(tmp_path, yfinance) == "line 2: it holds 'A.NS' and 'B.NS': choose one with --symbol"


def test_bars_are_not_taken_for_those_of_another_symbol(tmp_path: Path) -> None:
    another = ReadingOptions(symbol="INFY")
    silent = "it does not say which symbol its bars are of: leave --symbol out"
    assert refusal(tmp_path, ours_of(*minutes(0, 1)), another) == silent
    yfinance = "Price,Close,High,Low,Open,Volume\nTicker,A.NS,A.NS,A.NS,A.NS,A.NS\nDatetime,,,,,\n"
    bars = "".join(f"2019-07-09 03:4{minute}:00+00:00,95,96,94,95,1\n" for minute in (5, 6))
    assert refusal(tmp_path, yfinance + bars, another) == "it holds no bars of 'INFY': leave --symbol out"
    read_recording(a_file(tmp_path, yfinance + bars), ReadingOptions(symbol=" a.ns "))


def test_a_symbol_in_two_spellings_can_be_chosen(tmp_path: Path) -> None:
    content = ours(f"A,{AT},{GOOD}", f"a,{NEXT}", f"B,{NEXT}", header=f"symbol,{HEADER}")
    assert len(read_recording(a_file(tmp_path, content), ReadingOptions(symbol="a")).bars) == 2


def test_columns_that_are_missing_or_stand_twice_are_named(tmp_path: Path) -> None:
    assert refusal(tmp_path, ours("1,2", header="time,price")) == (
        "no line names the columns open, high, low and close, as the first must; it is 'time,price'"
    )
    why = (
        "line 1: no column is called date or time: call that of the times so; the columns are 'open, high, low, close'"
    )
    assert refusal(tmp_path, "open,high,low,close\n") == why
    assert refusal(tmp_path, "date,open,high,low,close,close\n") == (
        "line 1: two columns are called 'close': keep the columns of one symbol in the file"
    )


@pytest.mark.parametrize(
    ("at", "why"),
    [
        (
            "2019-03-10 02:30:00",
            "does not exist in America/New_York, whose clocks were put forward: name the zone of the times with --tz",
        ),
        (
            "2019-11-03 01:30:00",
            "happened twice in America/New_York, whose clocks were put back: write the times with their offset",
        ),
    ],
)
def test_times_that_a_changed_clock_makes_unclear_are_refused(tmp_path: Path, at: str, why: str) -> None:
    options = ReadingOptions(zone=ZoneInfo("America/New_York"))
    assert refusal(tmp_path, ours(f"{at},{GOOD}"), options) == f"line 2: '{at}' {why}"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"\xff\xfe", "it is empty"),
        (b"\n \n", "it is empty"),
        (gzip.compress(b""), "it is empty"),
        (b"%PDF-1.7", "it is a PDF document, not text"),
        (b"PAR1\x15\x04", "it is a Parquet file, not text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "it is a workbook of an older Excel, not text"),
        (gzip.compress(gzip.compress(b"x")), "it is packed twice, not text"),
        (b"BZh91AY", "it is packed by bzip2, not text"),
        (bytes(100), "it is no text, since it holds zero bytes"),
        (f"{HEADER}\n".encode() + b"\xe9\n", "it is no text in UTF-8"),
        (HEADER.encode("utf-16")[:-1], "it is no text in UTF-16"),
        (b"\xff\xfe" + b"a\x00\x00\xd8b\x00", "it is no text in UTF-16"),
        (gzip.compress(ours(NEXT).encode())[:-9], "it cannot be read: it is damaged or cut off; fetch it again"),
        (b"\x1f\x8b\x08\x00aaaaaaaaaaaaaa", "it cannot be read: "),
        (b"PK\x03\x04aaaa", "it cannot be read: it is damaged or cut off; fetch it again"),
        (b"{", "line 1, column 2: it is no JSON: "),
        (b"[]", "it is JSON without candles"),
        (b'{"status": "error", "message": "no"}', "it is JSON without candles"),
        (b"[" * 100_000, "it is JSON that is nested too deeply"),
        (b"[[1, 2]]", "candle 1: it is no candle; a list of candles is read"),
        (b'[{"open": 1}]', "candle 1: it is no candle; a list of candles is read"),
        (
            b'[["2019-07-09T09:15:00+0530", 1e400, 2, 1, 1]]',
            "candle 1: the open is '1e400': it is no price; write it as 1490.50",
        ),
        (
            b'[["2019-07-09T09:15:00+0530", NaN, 2, 1, 1]]',
            "candle 1: the open is 'NaN': it is no price; write it as 1490.50",
        ),
        (
            b'[["\\ud83d", 1, 2, 1, 1]]',
            "candle 1: '\ufffd' is no time; cut it out, if it is no bar",
        ),
        (b'[["2019-07-09T09:15:00+0530", [], 2, 1, 1]]', "candle 1: it holds more than texts and numbers"),
        (b'[["2019-07-09T09:15:00+0530", true, 2, 1, 1]]', "candle 1: it holds more than texts and numbers"),
        (b"[[1562643900, 1" + b"0" * 5000 + b", 2, 1, 1]]", "candle 1: the open is '1000"),
    ],
)
def test_bytes_that_are_no_table_are_refused(tmp_path: Path, content: bytes, why: str) -> None:
    assert refusal(tmp_path, content).startswith(why)


def test_a_zip_that_holds_several_files_or_a_workbook_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, a_zip("a.csv", "b.csv")) == "it is a zip of 2 files; unpack the one that is meant"
    assert refusal(tmp_path, a_zip("[Content_Types].xml", "x")) == "it is an Excel workbook; save the sheet as CSV"


def test_a_line_without_end_is_refused_before_it_is_read(tmp_path: Path) -> None:
    why = "line 2: it is longer than 65,536 characters; cut it out, if it is no bar"
    assert refusal(tmp_path, ours(f"{AT},{'9' * 10_000_000},1,1,1,1")) == why
    assert refusal(tmp_path, ours('"' + "\n" * 200_000)).startswith("line ")


def test_a_gigabyte_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = a_file(tmp_path, HEADER)
    with path.open("r+b") as file:
        file.truncate(1_000_000_000)
    with pytest.raises(NotARecording, match=r"day\.csv: it holds more than 200 MB; cut out the days that are needed"):
        read_recording(path)


def test_a_small_file_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    why = "it holds more than 200 MB; cut out the days that are needed"
    spaces = (b" " * 9_999 + b"\n") * 21_000
    bomb = gzip.compress(f"{HEADER}\n".encode()) + gzip.compress(spaces, compresslevel=1)
    assert len(bomb) < 2_000_000
    assert refusal(tmp_path, bomb) == why
    assert refusal(tmp_path, a_zip("a.csv", data=f"{HEADER}\n".encode() + spaces)) == why


def test_lines_without_number_are_refused(tmp_path: Path) -> None:
    bomb = gzip.compress(f"{HEADER}\n".encode() + b"\n" * 6_000_000)
    assert refusal(tmp_path, bomb) == "it has more than 5,000,000 lines; cut out the days that are needed"


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotARecording, match=r"gone\.csv: it cannot be read: No such file or directory"):
        read_recording(tmp_path / "gone.csv")


def test_what_a_terminal_would_act_on_is_not_repeated(tmp_path: Path) -> None:
    assert refusal(tmp_path, ours(f"\x1b[2J,{GOOD}")).startswith("line 2: '\ufffd[2J' is no time; ")


def a_zip(*names: str, data: bytes = b"") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, data)
    return packed.getvalue()
