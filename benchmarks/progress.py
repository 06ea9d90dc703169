"""One line on a terminal that tells how far a run is and how long it will still take; nothing elsewhere."""

import sys
import time


class Progress:
    def __init__(self):
        self._terminal = sys.stderr.isatty()
        self._began = time.monotonic()
        self._expected = self._done = 0

    def expect(self, steps):
        self._expected += steps

    def step(self, text):
        """A step of those expected begins."""
        if self._terminal:
            elapsed = time.monotonic() - self._began
            left = elapsed / self._done * (self._expected - self._done) if self._done else None
            estimate = f", {left / 60:.0f} min left" if left and left >= 90 else f", {left:.0f} s left" if left else ""
            print(f"\r\033[K[{self._done + 1}/{self._expected}{estimate}] {text}"[:110], end="", file=sys.stderr, flush=True)
        self._done += 1

    def finish(self):
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
