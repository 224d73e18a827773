"""What the last builds of a workspace looked at and made, so that a command pays for what changed and nothing else."""
