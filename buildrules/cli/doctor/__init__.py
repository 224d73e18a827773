"""What `buildrules doctor` looks at: this machine, the workspace, and the places it reaches."""
