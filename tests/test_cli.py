"""What all verbs have in common: errors, exit codes, where options stand, and output that goes nowhere."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import cli, command
from bench.cli import main, make_parser, verb_first
from bench.errors import BenchError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def does(monkeypatch):
    """Puts what the verb `env` does."""
    return lambda action: monkeypatch.setattr(cli, "_env", action)


def raises(error):
    def action(options):
        raise error

    return action


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_is_an_interruption_and_its_handler_is_put_back(name, does, capsys):
    def waits(options):
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(5)
        return 0

    before = signal.getsignal(getattr(signal, name))
    does(waits)
    assert main(["env"]) == 3
    assert capsys.readouterr().err == "fcnn-bench: interrupted\n"
    assert signal.getsignal(getattr(signal, name)) is before


def test_an_error_is_its_line_and_its_exit_code(does, capsys):
    does(raises(BenchError("two\nlines [/b]", 4)))
    assert main(["env"]) == 4
    assert capsys.readouterr().err == "fcnn-bench: two lines [/b]\n"


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("by zero"), MemoryError(), RecursionError("deep"), AssertionError()]
)
def test_any_other_exception_is_a_line_exit_code_3_and_a_log(error, does, capsys):
    does(raises(error))
    assert main(["env"]) == 3
    err = capsys.readouterr().err
    assert err.startswith(f"fcnn-bench: {type(error).__name__}")
    assert err.count("\n") == 1
    log = Path(err.strip().rpartition(" ")[2])
    assert "Traceback" in log.read_text()
    log.unlink()


def test_without_a_place_for_the_log_the_line_says_so(does, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(command.tempfile, "NamedTemporaryFile", full)
    does(raises(ZeroDivisionError("by zero")))
    assert main(["env"]) == 3
    err = capsys.readouterr().err
    assert err == (
        "fcnn-bench: ZeroDivisionError: by zero; this is a fault of fcnn-bench, the traceback cannot be written: "
        "No space left on device\n"
    )


@pytest.mark.parametrize(
    ("words", "verb", "values"),
    [
        (["--data", "/x", "run"], "_measure", {"data": Path("/x"), "plan": "suite"}),
        (["--budget", "3", "run", "--batch", "1"], "_measure", {"budget": 3.0, "batch": [1]}),
        (["--batch", "1", "64", "run"], "_measure", {"batch": [1, 64], "plan": "suite"}),
        (["--results", "r", "ladder"], "_ladder", {"results": Path("r")}),
        (["--results=r", "ladder"], "_ladder", {"results": Path("r")}),
        (["--results", "run", "--budget", "3"], "_measure", {"results": Path("run"), "plan": "quick"}),
        (["--data", "check", "check", "HEAD"], "_check", {"data": Path("check"), "ref": "HEAD"}),
        (["check", "--output", "run", "run"], "_check", {"output": Path("run"), "ref": "run"}),
        (["--workload", "step", "run", "--data", "/a", "--results", "b"], "_measure", {"workload": ["step"]}),
        ([], "_measure", {"plan": "quick"}),
    ],
)
def test_options_mean_the_same_before_a_verb(words, verb, values, monkeypatch):
    asked = []
    monkeypatch.setattr(cli, verb, lambda options: asked.append(vars(options)) or 0)
    assert main(words) == 0
    assert {name: asked[0][name] for name in values} == values


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "3", "env"], "unrecognized arguments: --budget 3"),
        (["--batch", "1", "check", "HEAD"], "unrecognized arguments: --batch"),
        (["--pin-memory", "report", "x"], "unrecognized arguments: --pin-memory"),
    ],
)
def test_options_that_a_verb_does_not_know_are_refused_before_it(words, message, capsys):
    with pytest.raises(SystemExit) as exit:
        main(words)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err


def test_every_option_with_one_value_is_known_to_take_it():
    parser = make_parser()
    assert verb_first(parser, ["--dataset", "run", "--num-workers", "env"]) == [
        "--dataset",
        "run",
        "--num-workers",
        "env",
    ]
    assert verb_first(parser, ["--", "run"]) == ["--", "run"]


HOME = (["--results=~/r"], ["run", "--data", "~/d"], ["check", "--output", "~/o"], ["report", "~/x"])
HOME = (*HOME, ["profile", "--run", "~/p"], ["ladder", "--results", "~/l"])


@pytest.mark.parametrize("words", HOME)
def test_a_home_folder_is_one_in_every_path(words, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    options = vars(make_parser().parse_args(words))
    paths = [value for values in options.values() for value in (values if isinstance(values, list) else [values])]
    assert [path for path in paths if str(path).startswith("/home/somebody/")]
    assert not [path for path in paths if str(path).startswith("~")]


@pytest.mark.parametrize(
    "redirection",
    ["> /dev/full", "2> /dev/full > /dev/full", "| true", ">&-", ">&- 2>&-", "< /dev/null > /dev/null"],
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_output_that_cannot_be_written_changes_no_exit_code(redirection, tmp_path):
    code = "import sys\nfrom bench import cli, console\n"
    code += "cli._env = lambda options: [console.make().print('x' * 100_000), console.error('y'), 5][-1]\n"
    code += "sys.exit(cli.main(['env']))\n"
    (tmp_path / "main.py").write_text(code)
    script = f"{sys.executable} {tmp_path}/main.py {redirection}; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 5, run.stderr
    assert run.stderr in ("", "fcnn-bench: y\n")
