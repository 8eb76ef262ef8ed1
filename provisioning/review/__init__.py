"""What a reviewer reads, decides and can come back to: a plan's parts and their digest, approvals, comments, announcements, history."""
