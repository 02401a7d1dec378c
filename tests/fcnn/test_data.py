import pickle

import pytest
import torch
from torchvision import datasets, transforms

from fcnn.data import TensorBatches, as_tensors, load_images, loader
from tests.conftest import TEST, TRAIN, learnable


@pytest.fixture
def images(mnist_root):
    return load_images("MNIST", mnist_root)


def test_the_images_are_found_and_labelled(images):
    assert images.label == "MNIST: 640 training and 200 test images"
    assert (len(images.train), len(images.test)) == (TRAIN, TEST)
    assert images.fallback_reason is None


def test_items_are_what_the_tutorials_torchvision_dataset_gives(images, mnist_root, tmp_path):
    import shutil

    # torchvision's own reader wants the files unpacked and beside their archives.
    shutil.copytree(mnist_root, tmp_path / "copy")
    original = datasets.MNIST(tmp_path / "copy", train=True, transform=transforms.ToTensor(), download=True)
    assert isinstance(images.train, datasets.MNIST)
    for index in (0, 7, TRAIN - 1):
        (ours, our_label), (theirs, their_label) = images.train[index], original[index]
        assert torch.equal(ours, theirs)
        assert our_label == their_label
        assert ours.shape == (1, 28, 28)


def test_tensors_equal_what_to_tensor_makes(images):
    pixels, labels = as_tensors(images.train)
    assert pixels.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert (pixels.min(), pixels.max()) == (0.0, pixels.max())
    assert pixels.max() <= 1
    for index in (0, 5, 639):
        assert torch.equal(pixels[index], images.train[index][0])
        assert labels[index] == images.train[index][1]


def test_the_digest_tells_datasets_apart(images, tmp_path, publish):
    from tests.conftest import write_dataset

    again = load_images("MNIST", tmp_path / "data")
    assert images.sha256 == again.sha256
    other = tmp_path / "other"
    files = write_dataset(other)
    changed = other / "MNIST/raw/train-labels-idx1-ubyte.gz"
    import gzip
    import hashlib

    data = bytearray(gzip.decompress(changed.read_bytes()))
    data[-1] = (data[-1] + 1) % 10
    changed.write_bytes(gzip.compress(bytes(data)))
    publish({**files, changed.name: hashlib.md5(changed.read_bytes()).hexdigest()})
    assert load_images("MNIST", other).sha256 != images.sha256


def test_loader_and_tensor_batches_hold_the_same_images(images):
    loaded = loader(images.test, 64, shuffle=False)
    resident = TensorBatches(*as_tensors(images.test), 64, shuffle=False)
    assert len(loaded) == len(resident) == 4
    for (a, a_labels), (b, b_labels) in zip(loaded, resident, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a_labels, b_labels)


@pytest.mark.parametrize("kind", ["loader", "tensors"])
def test_a_shuffled_epoch_has_every_image_once_in_a_new_seeded_order(kind):
    labels = torch.arange(100)
    images = labels.float().reshape(100, 1, 1, 1)

    def make(seed):
        if kind == "loader":
            return loader(torch.utils.data.TensorDataset(images, labels), 32, shuffle=True, seed=seed)
        return TensorBatches(images, labels, 32, shuffle=True, seed=seed)

    def order(batches):
        parts = list(batches)
        assert [len(part[1]) for part in parts] == [32, 32, 32, 4]
        assert all(torch.equal(x.flatten(), y.float()) for x, y in parts)
        return torch.cat([part[1] for part in parts]).tolist()

    batches = make(seed=1)
    first, second = order(batches), order(batches)
    assert sorted(first) == sorted(second) == list(range(100))
    assert len({tuple(first), tuple(second), tuple(range(100))}) == 3
    assert order(make(seed=1)) == first
    assert order(make(seed=2)) != first


def test_worker_processes_can_receive_the_dataset(images):
    copy = pickle.loads(pickle.dumps(images.train))
    assert torch.equal(copy[3][0], images.train[3][0])
    batches = list(loader(images.test, 64, shuffle=False, num_workers=1))
    assert torch.equal(torch.cat([labels for _, labels in batches]), images.test.targets)


def test_labels_are_those_in_the_file(images):
    _, labels = learnable(TRAIN, 1)
    assert images.train.targets.tolist() == labels.tolist()
