"""What every request passes before its route: limits, strict JSON, headers, the translation of errors.

May import `api.base`; only `api.app` imports it.
"""
