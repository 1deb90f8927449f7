"""`tradeactors replay`: what it prints, and its one sentence where a file or an option cannot be used."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from config.commands.cli import app
from tests.unit.replay.files.test_forms import KAGGLE
from tests.unit.replay.recordings import YESBANK, a_file, minutes, ours_of

DAY = ("--buy", "09:30", "--sell", "15:10", "--stop", "92.00", "--qty", "100")


def replayed(file: Path, *options: str, day: tuple[str, ...] = DAY) -> Result:
    return CliRunner().invoke(app, ["replay", str(file), *day, *options])


def refused(file: Path, *options: str) -> str:
    result = replayed(file, *options)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.count("\n") == 1
    return result.stderr.strip()


def test_it_says_what_it_understood_and_prints_the_decisions() -> None:
    result = replayed(YESBANK)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "CSV of TradeActors: 375 bars of 1 minute on Tue 09 Jul 2019, 09:15 to 15:29 IST."
    assert "100 YESBANK on 09 Jul 2019, stop-loss ₹92.00" in result.stdout
    assert lines[-1] == "STOP-LOSS Triggered. Profit or loss: ₹-395.00"


def test_json_keeps_its_fields_and_adds_what_was_understood() -> None:
    shown = json.loads(replayed(YESBANK, "--json").output)
    assert shown["decisions"] == [
        {"time": "2019-07-09T09:30:00+05:30", "event": "BUY", "price": 95.35, "quantity": 100},
        {"time": "2019-07-09T12:29:15+05:30", "event": "STOPLOSS", "price": 91.4, "quantity": 100},
    ]
    assert (shown["position"], shown["pnl"], shown["notes"]) == ("exited_by_sl", -395.0, [])
    assert shown["message"] == "STOP-LOSS Triggered"
    assert shown["recording"]["bars"] == 375


def test_times_in_utc_give_the_same_day(tmp_path: Path) -> None:
    content = YESBANK.read_text(encoding="utf-8").splitlines()
    utc = "\n".join([content[0], *(f"2019-07-09T{_utc(line[11:16])}:00Z{line[25:]}" for line in content[1:])])
    assert json.loads(replayed(a_file(tmp_path, utc), "--json").output)["pnl"] == -395.0


def test_a_day_that_ends_early_does_not_sell(tmp_path: Path) -> None:
    until_noon = "\n".join(YESBANK.read_text(encoding="utf-8").splitlines()[:166])
    result = replayed(a_file(tmp_path, until_noon))
    assert "SELL " not in result.stdout.split("Remark")[1].split("└")[0]
    assert "The recording ends at 12:00:00, and the SELL at 15:10:00 is not in it: nothing was sold." in result.stdout
    shown = json.loads(replayed(a_file(tmp_path, until_noon), "--json").output)
    assert (shown["position"], shown["pnl"], len(shown["decisions"])) == ("bought", 0.0, 1)


def test_a_buy_in_a_gap_is_said(tmp_path: Path) -> None:
    lines = YESBANK.read_text(encoding="utf-8").splitlines()
    gap = "\n".join([*lines[:10], *lines[25:]])
    assert "No bar holds 09:30:00: the BUY takes the next one, of 09:39:00." in replayed(a_file(tmp_path, gap)).stdout


def test_the_chart_is_written_and_named(tmp_path: Path) -> None:
    chart = tmp_path / "day.svg"
    assert replayed(YESBANK, "--chart", str(chart)).stdout.splitlines()[-1] == f"The day is drawn in {chart}"
    assert chart.read_text(encoding="utf-8").startswith("<?xml")
    json.loads(replayed(YESBANK, "--chart", str(chart), "--json").output)


def test_a_chart_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    chart = tmp_path / "no folder" / "day.svg"
    assert (
        refused(YESBANK, "--chart", str(chart))
        == f"{chart} cannot be written: No such file or directory; correct the path, or make what is missing"
    )


def test_a_chart_never_takes_the_place_of_the_recording(tmp_path: Path) -> None:
    recording = a_file(tmp_path, YESBANK.read_bytes(), "day.svg")
    assert refused(recording, "--chart", str(recording)).endswith("is the recording; name another file for the chart")
    assert recording.read_bytes() == YESBANK.read_bytes()


@pytest.mark.parametrize("name", ["[bold]-day.csv", "-.csv", "\x1b[2J-.csv", os.fsdecode(b"\xff\xfe-day.csv")])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    result = replayed(a_file(tmp_path, ours_of(*minutes(*range(375))), name), day=(*DAY[:4], "--stop", "90", *DAY[6:]))
    assert result.exit_code == 0, result.output
    assert "\x1b[2J" not in result.output
    assert refused(a_file(tmp_path, "", name)).endswith("it is empty: export the day again, one row for each minute")


@pytest.mark.parametrize("place", ["pipe.csv", "pipe:[1]"])
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / place)
    why = f"{place}: it is a named pipe, and no file; write the bars into a file first"
    assert refused(tmp_path / place) == why


def test_a_device_is_refused() -> None:
    assert refused(Path("/dev/zero")) == "zero: it is a device, and no file; write the bars into a file first"


@pytest.mark.parametrize("name", ["/dev/stdin", "-"])
def test_what_a_shell_hands_over_is_read(name: str) -> None:
    line = [sys.executable, "-m", "config.commands.cli", "replay", name, *DAY, "--json"]
    done = subprocess.run(line, input=YESBANK.read_bytes(), capture_output=True, check=False)
    assert json.loads(done.stdout)["pnl"] == -395.0, done.stderr


def test_a_chart_into_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "day.svg"
    os.mkfifo(pipe)
    assert refused(YESBANK, "--chart", str(pipe)).endswith("is a pipe or a device, and no file; name another file")


def test_a_symbol_is_no_markup(tmp_path: Path) -> None:
    named = KAGGLE.replace("date,", "symbol,date,").replace("2019-07", "[/bold],2019-07")
    day = ("--buy", "09:15:30", "--sell", "09:16:30", "--stop", "90", "--qty", "1")
    assert "1 [/bold] on 09 Jul 2019" in replayed(a_file(tmp_path, named), day=day).output


def test_a_file_that_is_no_recording_is_refused_in_one_sentence(tmp_path: Path) -> None:
    assert (
        refused(a_file(tmp_path, bytes(9))) == "day.csv: it is no text, since it holds zero bytes; save its bars as CSV"
    )


def test_a_dash_of_a_word_processor_is_a_hyphen() -> None:
    as_copied = ("--date", "2019–07–09", "--session", "09:15 – 15:30")
    assert replayed(YESBANK, *as_copied).stdout == replayed(YESBANK).stdout


def test_a_strategy_that_makes_no_sense_is_refused_in_one_sentence(tmp_path: Path) -> None:
    result = replayed(YESBANK, day=("--buy", "15:10", "--sell", "09:30", *DAY[4:]))
    assert (result.exit_code, result.stderr) == (1, "buy_at must be before sell_at\n")


@pytest.mark.parametrize(
    "options",
    [
        ("--date", "09-07-2019"),
        ("--tz", "Asia/Nowhere"),
        ("--tz", "/etc/passwd"),
        ("--tz", "../UTC"),
        ("--tz", ""),
        ("--session", "18:00"),
        ("--session", "19:00-18:00"),
        ("--stamps", "middle"),
        ("--chart", "day.csv"),
        ("--stop", "NaN"),
        ("--stop", "1e999999"),
        ("--stop", "-1"),
        ("--qty", "9" * 30),
        ("--buy", "25:00"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_before_the_file_is_read(
    tmp_path: Path, options: tuple[str, str]
) -> None:
    result = replayed(a_file(tmp_path, ""), *options)
    assert result.exit_code == 2
    assert options[0] in result.stderr


def test_the_options_lead_to_a_day_of_a_file_of_many(tmp_path: Path) -> None:
    days = KAGGLE + KAGGLE.split("\n", 1)[1].replace("-09 ", "-10 ")
    day = ("--buy", "09:15:30", "--sell", "09:16:30", "--stop", "90", "--qty", "1", "--json")
    shown = replayed(a_file(tmp_path, days), "--date", "2019-07-10", "--tz", "Asia/Kolkata", day=day)
    assert json.loads(shown.output)["recording"]["date"] == "2019-07-10"


def _utc(clock: str) -> str:
    minutes_of_day = int(clock[:2]) * 60 + int(clock[3:]) - 330
    return f"{minutes_of_day // 60:02}:{minutes_of_day % 60:02}"
