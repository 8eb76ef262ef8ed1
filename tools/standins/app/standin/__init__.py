"""Stand-ins for the applications: the same configuration, secrets, ports and health as the real ones, and no league.

Python's standard library only; this folder is copied into one image that is tagged with the real images' names.
"""
