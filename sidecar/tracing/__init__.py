"""Spans of sampled requests, which HAProxy tells of when their answers begin."""
