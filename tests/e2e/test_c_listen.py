"""tsnet.h: listeners of every kind, built and run."""
import subprocess

from c_programs import build  # noqa: F401, pylint: disable=unused-import
from harness import CLEAN_ENV, PATIENCE, needs

pytestmark = needs("gcc")


# pylint: disable=redefined-outer-name
def check(build, lab, tmp_path, what):
    result = subprocess.run(
        [build("tests/e2e/apps/api_listens.c"), lab.url, "key-alice", what],
        capture_output=True, text=True, cwd=tmp_path, timeout=4 * PATIENCE,
        check=False, env=CLEAN_ENV)
    assert (result.returncode, result.stdout) == (0, "ok\n"), result.stderr


def test_ports_that_nobody_listens_at(build, lab, tmp_path):
    check(build, lab, tmp_path, "fallback")


def test_several_fallbacks(build, lab, tmp_path):
    check(build, lab, tmp_path, "several")


def test_udp_by_connections(build, lab, tmp_path):
    check(build, lab, tmp_path, "flows")


def test_addresses_that_are_routed(build, lab, tmp_path):
    program = build("tests/e2e/apps/api_listens.c")
    with subprocess.Popen(
            [program, lab.url, "key-alice", "routed"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd=tmp_path, env=CLEAN_ENV) as process:
        try:
            assert process.stdout.readline() == "ready\n", \
                process.stderr.read()
            lab.command("routes alpha 10.7.0.0/24")
            out, err = process.communicate("\n", timeout=4 * PATIENCE)
            assert (process.returncode, out) == (0, "ok\n"), err
        finally:
            process.kill()


def test_wrong_arguments(build, lab, tmp_path):
    check(build, lab, tmp_path, "arguments")
