"""The reason of a failure in one line, from notebooks' tracebacks, Java stack traces and texts with escape codes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.decisions.failure_reasons import MAX_MESSAGE, find_reason, reason_of
from polysync_core.rules.wire.event_log_api import decode_error_events

RULE = "-" * 75
NOTEBOOK = f"""Notebook /Users/me/orders failed: \x1b[0;31m{RULE}\x1b[0m
\x1b[0;31mZeroDivisionError\x1b[0m                         Traceback (most recent call last)
File \x1b[0;32m<command-1>:3\x1b[0m, in \x1b[0;36morders\x1b[0;34m()\x1b[0m
\x1b[1;32m      1\x1b[0m def orders():
{"      2     a line of code that says nothing about the reason" * 40}
\x1b[0;32m----> 3\x1b[0m     return 1 / 0

\x1b[0;31mZeroDivisionError\x1b[0m: division by zero"""
PYTHON = """Traceback (most recent call last):
  File "/a/b.py", line 3, in f
    return 1 / 0
           ~~^~~
ZeroDivisionError: division by zero"""
CHAINED = f"""{PYTHON}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/a/b.py", line 9, in g
OrdersMissing: no orders
"""
SPARK = f"""org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 1.0 failed 4 times
\tat org.apache.spark.scheduler.DAGScheduler.failJob(DAGScheduler.scala:1)
Driver stacktrace:
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: org.apache.spark.api.python.PythonException: {PYTHON}

\tat org.apache.spark.api.python.BasePythonRunner.run(PythonRunner.scala:1)
\t... 3 more
"""
JAVA = """java.lang.RuntimeException: flow failed
\tat a.b.C.d(C.java:1)
Caused by: java.io.IOException: cannot read
\tat a.b.C.e(C.java:2)
\tSuppressed: java.lang.IllegalStateException: closed
Caused by: java.io.FileNotFoundException: abfss://raw@lake/orders (status 404)
\tat a.b.C.f(C.java:3)
\t... 7 more"""
PYSPARK = """pyspark.errors.exceptions.captured.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table
If you did not qualify the name, verify the schema.;
'Project ['x]
+- 'UnresolvedRelation [a], [], true"""


@pytest.mark.parametrize(
    ("text", "first", "reason"),
    [
        (NOTEBOOK, "ZeroDivisionError: division by zero", "a notebook's traceback, with colours"),
        (PYTHON, "ZeroDivisionError: division by zero", "a plain traceback"),
        (CHAINED, "OrdersMissing: no orders", "the last of a chain, by a name that says nothing of errors"),
        (SPARK, "ZeroDivisionError: division by zero", "a traceback within a Java trace"),
        (JAVA, "java.io.FileNotFoundException: abfss://raw@lake/orders (status 404)", "the last of Java's causes"),
        (PYSPARK, "pyspark.errors.exceptions.captured.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The", "pyspark's"),
        (
            "Py4JJavaError: An error occurred.\n: org.apache.spark.SparkException: aborted\n\tat a.b",
            "org.apache.spark.SparkException: aborted",
            "py4j begins the inner one with a colon",
        ),
        ("KeyboardInterrupt", "KeyboardInterrupt", "an exception without a text"),
        ("No such file:\n  abfss://a@b\n  (404)", "No such file: abfss://a@b (404)", "no exception is named"),
        ("Note: look\nelsewhere: there", "Note: look elsewhere: there", "words before a colon are no exceptions"),
        ("ValueError: bad\nand more", "ValueError: bad | and more", "the rest follows"),
        ("Flow failed.\nValueError: bad", "ValueError: bad | Flow failed.", "what came before follows too"),
        (" \n ----- \n\x1b[0m", "", "nothing is said"),
    ],
)
def test_the_innermost_exception_comes_first(text: str, first: str, reason: str) -> None:
    assert reason_of(text).startswith(first), reason
    assert bool(reason_of(text)) is bool(first), reason


def test_the_front_and_the_end_are_kept() -> None:
    message = reason_of(NOTEBOOK)
    assert len(message) <= MAX_MESSAGE
    assert "Notebook /Users/me/orders failed" in message
    assert "return 1 / 0" in message
    assert " … " in message


@pytest.mark.parametrize(
    ("text", "shown", "reason"),
    [
        ("a\x1b[1;31mb\x1b[0mc", "abc", "colours"),
        ("a\x1b[2K\x1b[1Gb", "ab", "moves of the cursor"),
        ("a\x9b31mb", "ab", "the one-character form"),
        ("a\x1b]8;;https://x\x07link\x1b]8;;\x07b", "alinkb", "a link, ended by BEL"),
        ("a\x1b]0;title\x1b\\b", "ab", "a title, ended by ST"),
        ("a\x1b]0;title without an end\nb", "a b", "a title that nothing ends"),
        ("a\x1b(Bb\x1b7c", "abc", "short escapes"),
        (r"a\u001b[31mb\x1b[0mc\033[1md", "abcd", "escapes that were escaped"),
        ("a[0;31mb[0mc", "abc", "colours whose escape character was lost"),
        ("within a window of [5m]", "within a window of [5m]", "five minutes are no colour"),
        ("a\x00b\x07c\x7fd\x08", "abcd", "control characters"),
        ("a\u202eb\u200bc\ufeff", "abc", "invisible ones"),
        ("a\rb\x0bc\x85d", "a b c d", "every kind of line break"),
        (f"a\n{RULE}\n{'=' * 9}\n~~~~^^^\n───────\nb", "a b", "rules"),
        (f"{RULE} orders {RULE}", "orders", "rules within a line"),
        ("a -- b --- c", "a -- b --- c", "dashes of a sentence"),
    ],
)
def test_escapes_rules_and_control_characters_are_left_out(text: str, shown: str, reason: str) -> None:
    assert reason_of(text) == shown, reason


@given(st.text() | st.text("\x1b[]m;0\x07Error: \nTraceback(mostrecentcalllast)-", max_size=300))
def test_every_text_becomes_one_bounded_line(text: str) -> None:
    message = reason_of(text * 20)
    assert len(message) <= MAX_MESSAGE
    assert message == " ".join(message.split())
    assert "\x1b" not in message


@pytest.mark.parametrize("length", [2000, 60_000])
def test_a_reason_is_found_in_an_event_however_long_its_text_is(length: int) -> None:
    text = f"front {'x ' * (length // 2)}\n{NOTEBOOK}"
    event = {"origin": {"update_id": "u"}, "error": {"exceptions": [{"class_name": "E", "message": text}]}}
    error = find_reason(decode_error_events({"events": [event]}), "u")
    assert error is not None
    assert error.message.startswith("ZeroDivisionError: division by zero | front x ")
    assert error.code == "E"
