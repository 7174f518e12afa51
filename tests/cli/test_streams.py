"""No text on the command's streams controls the terminal."""

import io
import json
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.cli.streams import PrintableBytes, PrintableStream, raw
from batchgen.text import printable

CONTROLS = "\x00\x07\x08\x1b\x7f\x85\x9b\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069"
TEXTS = st.text(st.sampled_from(CONTROLS + "\r\n\tab é€😀") | st.characters(codec="utf-8"))


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_character_is_written_as_an_escape_of_json(control: str) -> None:
    escaped = printable(f"a{control}b")
    assert control not in escaped
    assert escaped.isprintable()
    assert json.loads(f'"{escaped}"') == f"a{control}b"


def test_tabs_line_ends_and_joined_emoji_stay() -> None:
    text = "a\tb\nc\r\nd 👩\u200d🚀 é"
    assert printable(text) == text
    assert printable("over\rwritten") == "over\\u000dwritten"


def test_a_stream_escapes_text_and_passes_on_all_else() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    stream = cast("io.TextIOWrapper", PrintableStream(file))
    stream.write("\x1b[2J")
    stream.writelines(["\x07", "b\n"])
    stream.flush()
    assert stream.buffer is file.buffer
    assert raw(stream) is file
    assert file.buffer.getvalue() == b"\\u001b[2J\\u0007b\n"


@given(TEXTS, st.data())
def test_bytes_are_escaped_like_text_wherever_they_are_cut(text: str, data: st.DataObject) -> None:
    file, encoded = io.BytesIO(), text.encode()
    stream = PrintableBytes(file)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(encoded)), max_size=5)))
    for start, end in zip([0, *cuts], [*cuts, len(encoded)], strict=True):
        stream.write(encoded[start:end])
    stream.finish()
    assert file.getvalue().decode() == printable(text)
