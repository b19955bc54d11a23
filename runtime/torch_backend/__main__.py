"""`python -m mtia.runtime.torch_backend`: build the device's native part once; where it cannot be, say so and go on."""

import os
import sys

os.environ["TORCH_DEVICE_BACKEND_AUTOLOAD"] = "0"

try:
    from mtia.runtime.torch_backend.build import BuildError, build

    build()
except (ImportError, OSError, BuildError) as error:
    print(f"note: {error}; its tests will be skipped by name", file=sys.stderr)
