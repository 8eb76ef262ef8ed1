"""Images for the demo and the tests: the table, and how they come to be there."""
