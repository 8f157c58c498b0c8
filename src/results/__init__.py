"""Reads job folders into the finished runs that a comparison is about."""
