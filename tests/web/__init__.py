"""The app in a real browser. The 26 checks that it must pass are named by number: `test_check_05_…`.

Beside this folder's own tests, which need only the app's files, `played` has those at a server that the test plays, and
`live` those on the running stack. Other tests show 15 (`tests/integration/api/brokers/test_browser_logins.py`), 18
(`tests/integration/api/strategies/test_preview.py`), 26 (`make web-check`), and of 25 what the server does
(`tests/unit/api/notifications/test_push_encryption.py`, `tests/integration/api/notifications`). Of 4 there is a script,
`make lighthouse`.

Not shown are: of 2 a list of fifty after a login, of 10 a phone that really sleeps, of 11 a day, of 14 a login by the
app's own button, of 25 the system's own notification, of 26 a machine without node.
"""
