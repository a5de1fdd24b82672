"""Apps that requests wake and idleness puts to sleep; its state is Marathon's and HAProxy's."""
