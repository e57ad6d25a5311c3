"""What all tests share."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tables are learnt fastest on one core
