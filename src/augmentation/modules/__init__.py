"""The torch code of the augmentations."""
