"""Imported by the code that Inductor generates for `mtia`: registers the device."""

from mtia.runtime.torch_backend.load import ensure

ensure()
