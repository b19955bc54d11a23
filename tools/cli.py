"""The `mtiac` command: finds the subcommand's module, runs it, and turns what went wrong into a message and a code.

Exit codes: 0 right, 1 wrong result, 2 user error, 3 machine trap, 70 internal error, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from mtia.isa.errors import UserError

__all__ = ["COMMANDS", "main"]

# One line each; only the module of the command that runs is imported, which keeps `--help` fast.
COMMANDS = {
    "compile": "a Triton kernel, TTIR, MLIR or exported PyTorch program to a PE executable, or to any stage before it",
    "run": "a kernel on the simulated chip: numbers checked against a reference, cycles and where they went",
    "prof": "where a kernel's or model's cycles went: top-down, units, PEs, source lines; a trace, a roofline",
    "opt": "one pass, some stages or an upstream pipeline over IR text",
    "as": "assemble a PE program",
    "objdump": "disassemble a PE executable",
    "tune": "find the fastest configuration of a kernel",
    "bench": "the project's measurements",
    "verify": "long checks against qemu, numpy and exact arithmetic, by seed and size",
    "targets": "the chips this compiles for, with the source of every number",
    "isa": "the instruction set: one instruction, all of them, or the manual",
}

EPILOG = """\
examples:
  mtiac compile add.py::add_kernel --signature "*fp32,*fp32,*fp32,i32,1024" --emit=pe
  mtiac run add.py::add_kernel --signature "*fp32,*fp32,*fp32,i32,1024" --grid 64 \\
      --arg x_ptr=randn:65536:fp32 --arg y_ptr=randn:65536:fp32 --arg out_ptr=zeros:65536:fp32 --arg n_elements=65536
  mtiac objdump add_kernel.elf
  mtiac isa xm.se.add
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mtiac",
        description="Compile Triton kernels and PyTorch programs for MTIA and run them on a simulated chip.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = "".join(f"  {name:<10}{text}\n" for name, text in COMMANDS.items())
    parser.add_argument(
        "command", nargs="?", metavar="command", help="one of the commands below; `mtiac COMMAND --help` teaches each"
    )
    parser.epilog = f"commands:\n{commands}\n{EPILOG}"
    return parser


def _version() -> str:
    import importlib.metadata

    return importlib.metadata.version("mtiac")


def _run_command(name: str, arguments: Sequence[str]) -> int:
    module = importlib.import_module(f"mtia.tools.cmd_{name}")
    parser = argparse.ArgumentParser(
        prog=f"mtiac {name}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.add_arguments(parser)
    code: int = module.run(parser.parse_args(arguments))
    return code


def _dispatch(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in COMMANDS:
        return _run_command(arguments[0], arguments[1:])
    parser = _parser()
    given = parser.parse_args(arguments[:1])
    if given.version:
        print(f"mtiac {_version()}")
        return 0
    if given.command is None:
        parser.print_help()
        return 2
    raise UserError(f"unknown command '{given.command}'; commands: {', '.join(COMMANDS)}")


def _is_trap(error: Exception) -> bool:
    """Whether the machine stopped the program; its module is loaded only by commands that run one."""
    faults = sys.modules.get("mtia.runtime.faults")
    return faults is not None and isinstance(error, faults.MachineTrap)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        code = _dispatch(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if _is_trap(error):
            print(error, file=sys.stderr)
            return 3
        if os.environ.get("MTIA_TRACEBACK"):
            raise
        print(f"internal error: {type(error).__name__}: {error}", file=sys.stderr)
        print("this is a fault of mtiac; MTIA_TRACEBACK=1 shows where", file=sys.stderr)
        return 70


if __name__ == "__main__":
    sys.exit(main())
