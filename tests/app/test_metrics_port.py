"""A run's metrics over HTTP, live, and what happens where they cannot be served."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from vla_runtime.app.config import MetricsConfig
from vla_runtime.app.metrics_port import check_metrics, listen
from vla_runtime.core.errors import ConfigError, Refusal

from . import live


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def serving(tmp_path: Path, port: int, robot: str = "tracker") -> Path:
    config = live.patient(robot, tmp_path)
    content = yaml.safe_load(config.read_text())
    content["metrics"] = {"port": port}
    config.write_text(yaml.safe_dump(content))
    return config


def scrape(port: int) -> dict[str, float] | None:
    """Samples without labels; None while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except OSError:
        return None
    finally:
        connection.close()
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


@pytest.mark.parametrize("log", ["episodes", ""])
def test_a_run_serves_its_metrics_with_a_log_and_without(tmp_path: Path, log: str) -> None:
    port = free_port()
    logging = ["--log", tmp_path / log] if log else ["--no-log"]
    command = [*live.RUN, "--robot", serving(tmp_path, port), *logging, "--duration", 60, "--json"]
    with ExitStack() as stack, live.started(*command) as process:
        # They ask for nothing, all the while.
        first = live.wait_for(lambda: scrape(port), "an answer", 60)
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))

        def later() -> dict[str, float] | None:
            found = scrape(port)
            enough = found and found["vla_ticks_total"] > first["vla_ticks_total"] + 100 and found["vla_episode"] > 0
            return found if enough else None

        then = live.wait_for(later, "a hundred ticks more and another episode", 60)
        assert all(then[name] >= value for name, value in first.items() if name.endswith("_total"))
        assert then["vla_lateness_seconds_count"] == then["vla_tick_seconds_count"] == then["vla_ticks_total"]
        for name in ("capture_to_chunk", "chunk_to_use", "command_age", "state_age", "plan_age"):
            assert then[f"vla_{name}_seconds_count"] > 0
        process.send_signal(2)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
        report = live.last_line(output)
    assert report["ticks"] >= then["vla_ticks_total"]
    assert report["chunks"]["used"] >= then["vla_chunks_used_total"]
    assert bool(report["logs"]) == bool(log)
    assert scrape(port) is None


def test_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = serving(tmp_path, port)
        code, report, errors = live.finish(*live.RUN, "--robot", config, "--log", tmp_path / "log", "--json")
    assert (code, report["exit"]) == (2, "refused")
    assert f"127.0.0.1 port {port} is in use" in errors
    assert "$.metrics.port" in errors
    assert report["episodes"] == 0
    assert not list(tmp_path.glob("log/*"))


def test_the_port_is_the_recorders_and_a_run_whose_recorder_dies_goes_on(tmp_path: Path) -> None:
    port = free_port()
    command = [*live.RUN, "--robot", serving(tmp_path, port, "arm"), "--duration", 6, "--no-log", "--json"]
    with live.started(*command) as process:
        seen = live.wait_for(lambda: (scrape(port) or {}).get("vla_ticks_total"), "ticks", 60)
        recorder = live.child(process, live.RECORDER)
        assert recorder is not None
        recorder.kill()
        output, errors = process.communicate(timeout=60)
    report = live.last_line(output)
    assert (process.returncode, report["exit"]) == (0, "done"), errors
    assert report["ticks"] > seen + 50


def test_the_control_process_serves_nothing_itself() -> None:
    """All that it imports, it imports with the run."""
    probe = (
        "import sys, vla_runtime.app.run\n"
        "sys.exit(', '.join({'http.server', 'socketserver', 'prometheus_client', 'vla_runtime.episode.scrape'}"
        " & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_socket_is_no_other_childs() -> None:
    listener = listen(MetricsConfig(port=free_port()))
    assert listener is not None
    with listener:
        assert not listener.get_inheritable()
        assert {entry.laddr.ip for entry in psutil.Process().net_connections("tcp")
                if entry.laddr.port == listener.getsockname()[1]} == {"127.0.0.1"}  # fmt: skip


def test_no_port_is_no_socket() -> None:
    assert listen(MetricsConfig()) is None


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.7", "robot.example", ""])
def test_an_address_beyond_this_machine_needs_an_explicit_insecure(address: str) -> None:
    with pytest.raises(ConfigError, match=r"\$\.metrics\.address: .*insecure: true"):
        check_metrics(MetricsConfig(address=address))
    check_metrics(MetricsConfig(address=address, insecure=True))
    for inside in ("127.0.0.1", "localhost", "::1"):
        check_metrics(MetricsConfig(address=inside))


@pytest.mark.parametrize("address", ["203.0.113.77", "2001:db8::77"])
def test_an_address_that_is_none_of_this_machine_is_refused_with_its_key(address: str) -> None:
    with pytest.raises(ConfigError, match=r"\$\.metrics\.address: cannot serve metrics at"):
        listen(MetricsConfig(port=free_port(), address=address, insecure=True))


def test_a_second_run_on_the_same_port_is_told_so() -> None:
    config = MetricsConfig(port=free_port())
    first = listen(config)
    assert first is not None
    with first, pytest.raises(Refusal, match="is in use"):
        listen(config)
    again = listen(config)
    assert again is not None
    again.close()
