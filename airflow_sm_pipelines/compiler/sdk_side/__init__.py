"""What runs beside the SageMaker SDK, in the script's interpreter: loaded by path, under a name of its own.

Nothing here imports anything of this package but its neighbours, or needs more than the standard library before the
SDK is found. `worker.py` and `local_worker.py` load it; nothing else may.
"""
