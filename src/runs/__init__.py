"""Reads, checks and identifies the folders of jobs and sweeps."""
