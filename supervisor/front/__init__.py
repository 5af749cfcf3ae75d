"""The fronts: trusted, unprivileged processes that speak HTTP with callers and frames with cells."""
