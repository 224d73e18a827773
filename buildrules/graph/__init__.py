"""The target graph: dependencies, cycles, visibility, queries. Never touches the disk."""
