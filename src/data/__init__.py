"""A dataset becomes tensors in memory."""
