"""JSON documents with one value replaced by something odd, for fuzz tests and the long run."""

import copy
import json
import math

ODD = [
    None,
    True,
    0,
    1,
    -1,
    0.5,
    2**31,
    2**63,
    10**400,
    math.nan,
    math.inf,
    1e308,
    -1e308,
    "",
    "x",
    "\ud800",
    "\x00\x1b[31m",
    "=1+1",
    "a" * 5000,
    [],
    {},
    [[]],
    [None],
    [1, 2],
    [[0, 0], [1, 1], [0, 1]],
    {"id": {}},
    {"a": math.nan},
]

#: Texts that no parser should be asked to take on trust.
BROKEN_TEXTS = ["[" * 100_000, '{"a": ' * 100_000, "NaN", "1e999", "9" * 5000, "", "\x00", "null"]


def places(value, path=()):
    """Where every value of a document stands."""
    yield path
    if isinstance(value, dict | list):
        for name, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*path, name))


def mutated(document, random):
    """A copy with one to three values replaced, removed or doubled."""
    document = copy.deepcopy(document)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        path = random.choice(list(places(document)))
        odd = copy.deepcopy(random.choice(ODD))
        if not path:
            if random.random() < 0.1:
                document = odd
            continue
        inner = document
        for name in path[:-1]:
            inner = inner[name]
        what = random.random()
        if what < 0.15:
            del inner[path[-1]]
        elif what < 0.25 and isinstance(inner, list):
            inner.append(copy.deepcopy(inner[path[-1]]))
        else:
            inner[path[-1]] = odd
    return document


def mutated_text(document, random):
    """As `mutated`, as JSON text; now and then with bytes cut off or exchanged."""
    text = json.dumps(mutated(document, random))
    if random.random() < 0.2 and text:
        at = random.randrange(len(text))
        text = text[:at] + random.choice(["", text[at + 1 :], "}", '"', "\x00" + text[at:]])
    return text
