"""Finds which test images each run gets wrong."""
