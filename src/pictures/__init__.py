"""Draws the pictures of a single job, and holds the drawing tools that all figures share."""
