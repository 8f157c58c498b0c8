"""Draws a comparison."""
