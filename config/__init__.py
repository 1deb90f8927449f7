"""Settings, and what starts from them.

`settings`, `secret_store` and `logging` lie below everything; `commands` and `stack` stand above everything.
"""
