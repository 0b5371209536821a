"""The routes of the app itself, and what each returns."""

from __future__ import annotations

from polysync_core.rules.wire.http_answers import AliveDocument, HealthDocument
from polysync_core.rules.wire.openapi import examples
from polysync_core.rules.wire.openapi.operation import Answer, Operation, ok

APP_ROUTES = (
    Operation(
        name="alive",
        method="GET",
        path="alive",
        tag="app",
        summary="See whether the process serves",
        description="For a platform's health check: it looks at nothing else.",
        answers=(ok("It does.", AliveDocument, alive={"alive": True}),),
        is_anonymous=True,
        reports_bad_settings=True,
    ),
    Operation(
        name="health",
        method="GET",
        path="health",
        tag="app",
        summary="See whether everything that the app depends on answers",
        answers=(
            ok("It does.", HealthDocument, ok=examples.HEALTHY),
            Answer(
                status=503,
                description="It does not. While a setting is wrong, `settings` is the only check.",
                model=HealthDocument,
                examples={"failing": examples.FAILING, "wrong settings": examples.UNSET},
            ),
        ),
        is_anonymous=True,
        reports_bad_settings=True,
    ),
    Operation(
        name="openapi",
        method="GET",
        path="openapi.json",
        tag="app",
        summary="This document",
        description="Version 2.0 is for importers that read no newer one, such as custom connectors of Power Platform.",
        parameters=("version",),
        answers=(
            Answer(
                status=200,
                description="The document in the version that was asked for.",
                model=None,
                examples={"begins": {"openapi": "3.1.0"}, "begins in 2.0": {"swagger": "2.0"}},
            ),
        ),
        errors=(examples.WRONG_VERSION,),
        is_anonymous=True,
        reports_bad_settings=True,
    ),
)
