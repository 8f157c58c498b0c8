"""Decides which methods differ, and says so."""
