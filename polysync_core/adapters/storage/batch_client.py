"""azure-data-tables' client, with batches that take less CPU time.

The library makes and reads a batch with Python's email package, and starts threads for its parts. That takes three
times the CPU time that a batch of five rows needs. So this client replaces that one step. The library still makes each
request, signs the batch, repeats it, and maps the transport's errors.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from azure.core.exceptions import HttpResponseError, ServiceResponseError
from azure.core.rest import HttpRequest
from azure.data.tables import TableClient

from polysync_core.adapters.storage.storage_errors import code_in
from polysync_core.rules.wire.table_batch import PartRequest, content_type, decode_answers, encode_batch


class BatchRefused(HttpResponseError):
    """Storage did nothing of a batch. `status_code` and `error_code` are those of the operation that it refused."""

    def __init__(self, status: int, code: str | None) -> None:
        super().__init__(message=f"Table Storage refused a batch: {status} {code}.")
        self.status_code = status
        self.error_code = code


class BatchClient(TableClient):
    """A TableClient whose submit_transaction is cheaper. It returns and raises the same, except for BatchRefused."""

    def _batch_send(self, table_name: str, *reqs: HttpRequest, **kwargs: Any) -> list[Mapping[str, Any]]:  # noqa: ARG002
        """Send a batch. Returns the ETag of each written row; a deleted row has none. Overrides the library's method.

        Source: azure-data-tables 12.7.0, `_base_client.py`. Raises HttpResponseError when storage refused the batch,
        and other AzureErrors when it is unknown whether the batch was done.
        """
        boundary = str(uuid.uuid4())
        request = HttpRequest(
            "POST",
            f"{self.scheme}://{self._primary_hostname}/$batch",
            headers={
                "x-ms-version": self.api_version,
                "DataServiceVersion": "3.0",
                "MaxDataServiceVersion": "3.0;NetFx",
                "Content-Type": content_type(boundary),
                "Accept": "application/json",
            },
            content=encode_batch([_part(each) for each in reqs], boundary),
        )
        response = self._client.send_request(request, stream=True, **kwargs)
        body = response.read()
        if response.status_code != 202:
            raise HttpResponseError(response=response)
        answers = decode_answers(body)
        refused = next((answer for answer in answers if not 200 <= answer.status < 300), None)
        if refused is not None:
            raise BatchRefused(refused.status, code_in(refused.body))
        if len(answers) != len(reqs):
            raise ServiceResponseError("The response to a batch does not have an answer to each operation.")
        return [{} if answer.etag is None else {"etag": answer.etag} for answer in answers]


def _part(request: HttpRequest) -> PartRequest:
    return PartRequest(method=request.method, url=request.url, headers=request.headers, body=str(request.content or ""))
