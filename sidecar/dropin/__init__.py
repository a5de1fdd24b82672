"""The command line and environment of marathon-lb, and what each part of it becomes here."""
