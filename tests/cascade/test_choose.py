import numpy as np

from napari_hagmil.cascade import at_random, by_attention, by_value

NODES = np.stack([np.zeros(50, np.int64), np.arange(50)], axis=1)
ATTENTION = np.linspace(1, 0, 50, dtype=np.float32)


def test_attention_takes_the_highest():
    assert by_attention(0, NODES, ATTENTION, 3).tolist() == [0, 1, 2]


def test_chance_takes_as_many_others_and_the_same_each_time():
    chosen = at_random(7)(0, NODES, ATTENTION, 10)
    assert len(set(chosen.tolist())) == 10
    assert chosen.tolist() == at_random(7)(0, NODES, ATTENTION, 10).tolist()
    assert chosen.tolist() != at_random(8)(0, NODES, ATTENTION, 10).tolist()
    assert chosen.tolist() != at_random(7)(1, NODES, ATTENTION, 10).tolist()
    assert sorted(chosen.tolist()) != list(range(10))


def test_an_oracle_goes_by_what_it_knows_and_not_by_attention():
    oracle = by_value(lambda depth, nodes: nodes[:, 1].astype(float))
    assert oracle(0, NODES, ATTENTION, 2).tolist() == [49, 48]
