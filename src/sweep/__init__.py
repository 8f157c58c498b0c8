"""Turns a command's words into jobs: checks them, expands the grid and plans the sweep."""
