"""Lets requests in, and holds them off while the state behind them is being forgotten."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Counts the requests that are under way."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    @contextmanager
    def passing(self) -> Iterator[bool]:
        """Count one request; give False if the gate is closed: then it may not touch state."""
        with self._changed:
            is_open = not self._closed
            self._inside += is_open
        try:
            yield is_open
        finally:
            with self._changed:
                self._inside -= is_open
                self._changed.notify_all()

    @contextmanager
    def closed(self, patience: float) -> Iterator[None]:
        """Keep new requests out, and wait for those inside, but no longer than `patience`.

        One holder at a time.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._closed = True
            self._changed.wait_for(lambda: not self._inside, patience)
        try:
            yield
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()
