"""The composition root: what the verbs `up` and `demo` start.  Nothing below imports it."""
