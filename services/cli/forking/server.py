"""The fork server: forked by the command line, or `python -m services.cli.forking.server DESCRIPTOR
NAME…`.

It imports the modules with these names, and calls the functions, `module:function`. Then it forks
a process for each request, so that all of them share the memory of what was imported. It has one
thread, no event loop, and imports nothing of a user's: a forked process reads agents and tools from
their files.

A request is a line of JSON on the control socket, a stream. The first, `{"group": id,
"environment": {…}}`, sets the process group and the environment of all processes. `{"start":
[module, argument…], "environment": {…}}` comes with the write ends of two pipes. The first takes
the process's output. The second takes two lines, its process id and its exit code; it closes
without the second line if the fork server dies. `{"signal": [pid, number]}` sends a signal. The
fork server ends when the control socket is closed; the processes that it has forked go on.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import traceback
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from setproctitle import setproctitle, setthreadtitle

PYTHON = (sys.executable, "-P", "-m")  # -P: the user's folder may have a package `shared`
SERVER = "services.cli.forking.server"
MOST_BYTES = 65536
MOST_DESCRIPTORS = 64


class ForkServer:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._woken, self._wake = socket.socketpair()
        self._received = b""
        self._descriptors: list[int] = []
        self._status: dict[int, int] = {}
        """The second pipe of each process that has not ended, by process id."""

    def serve(self) -> None:
        """Answer requests until the control socket is closed."""
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler it wakes nothing
        while True:
            ready, _, _ = select.select([self._control, self._woken], [], [])
            if self._woken in ready:
                self._woken.recv(MOST_BYTES)
                self._reap()
            if self._control in ready and not self._receive():
                return

    def _receive(self) -> bool:
        """Answer what has arrived; returns False at the end of the stream."""
        data, descriptors, _, _ = socket.recv_fds(self._control, MOST_BYTES, MOST_DESCRIPTORS)
        self._descriptors += descriptors
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            match json.loads(line):
                case {"group": group, "environment": environment}:
                    os.setpgid(0, group)
                    os.environ.clear()
                    os.environ.update(environment)
                case {"start": [module, *arguments], "environment": environment}:
                    self._fork(module, arguments, environment)
                case {"signal": [pid, number]} if pid in self._status:  # else it has been reaped
                    os.kill(pid, number)
        return bool(data)

    def _fork(self, module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        output, status, *self._descriptors = self._descriptors
        pid = os.fork()
        if pid == 0:
            try:
                self._leave(output, status)
                os.environ.update(environment)
                code = _run(module, arguments)
            except BaseException:  # noqa: BLE001 - it must not return into the fork server
                traceback.print_exc()
                code = 1
            finally:
                os._exit(code)
        os.close(output)
        self._status[pid] = status
        _write(status, pid)

    def _reap(self) -> None:
        while self._status:
            pid, state = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            status = self._status.pop(pid)
            _write(status, os.waitstatus_to_exitcode(state))
            os.close(status)

    def _leave(self, output: int, status: int) -> None:
        """In a forked process: give up all that is the fork server's, and write to `output`."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for opened in (self._control, self._woken, self._wake):
            opened.close()
        for descriptor in (output, status, *self._descriptors, *self._status.values()):
            os.close(descriptor)
        gc.enable()


def _run(name: str, arguments: Sequence[str]) -> int:
    """Be the process `python -m name argument…`; returns its exit code."""
    _rename([name, *arguments])
    sys.argv = [name, *arguments]
    try:
        module = importlib.import_module(f"{name}.__main__")
        sys.modules["__main__"] = module  # a process that a tool spawns imports it
        code = module.main()
    except SystemExit as error:
        code = error.code
    sys.stdout.flush()
    return code if isinstance(code, int) else int(code is not None)


def _rename(command: Sequence[str]) -> None:
    setproctitle(" ".join([*PYTHON, *command]))
    setthreadtitle(Path(sys.executable).name)  # `setproctitle` has changed that too


def _write(status: int, number: int) -> None:
    with suppress(BrokenPipeError):  # the client has ended: the control socket is closed too
        os.write(status, b"%d\n" % number)


def run(control: socket.socket, names: Collection[str]) -> NoReturn:
    """Be the fork server, in a process that was forked for it."""
    code = 1
    try:
        os.setpgid(0, 0)  # a Ctrl-C is for the command line, which ends all processes itself
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.closerange(3, control.fileno())
        os.closerange(control.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
        _serve(control, names)
        code = 0
    except BaseException:  # noqa: BLE001 - it must not return into the command line
        traceback.print_exc()
    finally:
        os._exit(code)


def _serve(control: socket.socket, names: Collection[str]) -> None:
    _rename([SERVER])  # also because it must be called once before the environment is changed
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    gc.disable()  # a collection would leave gaps in the pages, and filling them copies a page
    for name in names:
        found = pkgutil.resolve_name(name)
        if callable(found):
            found()
    gc.freeze()  # a collection in a forked process does not write to these objects
    ForkServer(control).serve()


def main() -> None:
    descriptor, *names = sys.argv[1:]
    _serve(socket.socket(fileno=int(descriptor)), names)


if __name__ == "__main__":
    main()
