"""What all rooms use, and nothing else."""
