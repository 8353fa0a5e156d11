"""Work in processes: every job is done once, errors come back as they are, and nobody is left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from vla_runtime.app.simulate.files import check_free, drafts
from vla_runtime.app.simulate.pool import default_workers, do_all, sigterm_interrupts
from vla_runtime.core.errors import Fault, LogError, Refusal

from . import live

MODULE = "pool_work"
WORK = """
import os, time
from contextlib import contextmanager
from vla_runtime.core.errors import Fault, Refusal

@contextmanager
def open_work(setup):
    if setup == b"refused":
        raise Refusal("no such robot")
    print("libraries print what they like", flush=True)
    def work(job):
        name, _, rest = job.partition(b" ")
        if name == b"refuse":
            raise Refusal(rest.decode())
        if name == b"fault":
            raise Fault(rest.decode())
        if name == b"die":
            os._exit(7)
        if name == b"sleep":
            time.sleep(float(rest))
        if name == b"touch":
            open(rest, "w").close()
        if name == b"await":
            end = time.monotonic() + 60
            while not os.path.exists(rest):
                assert time.monotonic() < end
                time.sleep(0.01)
        return setup + b":" + job + b":" + str(os.getpid()).encode()
    yield work
"""


@pytest.fixture(autouse=True)
def _importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{MODULE}.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(str(tmp_path))


def do(jobs: list[bytes], workers: int, setup: bytes = b"setup") -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    do_all(MODULE, setup, jobs, workers, lambda index, result: found.append((index, result)))
    return found


@pytest.fixture(autouse=True)
def _others() -> Iterator[None]:
    """Tests of other files may have left a process of theirs, torch's resource tracker for one."""
    OTHERS[:] = psutil.Process().children()
    yield
    OTHERS.clear()


OTHERS: list[psutil.Process] = []


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child not in OTHERS]


@pytest.mark.parametrize("workers", [1, 3])
def test_every_job_is_done_once_in_as_many_processes_as_asked_for(workers: int) -> None:
    jobs = [f"job {index}".encode() for index in range(40)]
    found = sorted(do(jobs, workers))
    assert [index for index, _ in found] == list(range(40))
    assert [result.rpartition(b":")[0] for _, result in found] == [b"setup:" + job for job in jobs]
    pids = {result.rpartition(b":")[2] for _, result in found}
    assert len(pids) <= workers
    assert (str(os.getpid()).encode() in pids) == (workers == 1)
    assert children() == []


def test_a_slow_job_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    last = str(tmp_path / "last").encode()
    found = do([b"await " + last, *([b"quick"] * 20), b"touch " + last], workers=2)
    assert [index for index, _ in found][:20] == list(range(1, 21))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("job", "kind"), [(b"refuse not mine", Refusal), (b"fault broken", Fault)])
def test_what_a_job_raises_is_raised_here(workers: int, job: bytes, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=job.partition(b" ")[2].decode()):
        do([b"quick", job, b"quick"], workers)
    assert children() == []


@pytest.mark.parametrize("workers", [1, 2])
def test_what_opening_raises_is_raised_here(workers: int) -> None:
    with pytest.raises(Refusal, match="no such robot"):
        do([b"quick"] * 3, workers, b"refused")
    assert children() == []


def test_a_worker_that_dies_is_a_fault() -> None:
    with pytest.raises(Fault, match="exit code 7"):
        do([b"quick", b"die", b"quick"], 2)
    assert children() == []


def test_a_worker_ends_when_its_parent_has_been_killed(tmp_path: Path) -> None:
    code = f"from vla_runtime.app.simulate.pool import do_all\ndo_all({MODULE!r}, b's', [b'sleep 0.5'] * 99, 2, print)"
    with live.started(sys.executable, "-c", code) as parent:
        family = live.wait_for(
            lambda: (found := psutil.Process(parent.pid).children()) and len(found) == 2 and found, "two workers"
        )
        parent.kill()
        parent.wait(10)
        live.wait_for(lambda: live.all_gone([worker.pid for worker in family]), "the workers' end")


def raised(call: Callable[[], object]) -> BaseException | None:
    try:
        call()
    except BaseException as error:
        return error
    return None


def _terminated() -> None:
    with sigterm_interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)


def test_sigterm_is_an_interrupt_inside_the_block_and_what_it_was_after() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert isinstance(raised(_terminated), KeyboardInterrupt)
    assert signal.getsignal(signal.SIGTERM) is before


def test_there_is_a_worker_for_each_core_of_this_process() -> None:
    assert default_workers() == len(psutil.Process().cpu_affinity())


# Files


def _interrupted(out: Path, whole: list[str]) -> None:
    with drafts(out) as draft:
        (draft / "half.mcap").write_text("half")
        for name in whole:
            (draft / name).write_text("whole")
            (draft / name).replace(out / name)
        raise KeyboardInterrupt


def test_drafts_and_what_they_made_are_gone_afterwards_whatever_happens(tmp_path: Path) -> None:
    assert isinstance(raised(lambda: _interrupted(tmp_path / "a" / "b", [])), KeyboardInterrupt)
    assert not (tmp_path / "a").exists()


def test_what_was_moved_out_of_the_drafts_stays(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    assert isinstance(raised(lambda: _interrupted(out, ["whole.mcap"])), KeyboardInterrupt)
    assert [path.name for path in out.iterdir()] == ["whole.mcap"]


def test_a_directory_that_was_there_stays_though_nothing_came_of_it(tmp_path: Path) -> None:
    with drafts(tmp_path):
        assert len(list(tmp_path.iterdir())) == 2
    assert [path.name for path in tmp_path.iterdir()] == [f"{MODULE}.py"]


def test_a_place_where_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="cannot write episodes into"), drafts(tmp_path / "file" / "a"):
        raise AssertionError("nothing to do here")


def test_episodes_that_are_there_are_named_and_counted(tmp_path: Path) -> None:
    for name in ("b", "c"):
        (tmp_path / name).write_text("")
    check_free(tmp_path, ["x", "y"], "go away")
    with pytest.raises(LogError, match=r"2 of the 3 .*/b the first; go away"):
        check_free(tmp_path, ["a", "b", "c"], "go away")
