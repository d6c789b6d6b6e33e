"""Our reading of headers says what nats-py's says, which it stands in for."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nats.aio.client import Client

from infra.nats_headers import FastHeadersClient

lines = st.lists(st.text(st.sampled_from("aZ-9: \t\r\né\x1c\xa0")).map(str.encode) | st.binary(max_size=8))


@given(lines.map(b"\r\n".join))
@example(b"Nats-Batch-Id: a1\r\nEs-Topic: module:Class.Event\r\nEmpty:\r\nTight:value\r\nUtf-8: \xc3\xa9\xff\r\n\r\n")
def test_headers_are_read_as_nats_py_reads_them(raw: bytes) -> None:
    assert FastHeadersClient._parse_header_lines(raw) == Client._parse_header_lines(raw)


def test_a_header_reaches_the_method_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FastHeadersClient._process_headers is Client._process_headers
    assert "_parse_header_lines" in Client._process_headers.__code__.co_names
