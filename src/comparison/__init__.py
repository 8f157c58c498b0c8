"""What finished jobs say together; reads their folders and nothing else."""
