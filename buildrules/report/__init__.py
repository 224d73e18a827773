"""What was built, as data and as a page to look at."""
