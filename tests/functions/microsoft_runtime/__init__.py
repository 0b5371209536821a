"""The app run by Microsoft's own library, azure-functions-runtime, in a process of Python 3.13 or newer.

protos   stands in for the worker's protobuf module: what the library needs of the host's messages
driver   the program in that process: JSON lines in, JSON lines out
client   the tests' end of those lines
"""
