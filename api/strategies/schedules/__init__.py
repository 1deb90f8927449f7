"""Schedules (row N4): strategies that are started by themselves on chosen days, never twice a day, never silently not.

`schedule_rules` decides about days, `to_start` says what is still to come today, `arming` starts what is due in every
process of the API, `service` takes the calls, `telling` is the only place that tells the trader.
"""
