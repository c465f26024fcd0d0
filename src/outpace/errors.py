"""Every error that outpace raises on purpose.

    OutpaceError                 exit code 2 unless said otherwise
    ├── UsageError               what was asked for cannot be done; the message says what to do
    │   ├── ReferenceError_      no such file, module or function
    │   ├── ContractError        the annotation, workloads or inputs are missing or contradict
    │   │   └── UntestableError  the contract is well-formed but could not tell right from wrong
    │   └── DraftError           a draft file that cannot be read as a draft
    ├── CodecError               a stored record is damaged
    │   └── NewerSchemaError     only a newer outpace can read it
    ├── NotLifted                the built-in drafter cannot express a statement; names the line
    ├── StorageError             a file could not be written; nothing was lost (exit code 4)
    └── EnvironmentError_        the machine lacks something that is needed (exit code 4)

Failures of a *draft* are never exceptions: they are `Trial` values with a `Status`.
"""

from __future__ import annotations


class OutpaceError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 2


class UsageError(OutpaceError):
    """What was asked for cannot be done as asked."""


class ReferenceError_(UsageError):  # noqa: N801, N818  (the plain name is a builtin)
    """The reference could not be found or loaded."""


class ContractError(UsageError):
    """The annotation of a reference is missing, malformed or contradicts itself."""


class UntestableError(ContractError):
    """The contract could not tell a right draft from a wrong one."""


class DraftError(UsageError):
    """A draft file that cannot be read as a draft."""


class CodecError(OutpaceError):
    """A stored record is damaged, or was written by a newer version."""


class NewerSchemaError(CodecError):
    """A stored record was written by a newer version; nothing is wrong with it."""


class NotLifted(OutpaceError):  # noqa: N818  (an outcome of drafting, not a fault)
    """The built-in drafter cannot express a statement of the reference.

    Attributes:
        line: Line in the reference's file, or None when unknown.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.reason = reason
        self.line = line


class StorageError(OutpaceError):
    """A file could not be written; what was there before is intact."""

    exit_code = 4


class EnvironmentError_(OutpaceError):  # noqa: N801, N818  (the plain name is a builtin)
    """The machine lacks something that is needed."""

    exit_code = 4
