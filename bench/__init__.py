"""The benchmark harness: a simulated Marathon, tasks, load, and load balancers side by side."""
