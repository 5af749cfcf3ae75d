"""How a bundle's folder says that nothing was taken out of it; fronts and the warden look at it."""

from __future__ import annotations

# The modification time of a whole bundle's folder, any time in the past: whoever deletes something in it
# changes that.
WHOLE_MTIME = 1_000_000_000
