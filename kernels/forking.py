"""What a forked child must not inherit: held locks, and thread pools whose threads are gone.

`fork` copies the calling thread alone. A child of a process whose OpenMP pool had started waits for
threads that do not exist, or is ended by libgomp, so kernels that use threads are off limits there.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Forgetful(Protocol):
    """Something whose decisions do not hold in a forked child."""

    def forget(self) -> None:
        """Drop every decision; they are made again when they are needed."""


class ForkGuard:
    """The state of this process that `fork` invalidates.

    Attributes:
        lock: Held while promotions are loaded; fresh in a child, where its holder is gone.
        threads_lost: Whether this process descends by `fork` from one that ran a threaded kernel.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.threads_lost = False
        self._threads_used = False
        self._forgetful: weakref.WeakSet[Forgetful] = weakref.WeakSet()
        os.register_at_fork(after_in_child=self._in_child)

    def watch(self, subject: Forgetful) -> None:
        """Have `subject` forget its decisions in every forked child."""
        self._forgetful.add(subject)

    def threads_will_run(self) -> None:
        """Say that this process is about to run a kernel that may start threads."""
        self._threads_used = True

    def _in_child(self) -> None:
        self.lock = threading.RLock()
        self.threads_lost = self._threads_used or self.threads_lost
        for subject in list(self._forgetful):
            subject.forget()


GUARD = ForkGuard()
