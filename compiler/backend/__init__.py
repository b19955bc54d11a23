"""Back end: LLVM IR to a standard RISC-V ELF."""
