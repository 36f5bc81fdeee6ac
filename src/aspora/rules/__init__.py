"""Conditions that people write into objects, in CEL: compiled once with typed variables, evaluated without harm.

What belongs here: the engine. What never does: an Aspora word, or what a rule that matches leads to.
"""
