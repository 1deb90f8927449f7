"""Will my strategies trade today? Looked at before the session and before each BUY, and whenever it is asked (row N3).

`checks`, `funds`, `times` and `news` are pure. May import what `api.strategies` may, and the rules of that room.
"""
