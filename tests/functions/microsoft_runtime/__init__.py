"""Runs the app with Microsoft's own library, azure-functions-runtime, in a process of Python 3.13 or newer.

protos   stands in for the worker's protobuf module, as far as the library needs it
driver   the program in that process: it reads and writes JSON lines
client   the tests' side: it writes and reads these JSON lines
"""
