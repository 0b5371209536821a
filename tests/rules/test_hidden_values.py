"""Secrets in a configuration are recognised by name or by form, stored as a keyed hash, and never shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.decisions.discovery_rules import tally
from polysync_core.rules.decisions.hidden_values import hide, hiding_key, is_secret
from polysync_core.rules.decisions.parameters import ImportRules, import_parameters
from polysync_core.rules.rows.job_entity import decode_job, encode_job
from polysync_core.values.databricks import PipelineSpec
from polysync_core.values.job import Change, ChangeKind, HiddenValue, Job, Value
from tests.rules.examples import NOW

KEY = hiding_key(b"a secret of the app")
AZURE = "spark.hadoop.fs.azure"
LAKE = "lake.dfs.core.windows.net"
ACCOUNT_KEY = f"{'aB3+' * 21}ab=="
SAS = "sv=2024-11-04&ss=b&srt=co&sp=rl&se=2027-01-01T00:00:00Z&sig=a%2Bb3C4d5E6f7%3D"
JDBC = "jdbc:sqlserver://s.database.windows.net:1433;database=d"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (f"{AZURE}.account.key.{LAKE}", "short"),
        (f"{AZURE}.account.key.lake.dfs.core.usgovcloudapi.net", "short"),
        (f"{AZURE}.account.oauth2.client.secret.{LAKE}", "short"),
        (f"{AZURE}.sas.raw.lake.blob.core.windows.net", "short"),
        (f"{AZURE}.sas.fixed.token.{LAKE}", "short"),
        ("spark.hadoop.fs.s3a.access.key", "short"),
        ("spark.hadoop.fs.s3a.secret.key", "short"),
        ("spark.hadoop.javax.jdo.option.ConnectionPassword", "short"),
        ("custom.password", 12345678),
        ("custom.dbPassword", "short"),
        ("custom.DB_PASSWORD", "short"),
        ("custom.pwd", "short"),
        ("custom.clientSecret", "short"),
        ("custom.client_secret", "short"),
        ("custom.client-secret", "short"),
        ("custom.apiKey", "short"),
        ("custom.api_key", "short"),
        ("custom.storageKeys", "short"),
        ("custom.sas_url", "short"),
        ("custom.token", "short"),
        ("custom.accessTokenOfOrders", "short"),
        ("custom.authtoken", "short"),
        ("custom.sas", "short"),
        ("custom.SasToken", "short"),
        ("custom.connectionString", "short"),
        ("custom.credentials", "short"),
        ("custom.private_key", "short"),
        ("spark.ssl.keyPassword", "short"),
    ],
)
def test_a_secret_is_known_by_its_name(name: str, value: Value) -> None:
    assert is_secret(name, value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (SAS, "a SAS token"),
        (f"https://lake.blob.core.windows.net/raw?{SAS}", "a SAS in an address"),
        (f"?{SAS}", "a SAS with its question mark"),
        ("https://b.example/k?X-Amz-Credential=x&X-Amz-Signature=0a1b2c3d", "a signed address of another cloud"),
        ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hush==", "a connection string of storage"),
        ("Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=hush", "of Event Hubs"),
        ("BlobEndpoint=https://a;SharedAccessSignature=hush", "a connection string by SAS"),
        (f"{JDBC};user=u;password=hush", "JDBC"),
        (f"{JDBC};user=u;Password = hush", "JDBC, with blanks"),
        ("jdbc:postgresql://h/d?user=u&password=hush", "JDBC with a query"),
        ("Server=s;Uid=u;Pwd=hush", "ODBC"),
        ("jdbc:oracle:thin:scott/tiger@//h:1521/d", "Oracle's own form"),
        ("mongodb+srv://u:hush@h.example/d", "a user and a password in an address"),
        ("amqps://u:hush@h.example", "of another scheme"),
        ('o.a.k.plain.PlainLoginModule required username="u" password="hush";', "Kafka's JAAS"),
        ("-Djavax.net.ssl.trustStorePassword=hush", "an option of Java"),
        ('{"type": "service_account", "private_key": "hush"}', "a service account in JSON"),
        ("-----BEGIN RSA PRIVATE KEY-----\nhush", "PEM"),
        ("-----BEGIN CERTIFICATE-----\nhush", "PEM of another kind"),
        ("dapi0123456789abcdef0123456789abcdef", "a token of Databricks"),
        ("dapi0123456789abcdef0123456789abcdef-3", "a token of Databricks"),
        ("use dose0123456789abcdef0123456789abcdef here", "an OAuth secret of Databricks"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl", "a JWT"),
        ("Bearer abcdefgh12345678", "a header"),
        ("Basic dXNlcjpodXNo", "a header"),
        ("AKIAABCDEFGHIJKLMNOP", "a key of AWS"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "a token of GitHub"),
        (f"abc8Q~{'x' * 34}", "a client secret of Entra ID"),
        (ACCOUNT_KEY, "the key of a storage account"),
    ],
)
def test_a_secret_is_known_by_its_form_under_any_name(value: str, reason: str) -> None:
    assert is_secret("custom.x", value), reason


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (f"{AZURE}.account.key.{LAKE}", "{{secrets/lake/key}}", "a reference"),
        ("custom.password", " {{ secrets/lake/key }} ", "a reference with blanks"),
        ("custom.url", f"{JDBC};user=u;password={{{{secrets/db/p}}}}", "a reference where the secret would be"),
        (f"{AZURE}.account.auth.type.{LAKE}", "OAuth", "how, not what"),
        (f"{AZURE}.account.auth.type.mysecretstore.dfs.core.windows.net", "OAuth", "an account with a telling name"),
        (f"{AZURE}.account.oauth.provider.type.{LAKE}", "org.apache.hadoop.ClientCredsTokenProvider", "a class"),
        (f"{AZURE}.sas.token.provider.type.{LAKE}", "org.apache.hadoop.FixedSASTokenProvider", "a class"),
        ("spark.hadoop.fs.s3a.aws.credentials.provider", "com.amazonaws.Provider", "a class"),
        (f"{AZURE}.account.oauth2.client.id.{LAKE}", "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d", "an id"),
        (f"{AZURE}.account.oauth2.client.endpoint.{LAKE}", "https://login.microsoftonline.com/t/oauth2/token", "URL"),
        ("custom.secret.scope", "lake", "a scope's name"),
        ("custom.token_file", "/run/t", "where it is"),
        ("custom.password_required", True, "a boolean"),
        ("custom.use_token", False, "a boolean"),
        ("custom.max_tokens", 4096, "a number of tokens"),
        ("custom.tokenizer", "bpe", "another word"),
        ("custom.primary_key", "order_id", "a column"),
        ("custom.keyspace", "orders", "another word"),
        ("custom.compass", "north", "another word"),
        ("custom.passenger", "ada", "another word"),
        ("custom.password", "", "nothing"),
        ("spark.sql.shuffle.partitions", 200, "a number"),
        ("custom.path", "abfss://raw@lake.dfs.core.windows.net/orders", "a container in an address"),
        ("custom.url", "https://example.net:8443/a?b=c&design=d", "a plain address"),
        ("custom.note", "the token is elsewhere; ask for the password", "words"),
        ("custom.text", "x" * 30_000, "long"),
    ],
)
def test_what_is_not_a_secret_is_shown(name: str, value: Value, reason: str) -> None:
    assert not is_secret(name, value), reason


def imported(configuration: dict[str, str], key: bytes = KEY, **own: str) -> Job:
    pipeline = PipelineSpec(name="orders", spec={"configuration": configuration}, parameters=own)
    parameters = import_parameters(pipeline, ImportRules(patterns=("custom.*", "spark.*", "token"), key=key))
    return Job(pipeline_id="p1", name="orders", imported_at=NOW, synced_at=NOW, parameters=parameters)


def test_a_secret_is_stored_as_a_hash_only_and_comes_back_as_it_went_in() -> None:
    job = imported({"custom.password": "hush", "custom.url": f"{JDBC};password=hush", "spark.x": "1"}, token="hush")
    columns = encode_job(job)
    assert "hush" not in str(columns)
    assert decode_job(columns) == job
    assert {name for name, value in job.parameters.items() if isinstance(value, HiddenValue)} == {
        "custom.password",
        "custom.url",
        "token",
    }


def test_a_hash_depends_on_key_name_and_value() -> None:
    base = hide("a", "x", KEY)
    assert hide("a", "x", KEY) == base
    assert len({base, hide("b", "x", KEY), hide("a", "y", KEY), hide("a", "x", hiding_key(b"another"))}) == 4
    assert hide("a", 1, KEY) == hide("a", "1", KEY), "Databricks holds both as the same text"


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ({"custom.password": "one"}, {"custom.password": "two"}, ChangeKind.CHANGED),
        ({}, {"custom.password": "two"}, ChangeKind.ADDED),
        ({"custom.password": "one"}, {}, ChangeKind.REMOVED),
        ({"custom.password": "one"}, {"custom.password": "{{secrets/a/b}}"}, ChangeKind.CHANGED),
        ({"custom.password": "{{secrets/a/b}}"}, {"custom.password": "two"}, ChangeKind.CHANGED),
        ({"custom.x": "plain"}, {"custom.x": SAS}, ChangeKind.CHANGED),
    ],
)
def test_a_change_of_a_secret_is_reported_without_either_value(
    before: dict[str, str], after: dict[str, str], kind: ChangeKind
) -> None:
    _, (change,) = tally(imported(before), imported(after))
    name = next(iter(before or after))
    assert change == Change(job="p1", parameter=name, kind=kind, before=None, after=None)


def test_an_unchanged_secret_is_not_reported_as_a_change() -> None:
    counts, changes = tally(imported({"custom.password": "one"}), imported({"custom.password": "one"}))
    assert (counts.parameters.unchanged, changes) == (1, ())


def test_a_value_that_an_earlier_version_stored_in_clear_is_not_reported() -> None:
    before = replace(imported({}), parameters={"custom.password": "hush"})
    _, (change,) = tally(before, imported({"custom.password": "hush"}))
    assert (change.kind, change.before, change.after) == (ChangeKind.CHANGED, None, None)


@given(st.text(), st.text() | st.text("=;:@/-\"' pasword.{}", max_size=200))
def test_any_name_and_value_can_be_judged(name: str, value: str) -> None:
    is_secret(name, value)
