"""lit configuration: text in, CHECK lines out."""

# ruff: noqa: F821  (lit defines `config` and `lit_config`)
import os
import sys

import lit.formats

root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
bin_dir = os.path.dirname(sys.executable)

config.name = "mtiac"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".ttir", ".s", ".test"]
config.test_source_root = os.path.dirname(__file__)
# Parameters for `mtiac verify passes`: other places to import `mtia` from and to write to.
config.test_exec_root = lit_config.params.get("out", os.path.join(root, "out", "lit"))
config.environment["PYTHONPATH"] = lit_config.params.get("links", os.path.join(root, ".links"))
for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR", "MTIA_CACHE"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
config.environment["PATH"] = bin_dir + os.pathsep + os.environ.get("PATH", "")
config.substitutions.append(("%mtiac", f"{sys.executable} -m mtia.tools.cli"))
config.substitutions.append(("%filecheck", os.path.join(bin_dir, "filecheck")))
config.substitutions.append(("%python", sys.executable))
