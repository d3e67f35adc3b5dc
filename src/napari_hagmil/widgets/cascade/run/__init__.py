"""The Cascade tab: the model, the budget, the run and its findings."""
