"""The status page: apps with their servers, plans, reloads and problems, as they are now."""
