"""What git knows of a workspace: the tree of a revision, and what differs from it. Reads only."""
