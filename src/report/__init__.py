"""Writes and prints a comparison: table, report, assignment."""
