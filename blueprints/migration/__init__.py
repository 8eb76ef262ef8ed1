"""From a legacy estate to v2: what becomes of each part, what it saves, what stands in the way, and the cut-over step by step. Pure."""
