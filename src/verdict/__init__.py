"""Decides which methods differ, and writes the conclusions."""
