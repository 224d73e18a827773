"""What images hold: the files of layers, the packages and models among them, and how two images differ."""
