"""Promotions on disk are whole or absent, and what is wrong with one is said."""

import errno
import json
import resource
import shutil
import tempfile
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from outpace import environment
from outpace.errors import CodecError, StorageError
from outpace.kernels import promotions
from outpace.kernels.promotions import PromotionWarning
from outpace.model import Draft, Parameter, Promotion, Variant

SCALE = """
@outpace.optimize(workloads={"small": dict(n=8), "large": dict(n=800)})
def scale(u: Float64[np.ndarray, "n"], factor: float) -> Float64[np.ndarray, "n"]:
    return u * factor
"""
KERNEL = "def kernel(u, factor, out):\n    out[:] = u * factor\n"


@pytest.fixture
def scale(module):
    return module(SCALE).scale


@contextmanager
def files_limited_to(size):
    """A full disk, as far as a process can have one: writes beyond `size` bytes fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_promotion_is_read_back_as_it_was_written(scale, promote):
    draft = Draft("numba", KERNEL, (Parameter("TILE", (8, 16)),), ("TILE > 4",), {"fast": True})
    promotion = promote.make(scale, "", variant=Variant(draft, {"TILE": 16}))
    path = promotions.write(promotion, scale.reference)
    assert [s.promotion for s in promotions.find(scale.reference)] == [promotion]
    assert path.parent == scale.reference.folder / "promoted" / "scale"
    assert path.name == promotion.key.hash
    assert sorted(p.name for p in path.iterdir()) == ["draft.py", "promotion.json"]
    assert promotions.read(path).source_path.read_text().endswith(KERNEL)
    assert (path / "draft.py").read_text().startswith('# outpace: {"parameters"')


def test_the_draft_of_a_promotion_without_options_is_its_source(scale, promote):
    path = promote.write(scale, KERNEL)
    assert (path / "draft.py").read_text() == KERNEL


def fails(*_):
    raise PermissionError(errno.EACCES, "Permission denied")


def _clock_of(folder):
    """The time by the clock of the file system, which moves in steps."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        return Path(file.name).stat().st_ctime


def test_a_second_one_of_the_same_key_replaces_the_first(scale, promote):
    promote.write(scale, KERNEL)
    path = promote.write(scale, KERNEL + "# better\n")
    (found,) = promotions.find(scale.reference)
    assert found.promotion.variant.draft.source.endswith("# better\n")
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_workloads_won_by_different_drafts_are_kept_apart(scale, promote):
    promote.write(scale, KERNEL, workloads=("small",))
    promote.write(scale, KERNEL, workloads=("large",))
    assert len(promotions.find(scale.reference)) == 2


def test_replacing_works_where_the_file_system_cannot_exchange(scale, promote, monkeypatch):
    class NoExchange:
        def renameat2(self, *_):
            return -1

    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: NoExchange())
    monkeypatch.setattr("ctypes.get_errno", lambda: errno.EINVAL)
    promote.write(scale, KERNEL)
    path = promote.write(scale, KERNEL + "# better\n")
    (found,) = promotions.find(scale.reference)
    assert found.promotion.variant.draft.source.endswith("# better\n")
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_concurrent_writers_leave_one_complete_winner_and_readers_see_whole_ones(scale, promote):
    made = [promote.make(scale, f"{KERNEL}# writer {i}\n") for i in range(4)]
    promotions.write(made[0], scale.reference)
    done = threading.Event()

    def write_often(promotion):
        for _ in range(10):
            promotions.write(promotion, scale.reference)

    def read_often():
        seen = []
        while not done.is_set():
            seen += [[s.promotion for s in promotions.find(scale.reference)]]
        return seen

    with warnings.catch_warnings(), ThreadPoolExecutor(5) as pool:
        warnings.simplefilter("error")
        reader = pool.submit(read_often)
        for writer in [pool.submit(write_often, m) for m in made]:
            writer.result()
        done.set()
        assert all(len(found) == 1 and found[0] in made for found in reader.result())
    folder = promotions.folder_for(scale.reference)
    assert [p.name for p in folder.iterdir()] == [made[0].key.hash]


def test_a_removed_promotion_is_gone(scale, promote):
    path = promote.write(scale, KERNEL)
    promotions.remove(path)
    assert promotions.find(scale.reference) == []
    assert list(path.parent.iterdir()) == []
    promotions.remove(path)  # as a process does that lost the race to another


def test_what_cannot_be_removed_is_said(scale, promote, monkeypatch):
    path = promote.write(scale, KERNEL)
    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(StorageError, match="cannot be removed: Permission denied"):
        promotions.remove(path)


def test_what_killed_processes_left_is_removed_in_the_end(scale, promote, monkeypatch):
    path = promote.write(scale, KERNEL)
    left = [path.with_name(".new-5f1e"), path.with_name(".old-5f1e")]
    for folder in left:
        folder.mkdir()
        (folder / "draft.py").touch()
    promote.write(scale, KERNEL)
    assert all(folder.exists() for folder in left)  # it may be another process at work
    while _clock_of(path.parent) == max(folder.stat().st_ctime for folder in left):
        pass
    monkeypatch.setattr(promotions, "_ABANDONED_AFTER", 0.0)
    promote.write(scale, KERNEL)
    assert not any(folder.exists() for folder in left)
    assert len(promotions.find(scale.reference)) == 1


# --- Damage -------------------------------------------------------------------------------------


