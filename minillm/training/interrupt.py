"""Ctrl-C and termination during training: finish the step first."""

import signal
import threading

DEFAULT = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Interrupts:
    """While active, a first SIGINT or SIGTERM is only noted in `signal`; a second one
    has its usual effect. Outside the main thread, where Python hands no signals over,
    this does nothing."""

    def __init__(self):
        self.signal = None
        self._usual = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for number in DEFAULT:
                usual = signal.signal(number, self._note)
                self._usual[number] = usual or signal.SIG_DFL
        return self

    def __exit__(self, *_):
        for number, usual in self._usual.items():
            signal.signal(number, usual)

    def _note(self, number, _frame):
        self.signal = number
        for number, usual in self._usual.items():
            # A shell starts what it puts in the background with SIGINT ignored.
            ignored = usual == signal.SIG_IGN
            signal.signal(number, DEFAULT[number] if ignored else usual)
