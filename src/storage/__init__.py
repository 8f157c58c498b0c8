"""How files are written, read and locked: nothing partial, nothing unchecked, one owner at a time."""
