"""The torch modules of the norms that torch lacks."""
