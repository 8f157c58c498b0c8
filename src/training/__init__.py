"""How a network learns: the loop, and what it is made of."""
