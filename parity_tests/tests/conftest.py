"""One thread for all numerics, here and in the processes that tests start: several people share few cores."""

import os

# before any test imports NumPy or torch, which read it once
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
