"""Stands in for the worker's protobuf module. The library does not import it, but gets it passed.

A message is a bag of attributes. Only what the library uses by name is defined. Names and numbers are those of
FunctionRpc.proto: https://github.com/Azure/azure-functions-language-worker-protobuf
"""

from types import SimpleNamespace
from typing import Any, ClassVar


class _OneOf:
    """A message that holds at most one of several fields."""

    def __init__(self, **field: Any) -> None:
        self._fields = field

    def __getattr__(self, name: str) -> Any:
        try:
            return self._fields[name]
        except KeyError:
            raise AttributeError(name) from None

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802  (protobuf's name)
        return next(iter(self._fields), None)


class TypedData(_OneOf):
    """Holds string, bytes, json, http and so on. It is empty for a request without a body."""


class ParameterBinding(_OneOf):
    def __init__(self, name: str, data: TypedData) -> None:
        super().__init__(data=data)
        self.name = name


class BindingInfo(SimpleNamespace):
    """The directions of a binding. `in` is a keyword, so setattr() sets it below."""

    out = 1
    inout = 2
    undefined = 0


setattr(BindingInfo, "in", 0)


class StatusResult(SimpleNamespace):
    Failure = 0
    Success = 1


class RpcHttpCookie(SimpleNamespace):
    SameSite: ClassVar = SimpleNamespace(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})


class Message(SimpleNamespace):
    """Every other message."""


RpcException = RpcHttp = RpcFunctionMetadata = RpcRetryOptions = WorkerMetadata = Message
WorkerInitResponse = FunctionMetadataResponse = FunctionLoadResponse = InvocationResponse = Message
NullableBool = NullableDouble = NullableString = NullableTimestamp = Message
