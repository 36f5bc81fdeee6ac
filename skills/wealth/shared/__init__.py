"""The wealth domain's own words as code: money, goals, projections, the risk score.

Law: pure functions and values, standard library only. No input parsing, no wording for users, no clock: skills do that.
"""
