"""Images on their way from one place to another, unchanged: every byte is held against its digest."""
