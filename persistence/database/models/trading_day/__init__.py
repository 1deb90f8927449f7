"""The tables of a trader's day: what starts by itself, and what was found of the day beforehand."""
