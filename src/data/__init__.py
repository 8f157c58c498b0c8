"""Read datasets and turn them into tensors in memory."""
