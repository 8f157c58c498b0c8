"""Writes and prints a comparison as a table, a report, or the files of a course assignment."""
