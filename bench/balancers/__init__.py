"""The load balancers that are compared: each starts, serves, tells what it cost, and stops."""
