"""Write, read and lock files safely: no partial file, no unchecked content, one owner at a time."""
