"""One file or folder per running process."""

import os

# Before numpy is imported anywhere: small matrix products on several threads wait for each other
# for longer than they work, and services use their cores by answering several callers at once.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
