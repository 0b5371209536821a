"""Which addresses may get a callback, as tables of the refused forms."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.decisions.callback_addresses import (
    DEFAULT_HOSTS,
    AddressRefused,
    HostRule,
    check_address,
    is_allowed_address,
    may_connect,
    parse_hosts,
    target_of,
)
from polysync_core.settings import Settings
from polysync_core.values.callback import CallbackAddress, CallbackKind
from polysync_core.values.errors import InvalidRequest, SettingsError

DEFAULTS = parse_hosts(DEFAULT_HOSTS)
LISTED = parse_hosts(
    "hooks.example.com, *.example.org:8443, localhost:9000, 127.0.0.1:9001, [::1]:9002, 10.0.0.4, vault.internal:8200"
)
SECRET_PART = "sig=a-credential"
LOGIC_APP = (
    "https://prod-12.westeurope.logic.azure.com/workflows/a1/triggers/manual/paths/invoke?api-version=2016&sig=x"
)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        (LOGIC_APP, "prod-12.westeurope.logic.azure.com", 443),
        ("https://prod-12.westeurope.logic.azure.com:443/x", "prod-12.westeurope.logic.azure.com", 443),
        ("https://we.svc.datafactory.azure.com/x", "we.svc.datafactory.azure.com", 443),
        ("https://a.b.environment.api.powerplatform.com/x", "a.b.environment.api.powerplatform.com", 443),
        ("HTTPS://PROD-1.Logic.Azure.COM/Case?Stays=As", "prod-1.logic.azure.com", 443),
    ],
)
def test_the_callers_of_the_facts_may_be_called_without_any_setting(url: str, host: str, port: int) -> None:
    target = target_of(url, DEFAULTS)
    assert (target.host, target.port, target.is_https, target.is_listed) == (host, port, True, False)
    assert target.resource == url.partition("://")[2].partition("/")[2].join(("/", ""))


@pytest.mark.parametrize(
    ("url", "host_header", "resource"),
    [
        ("https://hooks.example.com", "hooks.example.com", "/"),
        ("https://hooks.example.com?a=1", "hooks.example.com", "/?a=1"),
        ("https://deep.a.example.org:8443/x", "deep.a.example.org:8443", "/x"),
        ("http://localhost:9000/x", "localhost:9000", "/x"),
        ("http://127.0.0.1:9001/x", "127.0.0.1:9001", "/x"),
        ("http://[0:0:0:0:0:0:0:1]:9002/x", "[::1]:9002", "/x"),
        ("https://10.0.0.4/x", "10.0.0.4", "/x"),
    ],
)
def test_listed_hosts_may_be_called_on_their_ports(url: str, host_header: str, resource: str) -> None:
    target = target_of(url, LISTED)
    assert (target.host_header, target.resource) == (host_header, resource)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://prod-12.westeurope.logic.azure.com/x", "plain http"),
        ("http://hooks.example.com/x", "plain http to a listed host"),
        ("ftp://hooks.example.com/x", "another scheme"),
        ("//hooks.example.com/x", "no scheme"),
        ("hooks.example.com/x", "no scheme"),
        ("https:///x", "no host"),
        ("https:hooks.example.com", "no host"),
        ("", "nothing"),
        ("https://example.com/x", "not listed"),
        ("https://logic.azure.com/x", "the domain itself"),
        ("https://evil-logic.azure.com/x", "ends alike, but with no dot before"),
        ("https://prod-1.logic.azure.com.evil.example/x", "begins alike"),
        ("https://hooks.example.com.evil.example/x", "begins alike"),
        ("https://my-app.azurewebsites.net/x", "anyone can have a name there"),
        ("https://prod-1.logic.azure.com:8443/x", "a port that is not listed"),
        ("https://hooks.example.com:80/x", "a port that is not listed"),
        ("https://hooks.example.com:0/x", "a port that is not listed"),
        ("https://hooks.example.com:99999/x", "no port"),
        ("https://a.example.org/x", "listed with another port"),
        ("https://user:secret@hooks.example.com/x", "user name"),
        ("https://hooks.example.com@evil.example/x", "user name that looks like the host"),
        ("https://@hooks.example.com/x", "empty user name"),
        ("https://hooks.example.com\\@evil.example/x", "backslash"),
        ("https://evil.example\\.hooks.example.com/x", "backslash"),
        ("https://hooks.example.com/x#fragment", "fragment"),
        ("https://hooks.example.com /x", "space"),
        ("https://hooks.example.com/a b", "space"),
        ("https://hooks.example.com/\r\nX-Injected: 1", "line break"),
        ("https://hooks\t.example.com/", "tab, which some parsers drop"),
        (" https://hooks.example.com/", "space before"),
        ("https://hooks.example.com./x", "dot at the end"),
        ("https://prod-1.logic.azure.com./x", "dot at the end"),
        ("https://localhost.:9000/x", "dot at the end"),
        ("https://hooks..example.com/x", "empty label"),
        ("https://.logic.azure.com/x", "empty label"),
        ("https://h%6foks.example.com/x", "percent-encoded host"),
        ("https://hooks.exämple.com/x", "IDN, not encoded"),
        ("https://hooks.example。com/x", "a full stop that some parsers take for a dot"),
        ("https://ｌocalhost:9000/x", "a full-width letter"),
        ("https://xn--hooks-example-com.evil.example/x", "IDN, encoded, not listed"),
        ("https://" + "a." * 130 + "example.org:8443/x", "longer than a host name can be"),
        ("https://hooks.example.com/" + "x" * 4096, "too long"),
        ("http://localhost/x", "loopback on a port that is not listed"),
        ("http://LOCALHOST:9001/x", "listed for another port, in capitals"),
        ("http://127.0.0.2:9001/x", "another loopback address"),
        ("http://127.1:9001/x", "shortened IPv4"),
        ("http://127.0.1:9001/x", "shortened IPv4"),
        ("http://2130706433:9001/x", "decimal IPv4"),
        ("http://0x7f000001:9001/x", "hexadecimal IPv4"),
        ("http://0x7f.0.0.1:9001/x", "hexadecimal IPv4"),
        ("http://0177.0.0.1:9001/x", "octal IPv4"),
        ("http://127.0.0.01:9001/x", "octal IPv4"),
        ("http://127.0.0.1.:9001/x", "IPv4 with a dot at the end"),
        ("http://[::ffff:127.0.0.1]:9001/x", "IPv4-mapped"),
        ("http://[::127.0.0.1]:9001/x", "IPv4-compatible"),
        ("http://[::1%25eth0]:9002/x", "IPv6 with a zone"),
        ("http://[::1%eth0]:9002/x", "IPv6 with a zone"),
        ("http://[fe80::1]:9002/x", "IPv6 link-local"),
        ("http://[::1:9002/x", "bracket left open"),
        ("http://::1:9002/x", "IPv6 without brackets"),
        ("https://169.254.169.254/metadata/identity", "metadata service"),
        ("https://168.63.129.16/x", "Azure's own"),
        ("https://10.0.0.5/x", "private, not listed"),
        ("https://8.8.8.8/x", "public, not listed"),
    ],
)
def test_refused_forms(url: str, reason: str) -> None:
    with pytest.raises(AddressRefused):
        target_of(url, (*DEFAULTS, *LISTED))


@pytest.mark.parametrize(
    "url",
    [
        f"https://evil.example/path-{SECRET_PART}?{SECRET_PART}",
        f"https://{SECRET_PART}:{SECRET_PART}@evil.example/x?{SECRET_PART}",
        f"http://evil.example/x?{SECRET_PART}",
        f"https://evil.example./{SECRET_PART}",
        f"https://evil.example/{SECRET_PART} x",
    ],
)
def test_a_refusal_names_the_field_and_the_setting_and_no_credential(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_address(CallbackAddress(kind=CallbackKind.WEBHOOK, url=url, base_url="https://app"), DEFAULTS)
    shown = f"{refused.value.detail} {refused.value.members()}"
    assert "callbackUrl" in shown
    assert SECRET_PART not in shown


def test_a_refusal_names_the_host_and_the_setting_that_would_allow_it() -> None:
    with pytest.raises(AddressRefused, match=r"^evil\.example may not be called; .*POLYSYNC_CALLBACK_HOSTS"):
        target_of("https://evil.example/x", DEFAULTS)
    with pytest.raises(AddressRefused, match=r"^prod-1\.logic\.azure\.com on port 8443 may not be called"):
        target_of("https://prod-1.logic.azure.com:8443/x", DEFAULTS)


@given(st.text(max_size=60), st.sampled_from(["https://", "http://", ""]))
def test_any_text_is_refused_or_leads_to_a_host_that_a_rule_covers(text: str, scheme: str) -> None:
    rules = (*DEFAULTS, *LISTED)
    try:
        target = target_of(scheme + text, rules)
    except AddressRefused:
        return
    assert any(rule.covers(target.host, target.port) for rule in rules)


@pytest.mark.parametrize("address", ["20.42.4.209", "8.8.8.8", "2603:1020:206::4", "2001:4860:4860::8888"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed_address(ip_address(address))


REFUSED_ADDRESSES = [
    ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "this network"),
    ("10.1.2.3", "private"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.168.1.1", "private"),
    ("100.64.0.1", "carrier's shared"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("169.254.169.254", "metadata service, link-local"),
    ("169.254.130.1", "App Service's own, link-local"),
    ("168.63.129.16", "Azure's own"),
    ("192.0.0.192", "protocol assignments (another cloud's metadata)"),
    ("192.0.2.1", "documentation"),
    ("192.88.99.1", "6to4 relays"),
    ("198.18.0.1", "benchmarks"),
    ("198.51.100.1", "documentation"),
    ("203.0.113.1", "documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.250", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("::7f00:1", "IPv4-compatible"),
    ("::ffff:8.8.8.8", "IPv4-mapped, even of a public one"),
    ("::ffff:169.254.169.254", "IPv4-mapped"),
    ("::ffff:0:8.8.8.8", "IPv4-translated"),
    ("64:ff9b::a9fe:a9fe", "NAT64 of the metadata service"),
    ("64:ff9b:1::a9fe:a9fe", "NAT64, local use"),
    ("100::1", "discard"),
    ("2001::1", "Teredo"),
    ("2001:20::1", "ORCHID"),
    ("2001:db8::1", "documentation"),
    ("2002:a9fe:a9fe::1", "6to4 of the metadata service"),
    ("3fff::1", "documentation"),
    ("5f00::1", "segment routing"),
    ("fc00::1", "unique local"),
    ("fd00:ec2::254", "unique local (another cloud's metadata)"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "link-local with a zone"),
    ("fec0::1", "site-local"),
    ("ff02::1", "multicast"),
]


@pytest.mark.parametrize(("address", "reason"), REFUSED_ADDRESSES)
def test_whatever_is_not_plainly_public_is_refused(address: str, reason: str) -> None:
    assert not is_allowed_address(ip_address(address))
    assert not may_connect(address, target_of(LOGIC_APP, DEFAULTS))


@pytest.mark.parametrize(
    ("url", "address", "allowed"),
    [
        ("https://vault.internal:8200/", "10.0.0.9", True),
        ("https://vault.internal:8200/", "fd12::9", True),
        ("https://10.0.0.4/", "10.0.0.4", True),
        ("https://vault.internal:8200/", "20.42.4.209", True),
        ("https://a.example.org:8443/", "10.0.0.9", False),
        ("https://vault.internal:8200/", "127.0.0.1", False),
        ("https://vault.internal:8200/", "169.254.169.254", False),
        ("https://vault.internal:8200/", "168.63.129.16", False),
        ("https://vault.internal:8200/", "::ffff:10.0.0.9", False),
        ("https://vault.internal:8200/", "not an address", False),
        ("http://localhost:9000/", "127.0.0.1", True),
        ("http://localhost:9000/", "::1", True),
        ("http://127.0.0.1:9001/", "127.0.0.1", True),
    ],
)
def test_only_a_host_that_is_listed_literally_may_lead_inside(url: str, address: str, allowed: bool) -> None:
    assert may_connect(address, target_of(url, LISTED)) is allowed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("*", "every host"),
        ("*.com", "every host of a top-level domain"),
        ("*.azurewebsites.net", "anyone can have a name there"),
        ("hooks.example.com,*.azure.com", "anyone can have a name there"),
        ("*.westeurope-01.azurewebsites.net", "anyone can have a name there"),
        ("a.*.example.com", "a star inside"),
        ("*example.com", "a star without a dot"),
        ("*.10.0.0.1", "a star before an address"),
        ("https://hooks.example.com", "an address"),
        ("hooks.example.com/path", "a path"),
        ("user@hooks.example.com", "a user name"),
        ("hooks.example.com:port", "no port"),
        ("hooks.example.com:70000", "no port"),
        ("hooks.example.com.", "a dot at the end"),
        ("0x7f.1", "no usual address"),
        ("2130706433", "no usual address"),
        ("::1", "IPv6 without brackets"),
    ],
)
def test_a_bad_list_of_hosts_is_named(text: str, reason: str) -> None:
    environ = {"DATABRICKS_HOST": "https://a.example", "POLYSYNC_TABLES": "https://t.example"}
    with pytest.raises(SettingsError, match="POLYSYNC_CALLBACK_HOSTS: entry"):
        Settings.from_environ(environ | {"POLYSYNC_CALLBACK_HOSTS": text})


def test_a_list_of_hosts_is_read() -> None:
    assert parse_hosts(" Hooks.Example.com ,*.example.org:8443,, [::1]:9 ") == (
        HostRule("hooks.example.com"),
        HostRule("example.org", 8443, any_below=True),
        HostRule("::1", 9),
    )
