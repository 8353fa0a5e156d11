"""``deploy/realtime.sh`` tells what is missing on any machine, and changes nothing unless it is told to."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from vla_runtime.app.config import RealtimeConfig

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy" / "realtime.sh"
SHELLS = [shell for shell in ("sh", "bash", "dash") if shutil.which(shell)]
LIMITS = "etc/security/limits.d/99-vla.conf"
NOTHING, EVERYTHING = "0000000000000000", "000001ffffffffff"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The files of a machine that grants nothing, with commands that only say what they were called with."""
    for name, text in {
        "proc/self/limits": limits("0", "8388608"),
        "proc/self/status": f"Name:\tsh\nCapEff:\t{NOTHING}\n",
        "proc/sys/kernel/sched_rt_runtime_us": "950000\n",
        "proc/sys/kernel/sched_rt_period_us": "1000000\n",
        "proc/sys/kernel/timer_migration": "1\n",
        "proc/irq/default_smp_affinity": "f\n",
        "sys/devices/system/cpu/isolated": "\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance\n",
        "etc/group": "root:x:0:\n",
    }.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "bin").mkdir()
    for command, answer in {
        "id": "case $1 in -u) echo 0 ;; *) echo me ;; esac",
        "groupadd": SAY,
        "usermod": SAY,
    }.items():
        path = tmp_path / "bin" / command
        path.write_text(f"#!/bin/sh\n{answer}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return tmp_path


SAY = 'echo "CALLED ${0##*/} $*"'


def limits(rtprio: str, memlock: str) -> str:
    return (
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        f"Max locked memory         {memlock:<20} {memlock:<20} bytes     \n"
        f"Max realtime priority     {rtprio:<20} {rtprio:<20} \n"
        "Max realtime timeout      unlimited            unlimited            us        \n"
    )


def run(machine: Path, *options: str, shell: str = "sh") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{machine / 'bin'}:{os.environ['PATH']}", "VLA_REALTIME_ROOT": str(machine / "root")}
    return subprocess.run(
        [shell, str(SCRIPT), *options], capture_output=True, text=True, timeout=30, env=environment, check=False
    )


def table(output: str) -> dict[str, str]:
    """What each line is about, and its verdict."""
    return {line[9:27].strip(): line.split()[0] for line in output.splitlines()}


def files(machine: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted((machine / "root").rglob("*")) if path.is_file()}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_reads_it(shell: str) -> None:
    subprocess.run([shell, "-n", str(SCRIPT)], check=True)
    assert os.access(SCRIPT, os.X_OK)


@pytest.mark.parametrize("shell", SHELLS)
def test_on_this_machine_the_check_gives_a_table_and_needs_no_root(shell: str) -> None:
    done = subprocess.run([shell, str(SCRIPT)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode in (0, 1)
    found = table(done.stdout)
    assert set(found) >= {"rtprio", "memlock", "group", "rt share", "kernel", "governor", "isolated cores"}
    assert set(found.values()) <= {"ok", "better", "missing"}
    assert (done.returncode == 1) == ("missing" in found.values())
    assert done.stderr == ""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_machine_that_grants_nothing_is_told_so_and_only_the_needed_counts(machine: Path, shell: str) -> None:
    before = files(machine)
    done = run(machine, "--check", shell=shell)
    found = table(done.stdout)
    assert done.returncode == 1
    assert [name for name, verdict in found.items() if verdict == "missing"] == ["rtprio", "memlock"]
    assert found["governor"] == found["isolated cores"] == found["timer migration"] == "better"
    assert files(machine) == before
    assert "CALLED" not in done.stdout


@pytest.mark.parametrize("granted", ["limits", "capabilities"])
def test_limits_or_capabilities_are_enough(machine: Path, granted: str) -> None:
    if granted == "limits":
        (machine / "root/proc/self/limits").write_text(limits("95", "unlimited"))
    else:
        (machine / "root/proc/self/status").write_text(f"CapEff:\t{EVERYTHING}\n")
    done = run(machine)
    assert done.returncode == 0, done.stdout
    assert "missing" not in table(done.stdout).values()


def test_the_limit_that_is_asked_for_is_enough_for_the_priorities_by_default(machine: Path) -> None:
    needed = RealtimeConfig().host_priority + 1
    for limit, code in ((needed - 1, 1), (needed, 0)):
        (machine / "root/proc/self/limits").write_text(limits(str(limit), "unlimited"))
        assert run(machine).returncode == code


def test_a_kernel_that_forbids_real_time_scheduling_is_named(machine: Path) -> None:
    (machine / "root/proc/self/status").write_text(f"CapEff:\t{EVERYTHING}\n")
    (machine / "root/proc/sys/kernel/sched_rt_runtime_us").write_text("0\n")
    done = run(machine)
    assert done.returncode == 1
    assert table(done.stdout)["rt share"] == "missing"


def test_a_dry_run_says_each_thing_and_does_none(machine: Path) -> None:
    before = files(machine)
    done = run(machine, "--apply", "--dry-run", "ann")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["would: groupadd --system realtime", "would: usermod -aG realtime ann"]
    assert lines[2] == f"would: write /{LIMITS}: rtprio 95 and memlock unlimited for @realtime"
    assert lines[3] == "would: echo performance > /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    assert "CALLED" not in done.stdout
    assert files(machine) == before


def test_applied_twice_it_does_each_thing_once(machine: Path) -> None:
    done = run(machine, "--apply", "ann", "ben")
    assert done.returncode == 0, done.stderr
    called = [line for line in done.stdout.splitlines() if line.startswith("CALLED")]
    assert called == ["CALLED groupadd --system realtime"] + [
        f"CALLED usermod -aG realtime {who}" for who in ("ann", "ben")
    ]
    written = (machine / "root" / LIMITS).read_text().splitlines()
    assert written[1:] == ["@realtime - rtprio 95", "@realtime - memlock unlimited"]
    assert (machine / "root/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text() == "performance\n"
    (machine / "root/etc/group").write_text("realtime:x:999:\n")
    before = files(machine)
    again = run(machine, "--apply")
    assert files(machine) == before
    assert "CALLED" not in again.stdout
    assert f"/{LIMITS} is right" in again.stdout


def test_applying_without_root_is_refused(machine: Path) -> None:
    (machine / "bin/id").write_text("#!/bin/sh\necho 1000\n")
    before = files(machine)
    done = run(machine, "--apply")
    assert done.returncode == 2
    assert "needs root" in done.stderr
    assert files(machine) == before


def test_an_unknown_option_is_refused_with_the_valid_ones(machine: Path) -> None:
    done = run(machine, "--aply")
    assert done.returncode == 2
    assert done.stderr == "realtime.sh: unknown option --aply; valid: --check, --apply, --dry-run, --help\n"


def test_the_units_allow_what_the_script_grants() -> None:
    for unit in (ROOT / "deploy").glob("*.service"):
        text = unit.read_text()
        assert "\nLimitRTPRIO=95\nLimitMEMLOCK=infinity\n" in text
        assert "CPUSchedulingPolicy" not in text
