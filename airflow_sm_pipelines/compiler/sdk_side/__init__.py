"""The code that runs beside the SageMaker SDK, in the script's interpreter (Python 3.8 or later).

``worker.py`` and ``local_worker.py`` load it by path, under a name that no script has. Its modules import only each
other, and need nothing but the standard library until the SDK is found. Outside, only the build cache imports two of
them, which ask the same questions again.
"""
