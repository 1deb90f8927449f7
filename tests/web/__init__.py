"""The app in a real browser. The 26 checks that it must pass are named by number: `test_check_05_…`.

Beside this folder's own tests, which need only the app's files, `live` has those on the running stack. Other tests show
15 (`tests/integration/api/brokers/test_browser_logins.py`), 18 (`tests/integration/api/strategies/test_preview.py`), 25
(`tests/unit/api/notifications/test_push_encryption.py`, `tests/integration/api/notifications`) and 26 (`make
web-check`).

Not shown are: of 5 the text at 200 % behind the login, of 9 an API that is killed, of 10 ten minutes, of 16 twenty
holdings and one that fails, of 25 each kind of notice. No test has: 3 (200 strategies), 4 (Lighthouse), 11 (a token
that ends while something is held).
"""
