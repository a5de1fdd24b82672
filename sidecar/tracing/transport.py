"""The connection to a collector: of its answers the head alone is read.

The SDK would read an answer to its end, however long that is, and keep it in memory meanwhile.
"""

import io
from typing import Any

import requests


class HeadsOnly(requests.Session):
    """Closes a connection once the head of its answer is there; follows no redirect."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # noqa: ANN401 (of the base)
        """Send it; the answer has no body.

        Raises:
            requests.TooManyRedirects: the collector sends us elsewhere.
        """
        # To follow a redirect is to read its body first.
        options |= {"stream": True, "allow_redirects": False}
        response = super().send(request, **options)
        response.close()
        response.raw = io.BytesIO()
        if response.is_redirect:
            raise requests.TooManyRedirects("the collector answers with a redirect")
        return response
