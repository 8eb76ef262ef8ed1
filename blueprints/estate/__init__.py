"""An estate: somebody's running or described deployment, read into one vocabulary, whatever it was read from."""
