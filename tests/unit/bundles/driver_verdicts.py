"""Prints what this interpreter says of each upload that it is given: as JSON, by name."""

import base64
import json
import sys

sys.path.insert(0, sys.argv[1])

from supervisor.bundles.archives import entries
from supervisor.bundles.unpacking_limits import BundleLimits
from supervisor.errors import PlatformError

LIMITS = BundleLimits(max_bytes=1 << 20, max_entries=50)


def verdict(source: bytes) -> object:
    """The files by name with their bytes, or the status of the refusal."""
    try:
        return {
            entry.path: base64.b64encode(b"".join(entry.chunks or ())).decode()
            for entry in entries(source, LIMITS)
        }
    except PlatformError as error:
        return error.status


given = json.load(sys.stdin)
print(json.dumps({name: verdict(base64.b64decode(source)) for name, source in given.items()}))
