"""What is drawn of a single job, and what all drawings have in common."""
