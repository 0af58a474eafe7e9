"""A command whose streams are channels of a WebSocket, as `kubectl exec` has it: protocol
v5.channel.k8s.io of Kubernetes over RFC 6455. No terminals."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import subprocess
import threading
from contextlib import suppress
from io import BufferedIOBase
from typing import Any

PROTOCOL = "v5.channel.k8s.io"
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_INPUT, _OUTPUT, _ERROR_OUTPUT, _STATUS, _CLOSE_STREAM = 0, 1, 2, 3, 255
_CONTINUED, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x2, 0x8, 0x9, 0xA
_CHUNK = 1 << 15
_LIMIT_S = 300.0
_JOIN_S = 10.0


def accept_of(key: str) -> str:
    """What answers the client's Sec-WebSocket-Key (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(f"{key}{_MAGIC}".encode()).digest()).decode()


class RemoteCommand:
    """One connection that was upgraded. incoming and outgoing: its bytes."""

    def __init__(self, incoming: BufferedIOBase, outgoing: BufferedIOBase) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._turn = threading.Lock()

    def run(self, command: list[str], *, takes_input: bool) -> None:
        """Returns when the command has ended and the client was told how; a client that goes away
        ends it."""
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        pumps = [
            threading.Thread(target=self._pump, args=one, daemon=True)
            for one in ((process.stdout, _OUTPUT), (process.stderr, _ERROR_OUTPUT))
        ]
        listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
        for one in (*pumps, listener):
            one.start()
        try:
            code = process.wait(_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait(_JOIN_S)
        for one in pumps:
            one.join(_JOIN_S)
        with suppress(OSError):
            self._send(_BINARY, bytes([_STATUS]) + json.dumps(_status(code)).encode())
            self._send(_CLOSE, struct.pack(">H", 1_000))
        listener.join(_JOIN_S)

    def _pump(self, source: Any, channel: int) -> None:
        with suppress(OSError, ValueError):
            while chunk := source.read1(_CHUNK):
                self._send(_BINARY, bytes([channel]) + chunk)

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Hands on what comes for the command, until the client closes or is gone."""
        message = b""
        with suppress(OSError, EOFError, ValueError):
            while True:
                last, kind, payload = self._frame()
                if kind == _CLOSE:
                    break
                if kind == _PING:
                    self._send(_PONG, payload)
                elif kind in (_BINARY, _CONTINUED):
                    message += payload
                    if last:
                        self._take(process, message)
                        message = b""
        if process.poll() is None:
            process.kill()

    def _take(self, process: subprocess.Popen[bytes], message: bytes) -> None:
        if process.stdin is None or not message:
            return
        with suppress(BrokenPipeError):
            if message[0] == _INPUT:
                process.stdin.write(message[1:])
                process.stdin.flush()
            elif message[:2] == bytes([_CLOSE_STREAM, _INPUT]):
                process.stdin.close()

    def _frame(self) -> tuple[bool, int, bytes]:
        """(whether it ends a message, opcode, payload). Raises EOFError."""
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._exactly(8))
        mask = self._exactly(4) if second & 0x80 else bytes(4)
        payload = self._exactly(size)
        plain = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        return bool(first & 0x80), first & 0x0F, plain

    def _exactly(self, count: int) -> bytes:
        found = self._incoming.read(count)
        if len(found) < count:
            raise EOFError
        return found

    def _send(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes([0x80 | kind])
        head += bytes([size]) if size < 126 else bytes([126]) + struct.pack(">H", size)
        with self._turn:
            self._outgoing.write(head + payload)
            self._outgoing.flush()


def _status(code: int) -> dict[str, object]:
    """How it ended, as an object of Kubernetes: what kubectl makes its own exit code of."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    said = str(code if code > 0 else 128 - code)
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {said}",
        "details": {"causes": [{"reason": "ExitCode", "message": said}]},
    }
