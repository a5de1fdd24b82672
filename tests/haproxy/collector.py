"""A small collector: takes spans by OTLP/HTTP, as the protocol has them."""

import contextlib
import http.server
import threading
from collections.abc import Iterator

import attrs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.conditions import eventually

OK = 200


@attrs.frozen
class Span:
    """What came of one span; ids in hex, times in nanoseconds."""

    name: str
    service: str
    scope: str
    trace_id: str
    span_id: str
    parent_id: str
    began: int
    ended: int
    status: int
    attributes: dict[str, str | int]


class Collector:
    """Keeps the spans that come in, unless it is to answer with another status or not yet."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.spans: list[Span] = []
        self.paths: set[str] = set()
        self.status = 200
        self.hold = False

    def take(self, path: str, body: bytes) -> None:
        """One request."""
        self.paths.add(path)
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            (service,) = (
                each.value.string_value
                for each in resource.resource.attributes
                if each.key == "service.name"
            )
            for scope in resource.scope_spans:
                for span in scope.spans:
                    values = {
                        each.key: each.value.string_value or each.value.int_value
                        for each in span.attributes
                    }
                    self.spans.append(
                        Span(
                            span.name,
                            service,
                            scope.scope.name,
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            span.start_time_unix_nano,
                            span.end_time_unix_nano,
                            span.status.code,
                            values,
                        )
                    )


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""

    class Handler(http.server.BaseHTTPRequestHandler):
        """Takes what is posted."""

        def do_POST(self) -> None:
            """Take it, and say so."""
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            eventually(lambda: not collector.hold)
            status = collector.status
            if status == OK:
                collector.take(self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
