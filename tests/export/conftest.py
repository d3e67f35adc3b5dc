import pytest
from synthetic import no_tissue_result, slide_result


@pytest.fixture(scope="session")
def result():
    return slide_result()


@pytest.fixture(scope="session")
def empty():
    return no_tissue_result()
