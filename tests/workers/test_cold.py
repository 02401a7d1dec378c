import os

from bench.workers.cold import use_cache
from bench.workers.process import empty_compiler_caches


def test_all_compilers_find_a_cache_of_their_own_in_the_folder(tmp_path, monkeypatch):
    for name in empty_compiler_caches(tmp_path):
        monkeypatch.setenv(name, "the user's")
    use_cache(str(tmp_path))
    folders = [os.environ[name] for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")]
    assert all(folder.startswith(str(tmp_path)) for folder in folders)
    assert len(set(folders)) == 2
