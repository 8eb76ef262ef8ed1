"""Template releases over all organizations: what an upgrade would do to each, and rolling it out to one, then some, then all."""
