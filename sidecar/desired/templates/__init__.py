"""The 53 templates of marathon-lb: pieces of HAProxy's configuration that users may replace."""
