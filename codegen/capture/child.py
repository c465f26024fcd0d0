"""The process that runs the user's script: `python -P -m outpace.codegen.capture.child OUT ...`.

What follows OUT is the script and its arguments. It runs as `python SCRIPT ...` would run it: as
`__main__`, with its arguments, its current folder and its streams; its exit status becomes that of
this process. What was seen is pickled into the file OUT, which lies in a private folder of the
parent and is read by it alone.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import pickle
import sys
import traceback
import types
from pathlib import Path

from outpace.codegen.capture.reading import in_folders
from outpace.codegen.capture.watching import Seen, Watcher


def run(out: Path, script: Path, arguments: list[str]) -> int:
    """Run a script under watch; its exit status."""
    folder = script.resolve().parent
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(folder))
    module = _main_module(script)
    code = compile(script.read_bytes(), str(script.resolve()), "exec", dont_inherit=True)
    watcher = Watcher(in_folders((folder,)))
    status = 0
    try:
        watcher.install()
        exec(code, module.__dict__)  # noqa: S102  (the user's own script, as they asked)
    except SystemExit as leaving:
        status = _status(leaving)
    except BaseException as error:  # noqa: BLE001  (shown as Python itself would)
        watcher.remove()
        inside = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exception(error.with_traceback(inside))
        status = 1
    finally:
        watcher.remove()
    _write(out, watcher)
    return status


def _main_module(script: Path) -> types.ModuleType:
    module = types.ModuleType("__main__")
    module.__file__ = str(script.resolve())
    module.__dict__["__builtins__"] = builtins
    module.__spec__ = None
    module.__loader__ = importlib.machinery.SourceFileLoader("__main__", str(script.resolve()))
    sys.modules["__main__"] = module
    return module


def _status(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    if isinstance(leaving.code, int):
        return leaving.code
    sys.stderr.write(f"{leaving.code}\n")
    return 1


def _write(out: Path, watcher: Watcher) -> None:
    seen: list[Seen] = list(watcher.seen.values())
    problem = None if watcher.problem is None else repr(watcher.problem)
    with out.open("wb") as file:
        pickle.dump((seen, problem), file, protocol=pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    # Under its own name, or the classes that are pickled would be those of `__main__`.
    from outpace.codegen.capture import child

    sys.exit(child.run(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
