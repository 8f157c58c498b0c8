"""Runs jobs as processes of this machine, or on other machines through Slurm or Ray."""
