"""What went wrong once, as rules: each looks at one subject and says what it found. Pure; nothing here reads a file or asks anybody."""
