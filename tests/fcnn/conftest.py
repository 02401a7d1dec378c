import functools
import http.server
import os
import threading

import pytest
from torchvision import datasets

from fcnn import download
from tests.conftest import write_dataset


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class Mirror(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Says nothing of a client that leaves early, as torchvision does when it asks where a file is."""


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Serves a dataset on this machine in place of torchvision's mirrors; the data root to download to."""
    checksums = write_dataset(tmp_path / "server")
    handler = functools.partial(Quiet, directory=str(tmp_path / "server/MNIST/raw"))
    with Mirror(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(datasets.MNIST, "resources", list(checksums.items()))
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(download, "STALL_SECONDS", 600.0)  # on a busy machine this one may take its time
        yield tmp_path / "root"
        server.shutdown()
