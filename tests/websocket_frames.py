"""As much of RFC 6455 as an echo needs: short frames, either side."""

from __future__ import annotations

import base64
import hashlib
from typing import IO

TEXT = 0x1
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MASK = b"\x01\x02\x03\x04"


def accept_key(key: str) -> bytes:
    """``Sec-WebSocket-Accept`` for a ``Sec-WebSocket-Key`` (section 4.2.2)."""
    return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest())


def write_frame(outgoing: IO[bytes], opcode: int, payload: bytes, *, masked: bool) -> None:
    """One final frame of at most 125 bytes (section 5.2); a client masks."""
    assert len(payload) <= 125
    head = bytes([0x80 | opcode, len(payload) | (0x80 if masked else 0)])
    outgoing.write(head + (_MASK + _masked(payload, _MASK) if masked else payload))
    outgoing.flush()


def read_frame(incoming: IO[bytes]) -> tuple[int, bytes] | None:
    """Opcode and payload of the next short frame; ``None`` at the end of the stream."""
    head = incoming.read(2)
    if len(head) < 2:
        return None
    mask = incoming.read(4) if head[1] & 0x80 else b""
    payload = incoming.read(head[1] & 0x7F)
    return head[0] & 0x0F, _masked(payload, mask) if mask else payload


def _masked(payload: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
