"""A study: many runs of the library under equal terms, from a queue into one table."""

import logging

# A CUDA that is not there is of no interest to every one of a hundred processes.
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
