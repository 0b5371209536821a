"""The pages that a person sees at the sign-in: whom to be, what went wrong, and that one has signed out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from urllib.parse import urlencode

from local.entra.authorize import ReturnAddress, SignInRequest, Values
from local.entra.claims import Caller
from local.entra.people import DENIED, PEOPLE
from local.entra.refusals import Refusal
from local.messages import Reply

PERSON = "person"
"""The query parameter with which the sign-in page comes back. Entra has none such."""
_STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color-scheme:light dark}"
)


def page_to_pick(values: Values, asked: SignInRequest, address: ReturnAddress) -> Reply:
    """Links to this same call, each with another person. The person of the login_hint comes first."""
    given = [(name, value) for name, found in values.items() if name != PERSON for value in found]
    people = sorted(PEOPLE.items(), key=lambda one: one[1].username != asked.login_hint)
    choices = [(name, f"{who.name}: {_roles(who)}, {who.username}") for name, who in people]
    choices.append((DENIED, "Dana Denied: does not allow the page to sign her in"))
    links = "".join(
        f'<li><a id="{name}" href="?{escape(urlencode([*given, (PERSON, name)]))}">{escape(text)}</a></li>'
        for name, text in choices
    )
    told = f"<p>The page {escape(address.redirect_uri)} asks for: {escape(' '.join(asked.scopes))}</p>"
    return _page("Who are you?", f"<ul>{links}</ul>{told}")


def page_of_refusal(refusal: Refusal) -> Reply:
    """Entra never redirects to an address that it does not know."""
    text = f"<p>Sorry, but we’re having trouble signing you in.</p><p>{escape(str(refusal))}</p>"
    return _page("Sign-in failed", text, status=400, headers=refusal.headers)


def page_after_sign_out(headers: Mapping[str, str]) -> Reply:
    return _page("You signed out", "<p>You may close this window.</p>", headers=headers)


def _roles(who: Caller) -> str:
    return ", ".join(who.roles) or "no role"


def _page(title: str, content: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A whole page. Like Entra's, it refuses to be shown in a frame."""
    text = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title} (simulated Entra ID)</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><style>{_STYLE}</style>'
        f"</head><body><main><h1>{title}</h1>{content}</main></body></html>"
    )
    return Reply(
        status=status,
        body=text.encode(),
        content_type="text/html; charset=utf-8",
        headers={"Cache-Control": "no-store", "X-Frame-Options": "DENY", **(headers or {})},
    )
