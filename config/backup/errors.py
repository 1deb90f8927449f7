"""Why a backup cannot be made, or not be restored."""

from config.stack.guarded_process import StackError


class BackupRefused(StackError):
    """Nothing was written, or nothing was restored; the message says why, and what to do."""
