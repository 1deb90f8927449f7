"""The app in a real browser. The 26 checks that it must pass are named by number: `test_check_05_…`.

Beside this folder's own tests, which need only the app's files, `played` has those at a server that the test plays, and
`live` those on the running stack. docs/requirements.md says of each check what it wants, which tests hold it, and what
of it no test shows.
"""
