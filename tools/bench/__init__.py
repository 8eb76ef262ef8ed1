"""`make bench`: what this product costs, as ratios to a bare peer measured in the same run."""
