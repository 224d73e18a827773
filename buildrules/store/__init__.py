"""Local content: blobs by sha256, action records, the stat index, garbage collection."""
