"""The tests of the CUDA backend: what a GPU writes is what the CPU writes, and what only a GPU can do works.

They need a CUDA device, and no more than pytest, NumPy and torch (hypothesis and scipy are used where they are there):

    python -m pytest tests/gpu

Where there is none they are skipped, or fail if FASTINIT_REQUIRE_GPU=1 says that there must be one. Those that say
nothing about CUDA itself can be rehearsed, with another device in the GPU's place, to prove the tests themselves:

    FASTINIT_GPU_STAND_IN=cpu python -m pytest tests/gpu
"""
