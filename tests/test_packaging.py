import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("codegen", "kernels", "tuner")


def listed_files():
    """Everything git tracks or would track, relative to the root."""
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-coz", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(Path(name) for name in listing.split("\0") if name and (ROOT / name).exists())


def packaged_name(path):
    """Where a file of the tree belongs in the wheel; None if it does not."""
    if path.parts[0] in ROOMS:
        return f"outpace/{path}"
    if path.parts[:2] == ("src", "outpace") and not (ROOT / path).is_symlink():
        return str(path.relative_to("src"))
    return None


def build(source, kind, out):
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        f"--{kind}",
        "--outdir",
        out,
        source,
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl" if kind == "wheel" else "*.tar.gz"))


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def files():
    return listed_files()


@pytest.fixture(scope="module")
def expected(files):
    return {name for name in map(packaged_name, files) if name}


@pytest.fixture(scope="module")
def tree(files, tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    for path in files:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, root / path, follow_symlinks=False)
    return root


@pytest.fixture(scope="module")
def sdist(tree, tmp_path_factory):
    return build(tree, "sdist", tmp_path_factory.mktemp("sdist"))


def test_the_wheel_holds_all_of_the_package_and_nothing_else(tree, expected, tmp_path):
    assert "outpace/py.typed" in expected
    assert "outpace/codegen/contract.py" in expected
    assert contents(build(tree, "wheel", tmp_path)) == expected


def test_the_wheel_from_the_sdist_holds_the_same(sdist, expected, tmp_path):
    shutil.unpack_archive(sdist, tmp_path)
    (unpacked,) = tmp_path.iterdir()
    assert contents(build(unpacked, "wheel", tmp_path)) == expected


def test_the_sdist_carries_the_licence_and_the_readme(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_the_rooms_are_relative_links(tree):
    for room in ROOMS:
        link = tree / "src" / "outpace" / room
        assert link.is_symlink()
        assert str(link.readlink()) == f"../../{room}"
