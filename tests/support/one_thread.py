"""Imported before numpy and torch, which take one thread from then on.

Several processes of tests with as many threads each as there are cores wait for each other.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
