"""Ctrl-C, termination, a terminal that closes: training finishes its step first, and
saves (`_steps` in `train.py`)."""

import signal
import threading

from minillm.learning.worker_pool import HANG_UP, SAVE, SIGNALS


class Interrupts:
    """While active, a first one of SIGNALS is only noted in `signal`; a second one has
    its usual effect. Outside the main thread, where Python hands no signals over, this
    does nothing."""

    def __init__(self, ranks=None):
        self._own = None
        self._ranks = ranks
        self._usual = {}

    @property
    def signal(self) -> int | None:
        """That this process has heard, or one of the other ranks."""
        return self._own or (self._ranks and self._ranks.signal)

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                usual = signal.getsignal(number) or signal.SIG_DFL
                if (number, usual) == (HANG_UP, signal.SIG_IGN):
                    continue  # that was the wish of `nohup`
                self._usual[number] = usual
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, usual in self._usual.items():
            signal.signal(number, usual)

    def _note(self, number, _frame):
        self._own = self._own or number
        for number, usual in self._usual.items():
            if number == SAVE:  # asked for twice, it is done once
                continue
            # A shell starts what it puts in the background with SIGINT ignored.
            ignored = usual == signal.SIG_IGN
            signal.signal(number, SIGNALS[number] if ignored else usual)