def rewritten(path, change):
    record = json.loads((path / "promotion.json").read_text())
    change(record)
    (path / "promotion.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "promotion.json").write_bytes(b'{"schema": \xff'), "promotion.json: not a"),
        (lambda p: (p / "promotion.json").write_text(""), "promotion.json: not a stored"),
        (lambda p: (p / "promotion.json").unlink(), "holds no promotion.json"),
        (
            lambda p: rewritten(p, lambda r: r.update(schema="outpace.promotion/99")),
            "newer outpace",
        ),
        (lambda p: rewritten(p, lambda r: r["value"].pop("key")), "damaged Promotion"),
        (
            lambda p: rewritten(p, lambda r: r["value"]["key"].update(ranks=2)),
            "changed since it was written",
        ),
        (
            lambda p: rewritten(p, lambda r: r["value"]["variant"]["params"].update(TILE=64)),
            "changed since it was written",
        ),
        (lambda p: rewritten(p, lambda r: r.pop("digest")), "promotion.json: not a stored"),
        (
            lambda p: shutil.copy(
                next(f for f in p.parent.iterdir() if f != p) / "promotion.json", p
            ),
            "not that of its folder",
        ),
        (
            lambda p: (p / "draft.py").write_text(KERNEL + "# mine\n"),
            "not the draft that was judged",
        ),
        (lambda p: (p / "draft.py").write_bytes(b"\xff"), "not the draft that was judged"),
        (lambda p: (p / "draft.py").unlink(), "draft.py is missing"),
        (lambda p: (shutil.rmtree(p), p.write_text("")), "Not a directory"),
    ],
)
def test_a_damaged_promotion_is_ignored_with_a_warning_that_names_the_file(
    scale, promote, damage, message
):
    path = promote.write(scale, KERNEL, workloads=("small",))
    promote.write(scale, KERNEL, workloads=("large",))
    damage(path)
    with pytest.warns(PromotionWarning, match=message) as caught:
        found = promotions.find(scale.reference)
    assert str(path) in str(caught[0].message)
    assert [len(s.promotion.evidence) for s in found] == [1]


def test_a_header_edited_by_hand_is_an_edit(scale, promote):
    draft = Draft("numba", KERNEL, (Parameter("TILE", (8, 16)),))
    path = promote.write(scale, "", variant=Variant(draft, {"TILE": 8}))
    text = (path / "draft.py").read_text()
    (path / "draft.py").write_text(text.replace("[8, 16]", "[8, 32]"))
    with pytest.raises(CodecError, match="outpace judge"):
        promotions.read(path)


def test_a_language_that_is_not_known_here_is_ignored_and_left_in_place(
    scale, promote, monkeypatch
):
    with monkeypatch.context() as newer:
        newer.setattr(promotions, "language_named", lambda _: promote.language)
        promote.write(scale, "", variant=Variant(Draft("fortran", KERNEL)))
    with pytest.warns(PromotionWarning, match="fortran"):
        assert promotions.find(scale.reference) == []
    with pytest.raises(StorageError, match=r"newer outpace and is not replaced \(.*fortran"):
        promote.write(scale, KERNEL)


# --- Where --------------------------------------------------------------------------------------


def test_a_folder_that_is_given_wins_over_the_module(scale, promote, tmp_path, monkeypatch):
    monkeypatch.setenv("OUTPACE_PROMOTED", str(tmp_path / "by-variable"))
    assert promote.write(scale, KERNEL).is_relative_to(tmp_path / "by-variable" / "scale")
    given = promotions.write(promote.make(scale, KERNEL), scale.reference, tmp_path / "given")
    assert given.is_relative_to(tmp_path / "given" / "scale")
    assert [s.path for s in promotions.find(scale.reference, tmp_path / "given")] == [given]


def test_an_installed_module_is_promoted_in_the_data_folder(module, promote, tmp_path):
    package = tmp_path / "site-packages" / "weather"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    fn = module(SCALE, package).scale
    path = promote.write(fn, KERNEL)
    dotted = f"weather.{Path(fn.reference.file).stem}"
    assert path.parent == environment.data_dir() / "promoted" / dotted / "scale"
    assert len(promotions.find(fn.reference)) == 1


def test_promotions_shipped_with_an_installed_module_are_found(module, promote, tmp_path):
    fn = module(SCALE, tmp_path / "site-packages").scale
    shipped = promotions.write(
        promote.make(fn, KERNEL), fn.reference, fn.reference.folder / "promoted"
    )
    assert [s.path for s in promotions.find(fn.reference)] == [shipped]


def test_where_the_folder_beside_the_module_cannot_be_made_the_data_folder_is_used(scale, promote):
    (scale.reference.folder / "promoted").write_text("a file where a folder should be")
    assert promote.write(scale, KERNEL).is_relative_to(environment.data_dir())
    assert len(promotions.find(scale.reference)) == 1


def test_a_local_function_has_a_folder_without_angle_brackets(module):
    fn = module(f"def build():{SCALE.replace(chr(10), chr(10) + '    ')}return scale\n").build()
    assert promotions.folder_for(fn.reference).name == "build.locals.scale"


def test_a_folder_that_cannot_be_written_is_a_storage_error(scale, promote, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="--promoted"):
        promotions.write(promote.make(scale, KERNEL), scale.reference, tmp_path / "file")


def test_a_full_disk_loses_nothing(scale, promote):
    path = promote.write(scale, KERNEL)
    better = promote.make(scale, KERNEL + "# better\n")
    with files_limited_to(100), pytest.raises(StorageError, match="nothing that was there is lost"):
        promotions.write(better, scale.reference)
    (found,) = promotions.find(scale.reference)
    assert isinstance(found.promotion, Promotion)
    assert found.promotion.variant.draft.source == KERNEL
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_what_cannot_be_written_is_refused_before_any_work(scale, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file is not a folder.*--promoted"):
        promotions.refuse_unwritable(scale.reference, tmp_path / "file")
    promotions.refuse_unwritable(scale.reference, tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
