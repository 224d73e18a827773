"""Who may see what: credentials by reference, read at the moment of use, and the addresses they go to."""
