"""One file per command: its options, and the call that performs it."""
