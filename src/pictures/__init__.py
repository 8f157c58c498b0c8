"""Draw the pictures of one job, with the drawing functions that all figures share."""
