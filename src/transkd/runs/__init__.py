"""What a run is: its folder, the schema of its results, the comparison of its recipe, and its checkpoints."""
