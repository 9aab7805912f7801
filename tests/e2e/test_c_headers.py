"""The headers for C and C++ programs, and what the libraries export."""
import os
import re
import subprocess

import pytest

from c_programs import TOP, link_options, options_of
from harness import BUILD, CLEAN_ENV, SANITIZERS, needs

HEADERS = ["tsnet.h", "tsnet_curl.h", "tailscale.h", "libtailscale.h"]
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion",
          "-Wsign-conversion", "-Wundef", "-Werror"]
# Whoever includes it chooses: these say the same in both languages.
C_ALONE = ["-Wstrict-prototypes", "-Wmissing-prototypes"]

pytestmark = needs("gcc", "g++", "pkg-config")


def compile_text(tmp_path, compiler, text, *options):
    source = tmp_path / ("one.c" if compiler == "gcc" else "one.cc")
    source.write_text(text)
    return subprocess.run([compiler, "-I", f"{TOP}/include", source, *options],
                          capture_output=True, text=True, check=False,
                          env=CLEAN_ENV, cwd=tmp_path)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("standard", ["c99", "c11", "gnu17", "c++98",
                                      "c++11", "c++20"])
def test_each_alone_in_any_standard(header, standard, tmp_path):
    is_c = "++" not in standard
    result = compile_text(
        tmp_path, "gcc" if is_c else "g++",
        f'#include "{header}"\n#include "{header}"\nint one;\n',
        f"-std={standard}", *STRICT, *(C_ALONE if is_c else []),
        "-fsyntax-only")
    assert result.returncode == 0, result.stderr


def declared(header):
    with open(f"{TOP}/include/{header}", encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    return set(re.findall(r"\b(tsnet_[a-z0-9_]+|tailscale_[a-z0-9_]+|"
                          r"Tsnet[A-Za-z0-9]+)\(", text))


@pytest.mark.parametrize("library,headers", [
    ("tsnet", ["tsnet.h"]), ("tailscale", ["tailscale.h", "libtailscale.h"])])
def test_a_cpp_program_finds_every_function(library, headers, tmp_path):
    names = sorted(set().union(*(declared(h) for h in headers)))
    assert len(names) > 25
    text = "".join(f'#include "{h}"\n' for h in headers)
    text += ("typedef void (*any)(void);\nint main() {\n"
             "volatile any all[] = {\n" +
             "".join(f"\treinterpret_cast<any>({n}),\n" for n in names) +
             "};\nreturn all[0] ? 0 : 1;\n}\n")
    result = compile_text(tmp_path, "g++", text, "-o", tmp_path / "one",
                          *link_options(library))
    assert result.returncode == 0, result.stderr


def test_the_curl_header_is_enough(tmp_path):
    result = compile_text(
        tmp_path, "g++", '#include "tsnet_curl.h"\n'
        "int main() { return tsnet_curl_setup(NULL, NULL) == -EINVAL ? 0 "
        ": 1; }\n", *STRICT, "-o", tmp_path / "one", *link_options(),
        *options_of("libcurl"))
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(SANITIZERS is not None, reason="not meant for linking")
def test_the_exports_are_the_headers(tmp_path):
    """And a name that goes, or comes without a header, is noticed."""
    script = f"{TOP}/scripts/check-exports"
    subprocess.run([script, BUILD], check=True)
    tree = tmp_path / "tree"
    for directory in ("scripts", "shim", "include"):
        (tree / directory).mkdir(parents=True)
    for path in ("scripts/check-exports", "scripts/musl-symbols",
                 "shim/libtsnet_shim.map",
                 *(f"include/{h}" for h in HEADERS)):
        with open(f"{TOP}/{path}", encoding="utf-8") as f:
            text = f.read()
        if path == "include/tsnet.h":
            text = text.replace("tsnet_whois(", "tsnet_who(")
        (tree / path).write_text(text)
    os.chmod(tree / "scripts/check-exports", 0o755)
    result = subprocess.run([tree / "scripts/check-exports", BUILD],
                            capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "tsnet_whois@@LIBTSNET_0" in result.stderr
    assert "tsnet_who@@LIBTSNET_0" in result.stderr
