"""Hands spans to the OpenTelemetry SDK, which exports them by OTLP/HTTP in a thread of its own.

The SDK is an extra of the package, imported only where tracing is on. Its variables of the
environment count: endpoint, headers, timeout, certificates, service name, sizes of batches.
"""

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from sidecar.errors import UsageError
from sidecar.meter import Meter
from sidecar.tracing.deliveries import Deliveries
from sidecar.tracing.sampled import Sampled

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SERVICE_NAME = "marathon-lb"
_SCOPE = "marathon-lb-sidecar"
_PATH = "/v1/traces"
_SERVER_ERROR = 500
_NANOSECONDS = 1000  # in a microsecond
_QUEUE_VARIABLE, _QUEUE = "OTEL_BSP_MAX_QUEUE_SIZE", 2048
_OWN_SESSION = "CREDENTIAL_PROVIDER"
_LAST_SPANS_TAKE = 2.0  # Marathon waits for 3 seconds before it kills


class Exporter:
    """Takes sampled requests, never waits: what cannot be sent in time is dropped."""

    def __init__(self, endpoint: str, meter: Meter) -> None:
        """Export to this collector; without one, to that of the environment.

        Raises:
            UsageError: the SDK is not installed, or a variable for it is no good.
        """
        try:
            from opentelemetry import trace  # noqa: PLC0415 (an optional dependency)
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
                OTLPSpanExporter,
            )
            from opentelemetry.sdk import trace as sdk  # noqa: PLC0415
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
                BatchSpanProcessor,
                SpanExportResult,
            )
            from opentelemetry.sdk.util.instrumentation import (  # noqa: PLC0415
                InstrumentationScope,
            )
        except ImportError as error:
            raise UsageError(
                "tracing needs the OpenTelemetry SDK, which is not installed here;"
                " install the package's extra 'tracing', from the project's folder by:"
                f" {sys.executable} -m pip install '.[tracing]'"
            ) from error
        self._meter, self._endpoint = meter, collector_of(endpoint, os.environ)
        self._scope = InstrumentationScope(_SCOPE, version(_SCOPE))
        self._trace, self._sdk = trace, sdk
        name = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": _SERVICE_NAME}
        self._resource = Resource.create(name)
        most = _most_waiting(os.environ)
        self._deliveries = deliveries = Deliveries(meter, most)

        class Counted(OTLPSpanExporter):
            """The SDK's, with what becomes of spans counted."""

            def export(self, spans: "Sequence[sdk.ReadableSpan]") -> SpanExportResult:
                send = super().export
                arrived = deliveries.deliver(
                    len(spans), lambda: send(spans) is SpanExportResult.SUCCESS
                )
                return SpanExportResult.SUCCESS if arrived else SpanExportResult.FAILURE

        # Who has the SDK find a session is not given one; then losses have no reason.
        found = any(name.endswith(_OWN_SESSION) for name in os.environ)
        counted = Counted(
            traces_url(endpoint) or None, session=None if found else deliveries.session
        )
        try:
            self._processor = BatchSpanProcessor(counted, max_queue_size=most)
        except ValueError as error:
            raise UsageError(f"tracing: {error}; see the variables OTEL_BSP_*") from error

    def take(self, sampled: Sampled, more: Mapping[str, str]) -> None:
        """Have one exported, with `more` attributes."""
        trace = self._trace
        failed = sampled.status >= _SERVER_ERROR
        span = self._sdk.ReadableSpan(
            name=f"{sampled.method} {more.get('haproxy.backend', sampled.backend)}",
            context=self._context(sampled.trace_id, sampled.span_id),
            parent=None
            if sampled.parent_id is None
            else self._context(sampled.trace_id, sampled.parent_id),
            resource=self._resource,
            attributes={**_attributes(sampled), **more},
            kind=trace.SpanKind.SERVER,
            instrumentation_scope=self._scope,
            status=trace.Status(trace.StatusCode.ERROR if failed else trace.StatusCode.UNSET),
            start_time=sampled.began * _NANOSECONDS,
            end_time=sampled.ended * _NANOSECONDS,
        )
        if self._deliveries.enters():
            self._processor.on_end(span)

    def told(self) -> dict[str, Any]:
        """Where spans go, how many arrived, and how many did not, by reason."""
        arrived, lost = self._meter.spans()
        return {"endpoint": self._endpoint, "exported": arrived, "lost": lost}

    def close(self) -> None:
        """Send what waits, for two seconds at most, and end."""
        # The SDK's own deadline is 30 seconds, and no argument of this call.
        ending = threading.Thread(target=self._processor.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(_LAST_SPANS_TAKE)

    def _context(self, trace_id: int, span_id: int) -> Any:  # noqa: ANN401 (of the SDK)
        flags = self._trace.TraceFlags(self._trace.TraceFlags.SAMPLED)
        return self._trace.SpanContext(trace_id, span_id, is_remote=False, trace_flags=flags)


def _most_waiting(environment: Mapping[str, str]) -> int:
    """How many spans may wait, as the SDK reads it."""
    try:
        return int(environment.get(_QUEUE_VARIABLE, _QUEUE))
    except ValueError:
        return _QUEUE


def traces_url(endpoint: str) -> str:
    """Where spans go: below a collector's address, or to the very path that is given."""
    address = endpoint.rstrip("/")
    scheme, _, rest = address.partition("://")
    return address if not rest or "/" in rest else f"{scheme}://{rest}{_PATH}"


def collector_of(endpoint: str, environment: Mapping[str, str]) -> str:
    """Where spans go, for people: without what may be secret in it."""
    given = (environment.get(name) for name in ENDPOINT_VARIABLES)
    parts = urlsplit(endpoint or next(filter(None, given), ""))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_wanted(endpoint: str, environment: Mapping[str, str]) -> bool:
    """Whether anybody is to be told of spans."""
    return bool(endpoint or any(environment.get(name) for name in ENDPOINT_VARIABLES))


def _attributes(sampled: Sampled) -> dict[str, str | int]:
    told: dict[str, str | int] = {
        "http.request.method": sampled.method,
        "url.scheme": sampled.scheme,
        "server.address": sampled.host,
        "url.path": sampled.path,
        "http.response.status_code": sampled.status,
        "haproxy.frontend": sampled.frontend,
        "haproxy.backend": sampled.backend,
        "haproxy.server": sampled.server,
    }
    timers = {f"haproxy.{name}_ms": value for name, value in sampled.timers.items()}
    return {name: value for name, value in told.items() if value} | timers
