"""The exercises, one file each: the task, its hints, and what its check looks at."""
