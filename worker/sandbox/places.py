"""Where a cell's code and scratch space are: fixed in a root of its own, told by the warden elsewhere."""

# Set once, by the lock-down, before anything of a tenant's is looked at.
function_dir = "/function"
