"""The time zone of the Indian exchanges."""

from zoneinfo import ZoneInfo

IST = ZoneInfo("Asia/Kolkata")
