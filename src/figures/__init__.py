"""Draws the figures and galleries of a comparison."""
