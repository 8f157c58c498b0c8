"""What a command asks for becomes jobs: words, the grid of their values, the plan."""
