"""Read, check and identify the folders of jobs and sweeps."""
