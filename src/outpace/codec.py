"""JSON of stored values: a schema version, a fixed key order, arrays as base64.

Equal values give equal bytes on every machine, so that `content_hash` names a value. JSON has no
non-finite floats; they travel as strings.
"""

from __future__ import annotations

import base64
import hashlib
import math
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from outpace.errors import CodecError, NewerSchemaError

if TYPE_CHECKING:
    import numpy as np

SCHEMA_VERSION = 1


class Value(msgspec.Struct, frozen=True, tag=True):
    """Base of every stored value: immutable, tagged with its class name in JSON."""


class ArrayRecord(Value, frozen=True):
    """A NumPy array of numbers as base64 of its C-contiguous little-endian bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: str

    @classmethod
    def of(cls, array: np.ndarray[Any, Any]) -> ArrayRecord:
        """Record an array of any layout and byte order."""
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        data = base64.b64encode(little.tobytes(order="C")).decode("ascii")
        return cls(array.dtype.name, tuple(int(n) for n in array.shape), data)

    def array(self) -> np.ndarray[Any, Any]:
        """The array again, C-contiguous, writable and in native byte order.

        Raises:
            CodecError: Bytes, dtype and shape do not belong together.
        """
        import numpy as np  # noqa: PLC0415  (keeps `import outpace` light)

        try:
            dtype = np.dtype(self.dtype)
            raw = base64.b64decode(self.data, validate=True)
            flat = np.frombuffer(raw, dtype=dtype.newbyteorder("<"))
            return flat.reshape(self.shape).astype(dtype)
        except (TypeError, ValueError) as error:
            raise CodecError(
                f"damaged {self.dtype} array of shape {self.shape}: {error}"
            ) from error


V = TypeVar("V", bound=msgspec.Struct)
_DAMAGE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading damaged or hostile bytes raises."""


class _Envelope(msgspec.Struct):
    """What is written to disk around a value."""

    schema: str
    value: msgspec.Raw


def encode(value: msgspec.Struct) -> bytes:
    """JSON of a value with its schema version; deterministic for equal values."""
    body = msgspec.json.encode(_finite(msgspec.to_builtins(value)), order="deterministic")
    kind = type(value).__name__.lower()
    return b'{"schema":"outpace.%s/%d","value":%s}' % (kind.encode(), SCHEMA_VERSION, body)


def decode(data: bytes | str, kind: type[V]) -> V:
    """The value that `encode` wrote.

    Raises:
        CodecError: The bytes are damaged, or hold another kind of value.
        NewerSchemaError: They have a newer schema.
    """
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
        name, _, version = envelope.schema.partition("/")
        newer = not version.isdecimal() or int(version) > SCHEMA_VERSION
    except _DAMAGE as error:
        raise CodecError(f"not a stored {kind.__name__}: {error}") from error
    if name != f"outpace.{kind.__name__.lower()}":
        raise CodecError(f"expected a stored {kind.__name__}, found {envelope.schema!r}")
    if newer:
        raise NewerSchemaError(
            f"{envelope.schema!r} was written by a newer outpace; "
            f"this one reads up to version {SCHEMA_VERSION}"
        )
    try:
        plain = _restored(msgspec.json.decode(envelope.value))
        return msgspec.convert(plain, type=kind)
    except _DAMAGE as error:
        raise CodecError(f"damaged {kind.__name__}: {error}") from error


def pretty(data: bytes) -> bytes:
    """Indented form of `encode`'s output, for files that people review."""
    return msgspec.json.format(data, indent=2) + b"\n"


def content_hash(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of a value's deterministic JSON."""
    body = msgspec.json.encode(_finite(msgspec.to_builtins(value)), order="deterministic")
    return hashlib.sha256(body).hexdigest()[:16]


_NON_FINITE = {"float:nan": math.nan, "float:inf": math.inf, "float:-inf": -math.inf}


def _finite(value: Any) -> Any:
    """Non-finite floats as strings, because JSON has none; text that looks like one is marked."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"float:{value}"
    if isinstance(value, str) and value.startswith(("float:", "text:")):
        return f"text:{value}"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _restored(value: Any) -> Any:
    """Inverse of `_finite`."""
    if isinstance(value, str):
        return _NON_FINITE.get(value, value.removeprefix("text:"))
    if isinstance(value, dict):
        return {key: _restored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_restored(item) for item in value]
    return value
