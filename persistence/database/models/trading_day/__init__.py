"""The tables of a trader's day: what was found of it beforehand."""
