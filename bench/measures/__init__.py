"""What is measured, a question a module: each gives figures in seconds, kB and counts."""
