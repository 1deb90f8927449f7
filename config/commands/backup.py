"""`tradeactors backup` and `restore`: everything that the embedded stack keeps, in one file, and its way back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.commands.base.deployment import DataDir

if TYPE_CHECKING:
    from config.backup.archive import Manifest
    from config.backup.create import MadeBackup
    from config.backup.restore import RestoredBackup


def _file(text: str) -> Path:
    """The path of a file, without looking at what is there."""
    if not text or text.endswith("/"):
        raise typer.BadParameter(f"{text or 'an empty name'} names no file; add the name of one, such as backup.tar")
    if not all(letter.isprintable() or _SURROGATES[0] <= letter <= _SURROGATES[1] for letter in text):
        shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
        raise typer.BadParameter(f"{shown} has a line break or another letter that cannot be seen; rename it")
    return Path(text)


_SURROGATES = "\udc80", "\udcff"
"""What Python makes of a byte that is no UTF-8, such as a name of an older system has."""

File = Annotated[Path, typer.Argument(help="The file of the backup.", metavar="FILE", parser=_file)]
Replace = Annotated[bool, typer.Option("--force", help="Replace an older backup.")]
Aside = Annotated[bool, typer.Option("--force", help="Move a data directory that is not empty aside before.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether the earlier stack is stopped for good.")]

_TWO_STACKS = (
    "The stack that this backup is of must be stopped, and must never start again: two stacks on one broker account "
    "trade twice and sell each other's shares. TradeActors cannot see the other one."
)
_WHAT_GOES_ON = (
    "When `up` starts, strategies that hold shares go on if the order book of the day proves what is left; the others "
    "wait for their users' word (needs_confirmation). Those that had not bought end (restored_from_backup): nothing is "
    "bought before a new START."
)
_WHAT_IS_NOT_KNOWN = "STRATEGIES THAT WERE STARTED AFTER THE BACKUP ARE NOT KNOWN HERE: what they hold is not guarded."
_WHAT_TO_LOOK_AT = (
    "Look at each account at the broker, now. Positions and holdings that no strategy here shows as bought were bought "
    "after the backup, or by their owner. Open orders with a tag of twenty letters and digits may be of a strategy "
    "that is not known here: cancel those that are. Then ask the owner, and sell by hand what is not to be kept."
)
_WHAT_USERS_SAY = (
    "Each user whose strategy shows needs_confirmation says in the app that he still holds its shares (POST "
    "/strategy/{id}/held: they are guarded again) or that he has sold them (POST /strategy/{id}/closed)."
)


def backup(file: File, data_dir: DataDir = None, force: Replace = False) -> None:
    """Write database, secrets and settings of the embedded stack into one file; strategies may run meanwhile."""
    from config.commands.base.failures import plain_failures
    from config.commands.limits import TO_KEEP, refuse_limits

    with plain_failures():
        refuse_limits(TO_KEEP)
        from config.backup.create import make_backup
        from config.settings import given_settings
        from config.stack.guarded_process import interrupt_on_signals

        with interrupt_on_signals():
            made = make_backup(given_settings(data_dir=data_dir), file.absolute(), replace_old=force)
        for line in backup_report(made):
            typer.echo(line)


def restore(file: File, data_dir: DataDir = None, force: Aside = False, yes: Yes = False) -> None:
    """Fill an empty data directory from a backup; `up` then goes on with what the order book proves."""
    from config.commands.base.failures import confirm, plain_failures
    from config.commands.limits import TO_KEEP, refuse_limits

    with plain_failures():
        refuse_limits(TO_KEEP)
        from config.backup.restore import restore_backup
        from config.settings import given_settings
        from config.stack.guarded_process import interrupt_on_signals

        settings = given_settings(data_dir=data_dir)
        if not yes:
            typer.echo(_TWO_STACKS)
            confirm("Is that stack stopped for good?")
        with interrupt_on_signals():
            restored = restore_backup(settings, file.absolute(), move_aside=force)
        for line in restore_report(restored, settings.data_dir):
            typer.echo(line)


def backup_report(made: "MadeBackup") -> list[str]:
    """What the operator must know about a backup, a sentence a line."""
    manifest = made.manifest
    versions = f"TradeActors {manifest.product_version}, PostgreSQL {manifest.postgres_version}"
    lines = [
        f"{made.path}: {made.size} bytes, as of {manifest.backed_up_at:%Y-%m-%d %H:%M:%S} UTC ({versions}).",
        "KEEP IT SECRET: with its keys, a stranger can trade in every connected account.",
    ]
    if sealed := _sealed_with_other_keys(manifest):
        lines.append(
            f"{sealed} are sealed with other keys (TRADEACTORS_ENCRYPTION_KEYS), which are not in it: keep these keys, "
            "apart from it, or those users must connect again."
        )
    if made.damaged_line is not None:
        lines.append(
            f"The paper exchange's ledger is damaged in line {made.damaged_line}: `up` on it, or on what is restored, "
            "wants paper/ledger.jsonl mended or moved away. An earlier backup may have it whole."
        )
    lines.append("Secrets that are set as variables or files (.env, SECRETS_DIR) are not in it.")
    return lines


def restore_report(restored: "RestoredBackup", data_dir: Path) -> list[str]:
    """What the operator must know and do after a restore, a sentence a line."""
    manifest = restored.manifest
    at = f"{manifest.backed_up_at:%Y-%m-%d %H:%M:%S} UTC"
    lines = [f"{data_dir} is as it was at {at}. Nothing runs yet: start it with `tradeactors up`."]
    if restored.moved_aside is not None:
        lines.append(f"What was there before is in {restored.moved_aside}. Start nothing on it.")
    lines += [f"Strategies that were running: {restored.open_runs}.", _WHAT_GOES_ON]
    lines += [_WHAT_USERS_SAY, _WHAT_IS_NOT_KNOWN, _WHAT_TO_LOOK_AT, _TWO_STACKS]
    for name, (then, now) in restored.other_settings.items():
        lines.append(f"{name} was {then or '(not set)'}, and is {now or '(not set)'} here.")
    if restored.calendar is not None:
        lines.append(f"The file of TRADEACTORS_CALENDAR_OVERRIDES is now {restored.calendar}: set the variable to it.")
    if sealed := _sealed_with_other_keys(manifest):
        lines.append(
            f"{sealed} need keys that were set as TRADEACTORS_ENCRYPTION_KEYS: set them again, or those users must "
            "connect again."
        )
    return lines


def _sealed_with_other_keys(manifest: "Manifest") -> str:
    counts = {"broker connections": manifest.foreign_keys, "channels of notices": manifest.foreign_channels}
    return " and ".join(f"{count} {what}" for what, count in counts.items() if count)
