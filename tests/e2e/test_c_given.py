"""tsnet.h: what a program does itself - the log, and the state's store."""
import subprocess

from c_programs import build  # noqa: F401, pylint: disable=unused-import
from harness import CLEAN_ENV, PATIENCE, needs

pytestmark = needs("gcc")


# pylint: disable=redefined-outer-name
def check(build, lab, tmp_path, what):
    """What stderr has on the way is the log's, which is the program's here."""
    result = subprocess.run(
        [build("tests/e2e/apps/api_given.c"), lab.url, "key-alice", what],
        capture_output=True, text=True, cwd=tmp_path, timeout=4 * PATIENCE,
        check=False, env=CLEAN_ENV)
    assert (result.returncode, result.stdout) == (0, "ok\n"), result.stderr
    return result.stderr


def test_the_log_is_the_programs(build, lab, tmp_path):
    assert check(build, lab, tmp_path, "log") == ""
    lines = (tmp_path / "lines").read_text()
    assert "Starting -> Running" in lines and "key-alice" not in lines


def test_a_user_is_told_why_it_was_refused(build, lab, tmp_path):
    check(build, lab, tmp_path, "refused")


def test_a_store_of_the_programs_own(build, lab, tmp_path):
    check(build, lab, tmp_path, "store")
    assert len(lab.nodes()) == 1


def test_a_store_that_fails(build, lab, tmp_path):
    check(build, lab, tmp_path, "errors")
