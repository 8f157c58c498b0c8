"""Writes files completely or not at all, checks files when it reads them, and locks files and folders."""
