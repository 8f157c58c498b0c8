"""Read datasets, and split them into training, validation and test tensors."""
