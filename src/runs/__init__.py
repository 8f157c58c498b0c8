"""Folders of jobs and sweeps: what they hold, whether it can be used, and what identifies it."""
