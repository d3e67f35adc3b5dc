import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "scripts"))


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors: threads would only wait for each other, here and on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
