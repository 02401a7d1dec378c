"""What all verbs have in common: errors, exit codes, where options stand, and output that goes nowhere."""

import os
import shlex
import signal
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

import pytest

from bench import cli, command
from bench.cli import main, make_parser
from bench.errors import BenchError
from bench.parser import verb_first

PYTHON = shlex.quote(sys.executable)  # in a shell's command, whatever folder it lies in
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def tracebacks(monkeypatch, tmp_path):
    """Where they are written is no one's /tmp."""
    monkeypatch.setattr(command.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


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


class Mute(RuntimeError):
    def __str__(self):
        return self.missing


OTHERS = (ZeroDivisionError("by zero"), MemoryError(), RecursionError("deep"), AssertionError(), Mute("never said"))


@pytest.mark.parametrize("error", [*OTHERS, SystemExit("out of credits"), SystemExit(1)], ids=repr)
def test_any_other_exception_is_a_line_exit_code_3_and_a_log(error, does, capsys):
    does(raises(error))
    assert main(["env"]) == 3
    err = capsys.readouterr().err
    assert err.startswith(f"fcnn-bench: {type(error).__name__}")
    assert err.count("\n") == 1
    log = Path(err.strip().rpartition(" ")[2])
    assert "Traceback" in log.read_text()
    log.unlink()


def test_an_error_in_the_program_is_not_called_one_of_the_suite(does, capsys):
    program = ROOT / "fcnn" / "train.py"

    def fails(options):
        exec(compile("raise ValueError('theirs')", program, "exec"))

    does(fails)
    assert main(["env"]) == 3
    assert f"ValueError: theirs; it was raised in {program}, " in capsys.readouterr().err


def run_script(folder: Path, redirection: str = "") -> subprocess.CompletedProcess[str]:
    """The console script with the packages of `folder` before ours."""
    script = f"{PYTHON} -m bench env {redirection}; echo exit code $?"
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "PYTHONSAFEPATH": "1"}
    words = ["bash", "-c", script]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True)


def test_a_program_that_does_not_parse_is_one_line(tmp_path):
    (tmp_path / "fcnn").mkdir()
    (tmp_path / "fcnn" / "__init__.py").write_text("<<<<<<< HEAD\n")
    run = run_script(tmp_path)
    assert run.stdout == "exit code 3\n"
    assert run.stderr.startswith("fcnn-bench: SyntaxError: invalid syntax (__init__.py, line 1); ")
    assert run.stderr.count("\n") == 1


def test_an_interrupt_while_a_text_is_executed_is_exit_code_3_and_not_pythons_own(tmp_path):
    (tmp_path / "fcnn").mkdir()
    (tmp_path / "fcnn" / "__init__.py").write_text("exec('raise KeyboardInterrupt')\n")
    run = run_script(tmp_path)
    assert (run.stdout, run.stderr) == ("exit code 3\n", "fcnn-bench: interrupted\n")


def test_what_is_closed_at_the_start_lends_its_number_to_no_other_file(tmp_path):
    (tmp_path / "fcnn").mkdir()
    opened = "import os, pathlib\npathlib.Path('number').write_text(str(os.open('number', os.O_RDWR | os.O_CREAT)))\n"
    (tmp_path / "fcnn" / "__init__.py").write_text(f"{opened}raise SystemExit(2)\n")
    run_script(tmp_path, "<&- >&- 2>&-")
    assert int((tmp_path / "number").read_text()) > 2


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
        (["--threads", "1", "check", "HEAD"], "unrecognized arguments: --threads"),
        (["--pin-memory", "report", "x"], "unrecognized arguments: --pin-memory"),
        (["--hidden-size", "9", "ladder"], "argument --hidden-size: the ladder is written by hand for the reference"),
    ],
)
def test_options_that_a_verb_does_not_know_are_refused_before_it(words, message, capsys):
    with pytest.raises(SystemExit) as exit:
        main(words)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["chekc", "HEAD"], "fcnn-bench: 'chekc' is none of run, * env: did you mean check? (see fcnn-bench --help)"),
        (["zzz"], "fcnn-bench: 'zzz' is none of run, * env (see fcnn-bench --help)"),
        (["--bacth", "3"], "fcnn-bench: unrecognized arguments: --bacth: did you mean --batch? (see fcnn-bench *)"),
        (["--bacth=3", "run"], "fcnn-bench run: unrecognized arguments: --bacth=3: did you mean --batch? (*)"),
        (["run", "--opitmizer", "adam"], "fcnn-bench run: *: did you mean --optimizer? (see fcnn-bench run --help)"),
        (["env", "now"], "fcnn-bench env: unrecognized arguments: now (see fcnn-bench env --help)"),
    ],
)
def test_a_misspelt_verb_or_option_names_the_nearest_and_the_right_help(words, line, capsys):
    with pytest.raises(SystemExit) as exit:
        main(words)
    assert exit.value.code == 2
    assert fnmatch(capsys.readouterr().err, f"{line}\n")


def test_every_option_with_one_value_is_known_to_take_it():
    parser = make_parser()
    words = ["--dataset", "run", "--seeds", "env"]
    assert verb_first(parser, words) == words
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


@pytest.mark.slow
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
    script = f"{PYTHON} {tmp_path}/main.py {redirection}; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 5, run.stderr
    assert run.stderr in ("", "fcnn-bench: y\n")
