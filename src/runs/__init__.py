"""The folders that jobs and sweeps leave, which are the truth about them."""
