"""The C compiler of the ladder's last step, stood for by shell scripts."""

import os
import shutil
import time

import psutil
import pytest

from bench.ladder import native

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-ins are shell scripts")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")


@pytest.fixture(autouse=True)
def fresh():
    """A compiler that is asked, and not the library that another test has built."""
    native._library.cache_clear()
    yield
    native._library.cache_clear()


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Makes shell scripts that are found by their names."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def write(name, script):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


def failure():
    with pytest.raises(RuntimeError) as error:
        native._library()
    return str(error.value)


# What CC names


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ["cc"]),
        ("", ["cc"]),
        ("  ", ["cc"]),
        ("gcc-13", ["gcc-13"]),
        ("ccache gcc -m64", ["ccache", "gcc", "-m64"]),
        ("'/opt/my tools/gcc' -m64", ["/opt/my tools/gcc", "-m64"]),
    ],
)
def test_cc_is_a_command(monkeypatch, value, words):
    monkeypatch.delenv("CC", raising=False)
    if value is not None:
        monkeypatch.setenv("CC", value)
    assert native.compiler() == words


def test_only_the_first_word_must_be_a_program(monkeypatch, program):
    program("ccache", "exit 1")
    monkeypatch.setenv("CC", "ccache no-such-compiler")
    assert native.why_not() is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no-such-ccache gcc", "there is no C compiler no-such-ccache: install one, or name another in CC"),
        ("gcc '-O2", "CC=gcc '-O2 is no command: No closing quotation"),
    ],
)
def test_without_a_compiler_the_reason_is_stated(monkeypatch, value, reason):
    monkeypatch.setenv("CC", value)
    assert native.why_not() == reason


@pytest.mark.slow
@needs_compiler
def test_a_launcher_before_the_compiler_is_run(monkeypatch, program, tmp_path):
    program("launcher", f'echo "$1" >> {tmp_path}/launched; exec "$@"')
    monkeypatch.setenv("CC", "launcher cc")
    assert native.why_not() is None
    assert native._library().train_epoch
    assert (tmp_path / "launched").read_text() == "cc\n"


# How it fails


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "In file included from /a/epoch.c:1:\n"
            "/a/vectors.h:7:10: fatal error: immintrin.h: No such file or directory\n"
            "    7 | #include <immintrin.h>\n      |          ^~~~~~~~~~~~~\ncompilation terminated.",
            "/a/vectors.h:7:10: fatal error: immintrin.h: No such file or directory",
        ),
        (
            "/a/epoch.c: In function 'train':\n/a/epoch.c:3:1: warning: unused\n/a/epoch.c:9:5: error: 'x' undeclared"
            "\n/a/epoch.c:9:6: error: another\n",
            "/a/epoch.c:9:5: error: 'x' undeclared",
        ),
        ("cc: checking the licence\nno seat is free", "no seat is free"),
        ("", "exit code 3, and it said nothing"),
    ],
)
def test_a_compiler_that_fails_is_quoted_with_its_own_error(monkeypatch, program, tmp_path, said, reason):
    (tmp_path / "words").write_text(said)
    program("failing", f"cat {tmp_path}/words >&2; exit 3")
    monkeypatch.setenv("CC", "failing cc")
    assert failure() == f"failing cc failed: {reason}"


@needs_compiler
def test_a_source_that_is_not_there_is_named_in_english(monkeypatch, tmp_path):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(native, "SOURCE", tmp_path / "none.c")
    assert failure().startswith("cc failed: ")
    assert "error: " in failure()
    assert "none.c" in failure()


def test_a_compiler_that_does_not_end_is_killed_with_what_it_has_started(monkeypatch, program, tmp_path):
    # What it has started keeps its output open, as cc1 does when cc is killed.
    child = tmp_path / "child"
    program("hanging", f"sleep 600 &\necho $! > {child}; wait")

    class Popen(psutil.Popen):
        """Has used up its time once it has started the other."""

        def wait(self, timeout=None):
            if timeout is None:
                return super().wait()
            while not child.exists() or not child.read_text().endswith("\n"):
                time.sleep(0.01)
            raise psutil.TimeoutExpired(timeout)

    monkeypatch.setattr(native.psutil, "Popen", Popen)
    monkeypatch.setenv("CC", "hanging cc")
    assert failure() == "hanging cc had not ended after 120 s and was killed"
    assert any(is_gone(int(child.read_text())) or time.sleep(0.01) for _ in range(12_000))


def is_gone(number):
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE  # nobody may be there to ask for its end
    except psutil.NoSuchProcess:
        return True
