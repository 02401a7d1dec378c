"""The reason in what others say: of compilers, loaders and torch, as they were seen to say it."""

import pytest

from bench.errors import BenchError, reason_in, reason_of

COMPILER = """\
CppCompileError: C++ compile error

Command:
g++ /tmp/x/header.hpp -D TORCH_INDUCTOR_CPP_WRAPPER -Wall -o /tmp/x/header.i

Output:
In file included from x.h:1:
/tmp/x.cpp:3:10: fatal error: omp.h: No such file or directory
    3 | #include <omp.h>
      |          ^~~~~~~
compilation terminated.


Set TORCHDYNAMO_VERBOSE=1 for the internal stack trace (please do this especially if you're reporting a bug to \
PyTorch). For even more developer context, set TORCH_LOGS="+dynamo"
"""
SILENT = """\
CppCompileError: C++ compile error

Command:
g++ /tmp/x/header.hpp -D TORCH_INDUCTOR_CPP_WRAPPER -Wall -o /tmp/x/header.i

Output:


Set TORCHDYNAMO_VERBOSE=1 for the internal stack trace (please do this especially if you're reporting a bug to \
PyTorch). For even more developer context, set TORCH_LOGS="+dynamo"
"""
NO_COMPILER = """\
InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')

Set TORCHDYNAMO_VERBOSE=1 for the internal stack trace. For even more developer context, set TORCH_LOGS="+dynamo"
"""
LOADER = """\
Caught ValueError in DataLoader worker process 0.
Original Traceback (most recent call last):
  File "worker.py", line 375, in _worker_loop
    data = fetcher.fetch(index)
           ^^^^^^^^^^^^^^^^^^^^
ValueError: planted row
"""
OLD_BACKEND = """\
backend='inductor' raised:
RuntimeError: Failed to find C compiler. Please specify via CC environment variable.

Set TORCH_LOGS="+dynamo" and TORCHDYNAMO_VERBOSE=1 for more information
"""
UNSUPPORTED = """\
Failed to trace builtin operator
  Explanation: Dynamo does not know how to trace builtin operator `print`
  Hint: Avoid calling builtin `print` with argument types ['str'].
"""
CUDA = """\
CUDA error: out of memory
CUDA kernel errors might be asynchronously reported at some other API call.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.
"""


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (COMPILER, "RuntimeError: /tmp/x.cpp:3:10: fatal error: omp.h: No such file or directory"),
        (SILENT, "CppCompileError: C++ compile error"),
        (NO_COMPILER, "RuntimeError: InvalidCxxCompiler: No working C++ compiler found in "
                      "torch._inductor.config.cpp.cxx: (None, 'g++')"),
        (LOADER, "ValueError: planted row"),
        (OLD_BACKEND, "RuntimeError: Failed to find C compiler. Please specify via CC environment variable."),
        (UNSUPPORTED, "RuntimeError: Failed to trace builtin operator"),
        (CUDA, "RuntimeError: CUDA error: out of memory"),
        ("one line", "RuntimeError: one line"),
        ("", "RuntimeError"),
    ],
    ids=["compiler", "silent", "no compiler", "loader", "older torch", "unsupported", "cuda", "line", "nothing"],
)  # fmt: skip
def test_the_reason_of_an_exception_is_no_hint(message, reason):
    assert reason_of(RuntimeError(message)) == reason


TRACEBACK = "Traceback (most recent call last):\n  File 'x.py', line 1, in <module>\n    f()\n    ~^^\n"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (f"{TRACEBACK}torch._inductor.exc.InductorError: {COMPILER}",
         "/tmp/x.cpp:3:10: fatal error: omp.h: No such file or directory"),
        (f"{TRACEBACK}torch._inductor.exc.InductorError: {NO_COMPILER}",
         "torch._inductor.exc.InductorError: InvalidCxxCompiler: No working C++ compiler found in "
         "torch._inductor.config.cpp.cxx: (None, 'g++')"),
        (f"{TRACEBACK}ModuleNotFoundError: No module named 'torch'", "ModuleNotFoundError: No module named 'torch'"),
        (f"{TRACEBACK}ImportError: libcudart.so.13: cannot open shared object file: No such file or directory",
         "ImportError: libcudart.so.13: cannot open shared object file: No such file or directory"),
        ("/usr/bin/ld: cannot find -lgomp: No such file or directory\ncollect2: error: ld returned 1 exit status",
         "/usr/bin/ld: cannot find -lgomp: No such file or directory"),
        ("UserWarning: something old\nkilled by the system", "killed by the system"),
        ("Hint: look into the log", "Hint: look into the log"),  # nothing better is there
        ("", ""),
    ],
    ids=["compiler", "no compiler", "no torch", "loader", "linker", "warning", "hint alone", "nothing"],
)  # fmt: skip
def test_the_reason_in_what_a_process_has_said(said, reason):
    assert reason_in(said) == reason


def test_an_error_carries_its_exit_code():
    class Special(BenchError):
        exit_code = 4

    assert (BenchError("x").exit_code, BenchError("x", 2).exit_code, Special("x").exit_code) == (3, 2, 4)
    assert str(Special("one line")) == reason_of(Special("one line")) == "one line"
