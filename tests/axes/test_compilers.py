"""Which C++ compiler torch would take, by its version and by `CXX`, and which C compiler Triton would, by `CC`."""

from types import SimpleNamespace

import pytest
import torch
from torch.torch_version import TorchVersion

from bench.axes import compilers
from bench.axes.compilers import COMPILERS

SPLITS, DOES_NOT = "2.14.0+cpu", "2.13.1+cu130"


@pytest.fixture
def why_not(monkeypatch):
    """The reason with these programs here, under a torch of this version, on a system."""

    def ask(cxx, *programs, version=SPLITS, system="linux"):
        monkeypatch.delenv("CXX", raising=False)
        if cxx is not None:
            monkeypatch.setenv("CXX", cxx)
        monkeypatch.setattr(torch, "__version__", TorchVersion(version))
        monkeypatch.setattr(compilers, "sys", SimpleNamespace(platform=system))
        monkeypatch.setattr(compilers.shutil, "which", lambda name: name if name in programs else None)
        return COMPILERS["default"].why_not("cpu")

    return ask


@pytest.mark.parametrize("version", [DOES_NOT, SPLITS])
@pytest.mark.parametrize(("system", "name"), [("linux", "g++"), ("darwin", "clang++"), ("win32", "cl")])
def test_without_cxx_it_is_the_one_of_the_system_and_no_other(why_not, version, system, name):
    others = {"g++", "clang++", "cl", "c++"} - {name}
    assert why_not(None, name, version=version, system=system) is None
    reason = why_not(None, *others, version=version, system=system)
    assert reason == f"torch.compile needs a C++ compiler and there is no {name}: install it, or name another in CXX"


@pytest.mark.parametrize("version", [DOES_NOT, SPLITS])
def test_what_cxx_names_counts_alone(why_not, version):
    assert why_not("my-g++", "my-g++", version=version) is None
    assert "there is no my-g++: install it" in why_not("my-g++", "g++", "clang++", version=version)


def test_a_command_in_cxx_is_run_by_newer_torches(why_not):
    assert why_not("ccache g++", "ccache", "g++") is None
    assert why_not("'/my tools/g++' -m64", "/my tools/g++") is None
    assert "there is no ccache: install it" in why_not("ccache g++", "g++")


def test_a_command_in_cxx_is_no_program_to_older_torches(why_not):
    assert why_not("ccache g++", "ccache", "g++", version=DOES_NOT) == (
        "torch.compile needs a C++ compiler and torch 2.13.1+cu130 takes CXX=ccache g++ as the name of one: "
        "name a compiler alone in CXX, or install torch 2.14"
    )
    assert why_not("/my tools/g++", "/my tools/g++", version=DOES_NOT) is None


def test_on_windows_no_torch_splits_it(why_not):
    reason = why_not("ccache cl", "ccache", "cl", system="win32")
    assert reason.endswith("takes CXX=ccache cl as the name of one: name a compiler alone in CXX")
    assert why_not(r"C:\Program Files\cl.exe", r"C:\Program Files\cl.exe", system="win32") is None


@pytest.mark.parametrize("version", [DOES_NOT, SPLITS])
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_cxx_names_none(why_not, version, value):
    assert why_not(value, "g++", version=version).endswith("CXX is empty: unset it, or name one in it")


def test_a_quote_that_is_not_closed_is_told(why_not):
    assert why_not("'g++", "g++").endswith("CXX='g++ is no command: No closing quotation")


def test_a_folder_whose_name_is_no_utf_8_is_told():
    assert compilers.path_why_not("/home/caf\udce9/bench/axes/compilers.py") == (
        "torch.compile takes no path that is not UTF-8: /home/caf\udce9; move it"
    )
    assert compilers.path_why_not("/home/café/bench/axes/compilers.py") is None


@pytest.fixture
def cc_why_not(monkeypatch, tmp_path):
    """The reason of Triton's with these programs here, on a system, with Python's headers or without."""
    (tmp_path / "posix_prefix").mkdir()
    (tmp_path / "posix_prefix" / "Python.h").touch()

    def ask(cc, *programs, system="linux", headers=True, scheme="posix_prefix"):
        monkeypatch.delenv("CC", raising=False)
        if cc is not None:
            monkeypatch.setenv("CC", cc)
        monkeypatch.setattr(compilers, "sys", SimpleNamespace(platform=system))
        monkeypatch.setattr(compilers.shutil, "which", lambda name: name if name in programs else None)
        folder = tmp_path if headers else tmp_path / "none"
        monkeypatch.setattr(compilers.sysconfig, "get_paths", lambda scheme: {"include": str(folder / scheme)})
        monkeypatch.setattr(compilers.sysconfig, "get_default_scheme", lambda: scheme)
        return compilers._cc_why_not()

    return ask


def test_without_cc_triton_takes_gcc_or_clang(cc_why_not):
    assert cc_why_not(None, "gcc") is None
    assert cc_why_not(None, "clang") is None
    assert cc_why_not(None, "cc", "g++") == (
        "Triton needs a C compiler and there is neither gcc nor clang: install one, or name another in CC"
    )


def test_what_cc_names_counts_alone_and_is_one_program(cc_why_not):
    assert cc_why_not("my-cc", "my-cc") is None
    assert cc_why_not("my-cc", "gcc").startswith("Triton needs a C compiler and there is no my-cc: install it")
    assert "there is no ccache gcc" in cc_why_not("ccache gcc", "ccache", "gcc")
    assert cc_why_not("", "gcc") == "Triton needs a C compiler and CC is empty: unset it, or name one in it"


def test_triton_needs_the_headers_of_python(cc_why_not, tmp_path):
    header = tmp_path / "none" / "posix_prefix" / "Python.h"
    expected = f"Triton needs Python's headers and there is no {header}: install them"
    assert cc_why_not(None, "gcc", headers=False) == expected


def test_the_headers_are_those_of_the_system_where_a_distribution_has_a_scheme_of_its_own(cc_why_not):
    assert cc_why_not(None, "gcc", scheme="posix_local") is None


def test_on_windows_triton_brings_its_compiler(cc_why_not):
    assert cc_why_not(None, system="win32", headers=False) is None
