import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Bags this small are slower with more, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
