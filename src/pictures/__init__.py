"""Draw the pictures of one job; all figures share the drawing functions of this package."""
