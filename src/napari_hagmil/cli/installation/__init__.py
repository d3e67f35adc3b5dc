"""What is installed: the verbs that look at this machine."""
