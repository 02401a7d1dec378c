"""The images that come with the package, read once."""

from __future__ import annotations

import functools

from fcnn.data import Images, embedded_images


@functools.cache
def embedded() -> Images:
    """They are nobody's to change."""
    return embedded_images("asked for")
