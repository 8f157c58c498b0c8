"""normlab compares normalisation and regularisation methods, and says which differences are real."""
