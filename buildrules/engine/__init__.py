"""The engine: keys, scheduling, events. Knows no terminal."""
