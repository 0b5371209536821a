"""A batch of Table Storage: the body that Microsoft documents, and the answers in a response."""

from __future__ import annotations

import pytest

from polysync_core.rules.wire.table_batch import PartAnswer, PartRequest, content_type, decode_answers, encode_batch

ETAG = "W/\"datetime'2013-09-16T17%3A04%3A27.9396Z'\""
CREATED = f"HTTP/1.1 201 Created\nContent-ID: 1\nDataServiceVersion: 3.0;\nETag: {ETAG}\n\n"
NO_CONTENT = f"HTTP/1.1 204 No Content\nX-Content-Type-Options: nosniff\netag: {ETAG}\n\n"
DELETED = "HTTP/1.1 204 No Content\nDataServiceVersion: 1.0;\n\n"
EXISTS = '{"odata.error":{"code":"EntityAlreadyExists","message":{"lang":"en-US","value":"1:It exists.\\nTime:x"}}}'
REFUSED = f"HTTP/1.1 409 Conflict\nContent-Type: application/json\n\n{EXISTS}"


def _response(*parts: str) -> bytes:
    """A response as https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions shows."""
    lines = ["--batchresponse_1", "Content-Type: multipart/mixed; boundary=changesetresponse_2", ""]
    for part in parts:
        lines += ["--changesetresponse_2", "Content-Type: application/http", "Content-Transfer-Encoding: binary", ""]
        lines += part.split("\n")
    lines += ["--changesetresponse_2--", "--batchresponse_1--", ""]
    return "\r\n".join(lines).encode()


def test_a_batch_is_one_change_set_of_all_requests() -> None:
    insert = PartRequest(method="POST", url="http://t/Runs", headers={"Content-Length": "8"}, body='{"a": 1}')
    remove = PartRequest(method="DELETE", url="http://t/Runs(x)", headers={"If-Match": "*"}, body="")
    assert content_type("b") == "multipart/mixed; boundary=batch_b"
    assert encode_batch([insert, remove], "b").decode().split("\r\n") == [
        "--batch_b",
        "Content-Type: multipart/mixed; boundary=changeset_b",
        "",
        "--changeset_b",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "Content-ID: 0",
        "",
        "POST http://t/Runs HTTP/1.1",
        "Content-Length: 8",
        "",
        '{"a": 1}',
        "--changeset_b",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "Content-ID: 1",
        "",
        "DELETE http://t/Runs(x) HTTP/1.1",
        "If-Match: *",
        "",
        "",
        "--changeset_b--",
        "",
        "--batch_b--",
        "",
    ]


def test_each_answer_has_its_status_its_version_and_its_body() -> None:
    row = '{"text":"HTTP/1.1 500 Not an answer\\r\\nETag: x\\r\\n\\r\\n--batch"}'
    assert decode_answers(_response(CREATED + row, NO_CONTENT, DELETED)) == [
        PartAnswer(status=201, etag=ETAG, body=row),
        PartAnswer(status=204, etag=ETAG, body=""),
        PartAnswer(status=204, etag=None, body=""),
    ]
    assert decode_answers(_response(REFUSED)) == [PartAnswer(status=409, etag=None, body=EXISTS)]


@pytest.mark.parametrize("kept", range(0, 100, 7))
def test_of_a_response_that_breaks_off_only_complete_answers_are_returned(kept: int) -> None:
    whole = _response(NO_CONTENT, DELETED, REFUSED)
    all_answers = decode_answers(whole)
    answers = decode_answers(whole[: len(whole) * kept // 100])
    assert answers == all_answers[: len(answers)]
    assert len(answers) < 3 or kept > 90


@pytest.mark.parametrize("body", [b"", b"<html>Gateway</html>", b"\xff\xfe", b"HTTP/1.1 204 No Content\r\n"])
def test_something_else_has_no_answers(body: bytes) -> None:
    assert decode_answers(body) == []
