"""The tab *Cascade*: the model, the budget, the run and what each depth found."""
