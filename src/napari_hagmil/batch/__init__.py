"""Many slides: a folder as the queue, that any number of processes may work on."""
