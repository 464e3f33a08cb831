"""Ctrl-C and termination during training: finish the step first."""

import signal
import threading


class Interrupts:
    """While active, a first SIGINT or SIGTERM is only noted in `signal`; a second one
    has its usual effect. Outside the main thread, where Python hands no signals over,
    this does nothing."""

    def __init__(self):
        self.signal = None
        self._usual = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._usual[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, usual in self._usual.items():
            signal.signal(number, usual)
        self._usual = {}

    def _note(self, number, _frame):
        self.signal = number
        self.__exit__()
