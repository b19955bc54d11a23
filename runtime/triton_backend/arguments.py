"""Kernel arguments on the device for the time of one launch: CPU tensors are copied there, mtia tensors are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mtia.isa.errors import UserError
from mtia.runtime.device import Buffer, Device

__all__ = ["Arguments"]


class Arguments:
    """Numbers as they are, mtia tensors where they are, and CPU tensors as buffers.

    There is one device copy for each storage, so aliases stay aliases.
    """

    def __init__(self, device: Device, values: Sequence[Any]) -> None:
        self.device = device
        self.encoded: list[Any] = []
        self._storages: dict[int, tuple[Any, Buffer]] = {}  # host address → (host bytes, device buffer)
        try:
            for value in values:
                self.encoded.append(self._buffer(value) if hasattr(value, "data_ptr") else value)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Arguments:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the device memory back."""
        for _, buffer in self._storages.values():
            self.device.free(buffer)
        self._storages = {}

    def _buffer(self, tensor: Any) -> Buffer:
        base = getattr(tensor, "base", None)
        if not hasattr(tensor, "untyped_storage") and base is not None:
            tensor = base  # a reinterpreted tensor (`triton.reinterpret`)
        if not hasattr(tensor, "untyped_storage"):
            return Buffer(tensor.data_ptr(), 0)  # something of the user's own that knows an address of the device
        if tensor.device.type == "mtia":
            return self._in_place(tensor)
        if tensor.device.type != "cpu":
            raise UserError(f"an argument is a tensor on '{tensor.device}'; kernels for MTIA take mtia and CPU tensors")
        storage = tensor.untyped_storage()
        start = storage.data_ptr()
        if start not in self._storages:
            content = _bytes_of(storage)
            self._storages[start] = (content, self.device.copy_in(content))
        _, buffer = self._storages[start]
        offset = tensor.data_ptr() - start
        return Buffer(buffer.address + offset, buffer.size - offset)

    def _in_place(self, tensor: Any) -> Buffer:
        from mtia.runtime.torch_backend import simulator

        index = tensor.device.index
        if simulator.memory(index).device is not self.device:
            raise UserError(f"an argument is on '{tensor.device}', the kernel runs on another device")
        size = tensor.untyped_storage().nbytes() - tensor.storage_offset() * tensor.element_size()
        return simulator.buffer_of(index, tensor.data_ptr(), size) if size > 0 else Buffer(0, 0)

    def copy_back(self) -> None:
        """Copy every storage that the kernel changed back to the host."""
        for content, buffer in self._storages.values():
            made = self.device.view(buffer)
            if not np.array_equal(made, content):
                content[:] = made


def _bytes_of(storage: Any) -> Any:
    """The bytes of a storage, shared with it."""
    import torch

    return torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
