import os

from bench.suite.cold import compiler_cache


def test_all_compilers_find_an_empty_cache_inside_and_the_users_own_after(tmp_path, monkeypatch):
    users = str(tmp_path / "the user's")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", users)
    monkeypatch.delenv("TRITON_CACHE_DIR", raising=False)
    with compiler_cache(tmp_path / "empty"):
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"].startswith(str(tmp_path / "empty"))
        assert os.environ["TRITON_CACHE_DIR"].startswith(str(tmp_path / "empty"))
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] != os.environ["TRITON_CACHE_DIR"]
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == users
    assert "TRITON_CACHE_DIR" not in os.environ
