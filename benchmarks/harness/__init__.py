"""Studies: many runs of the library under equal terms, taken from a queue and collected in one table."""

import logging

# Otherwise each of a hundred processes would warn that there is no CUDA.
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
