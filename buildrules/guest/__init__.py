"""buildrules as a guest of another build system: what a target reads, and an image of declared inputs alone."""
