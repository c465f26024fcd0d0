"""Facts about the machine that drafters are told."""

from outpace.kernels import machine


def test_this_machine_has_bounds():
    found = machine.this_machine()
    assert found.bandwidth > 1e8
    assert [cache.level for cache in found.caches] == sorted(cache.level for cache in found.caches)
    assert all(cache.size > 0 and cache.shared_by > 0 for cache in found.caches)


def test_caches_are_read_as_the_kernel_lists_them(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CPUS", tmp_path)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {3, 5})
    listed = [
        ("index0", "Data", "1", "48K", "00000000,00000028"),
        ("index1", "Instruction", "1", "32K", "8"),
        ("index2", "Unified", "2", "2M", "ffffffff,ffffffff"),
        ("index3", "Unified", "3", "unknown", "1"),
    ]
    for index, *texts in listed:
        folder = tmp_path / "cpu3" / "cache" / index
        folder.mkdir(parents=True)
        for name, text in zip(("type", "level", "size", "shared_cpu_map"), texts, strict=True):
            (folder / name).write_text(f"{text}\n")
    assert [(c.level, c.size, c.shared_by) for c in machine._caches()] == [
        (1, 48 << 10, 2),
        (2, 2 << 20, 64),
    ]
