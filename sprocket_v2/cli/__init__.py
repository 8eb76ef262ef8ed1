"""The command `sprocket`: the same actions as the pages, in-process."""
