"""`python -m mtia.runtime.machine`: compile the machine's native code once, before several processes want it."""

from mtia.runtime.machine.library import prepare

prepare()
