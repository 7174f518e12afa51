"""Secrets are cut from text in every spelling that a reader of the results may undo."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from html import unescape
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchgen.http.secrets import Secrets

KEY = "9f/Zk3QmTop/Secret77aa"
SECRETS = Secrets((KEY,))
KEYS = st.text("abcXYZ0189/+_-.%&;=", min_size=8, max_size=40).filter(
    lambda key: any(c.isdigit() for c in key) and any(c.isalpha() for c in key)
)


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


def decimal(text: str) -> str:
    return "".join(f"&#{ord(character)};" for character in text)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "escaped slashes": lambda key: key.replace("/", "\\/"),
    "escapes": escaped,
    "escapes in upper case": lambda key: escaped(key).upper().replace("\\U", "\\u"),
    "escapes of escapes": lambda key: escaped(key).replace("\\", "\\\\"),
    "entities": decimal,
    "entities without their end": lambda key: decimal(key).replace(";", ""),
    "long entities": lambda key: decimal(key).replace("&#", "&#0000"),
    "hexadecimal entities": lambda key: "".join(f"&#x{ord(c):X};" for c in key),
    "named entities": lambda key: key.replace("/", "&sol;"),
    "entities of entities": lambda key: decimal(key).replace("&", "&amp;"),
    "entities in escapes": lambda key: escaped(decimal(key)),
    "percent": lambda key: quote(key, safe=""),
    "percent for every character": lambda key: "".join(f"%{ord(c):02x}" for c in key),
    "percent for some": lambda key: "".join(f"%{ord(c):02X}" if c in "9ZS7" else c for c in key),
    "percent twice": lambda key: quote(quote(key, safe=""), safe=""),
    "hexadecimal digits": lambda key: key.encode().hex(),
    "backslash x": lambda key: "".join(f"\\x{ord(c):02x}" for c in key),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_secret_is_cut_in_every_spelling(spelling: Callable[[str], str]) -> None:
    text = f"Bad credentials {spelling(KEY)} given"
    assert SECRETS.cut(text) == "Bad credentials *** given"
    assert SECRETS.cut_body(text.encode()) == b"Bad credentials *** given"


@given(KEYS, st.sampled_from(list(SPELLINGS)), st.sampled_from(list(SPELLINGS)))
def test_a_secret_is_cut_in_two_spellings_one_inside_of_the_other(
    key: str, first: str, second: str
) -> None:
    secrets = Secrets((key,))
    spelled = SPELLINGS[second](SPELLINGS[first](key))
    assert not holds(secrets.cut(f"<{spelled}>"), key)


@given(
    KEYS,
    st.binary(max_size=5),
    st.binary(max_size=5),
    st.sampled_from([b64encode, urlsafe_b64encode]),
    st.sampled_from(["=", ""]),
)
@example(KEY, b"", b"", urlsafe_b64encode, "")
def test_a_secret_is_cut_from_base64_at_any_place(
    key: str, before: bytes, behind: bytes, encode: Callable[[bytes], bytes], padding: str
) -> None:
    encoded = encode(before + key.encode() + behind).decode().replace("=", padding)
    for text in (encoded, encoded.replace("/", "\\/"), quote(encoded, safe="")):
        cut = Secrets((key,)).cut(f"before: {text}!")
        assert cut.count("***") == 1
        assert text not in cut


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\\n", "\\r\\n"])
def test_base64_with_line_breaks_is_read_on(line_break: str) -> None:
    encoded = b64encode(b"0123456789" + KEY.encode() + b"0123456789").decode()
    text = encoded[:24] + line_break + encoded[24:]
    assert "***" in SECRETS.cut(text)


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_a_body_in_another_charset_becomes_utf_8_without_secrets(charset: str) -> None:
    body = '{"message": "Zurückgewiesen: 9f\\/Zk3QmTop\\/Secret77aa"}'.encode(charset)
    cut = SECRETS.cut_body(body, "application/json; charset=ISO-8859-1")
    assert json.loads(cut) == {"message": "Zurückgewiesen: ***"}


@given(st.binary(max_size=200))
def test_a_body_without_secrets_is_unchanged(body: bytes) -> None:
    is_wide = body[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in body[:4]
    assert is_wide or SECRETS.cut_body(body) == body


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    KEYS,
)
def test_json_stays_json(value: object, key: str) -> None:
    body = json.dumps([value, {key: key}, f"x{key}y"])
    cut = json.loads(Secrets((key,)).cut(body))
    assert cut[1:] == [{"***": "***"}, "x***y"]


def test_a_secret_at_the_edge_of_a_part_of_a_large_body_is_cut() -> None:
    body = b'["' + b"x" * (4 * 1024 * 1024 - 12) + KEY.encode() + b'"]'
    assert KEY.encode() not in SECRETS.cut_body(body)


@pytest.mark.parametrize("key", ["", "k", "dummy", "EMPTY", "images", "prompt"])
def test_a_word_that_is_used_as_a_key_is_left(key: str) -> None:
    text = '{"images": [{"prompt": "a dummy k", "url": "http://k/EMPTY"}]}'
    assert Secrets((key,)).cut(text) == text


@pytest.mark.parametrize("key", ["revised_prompt", "payload", "created", "generations"])
def test_a_weak_key_is_cut_as_a_word_and_never_as_a_field(key: str) -> None:
    text = f'{{"{key}": "not {key}s", "x": "my{key} {key}"}}'
    cut = Secrets((key,)).cut(text)
    assert json.loads(cut).keys() == {key, "x"}
    assert f"not {key}s" in cut


def test_a_key_of_digits_leaves_numbers_of_json_numbers() -> None:
    text = '{"created": 12345678, "id": "12345678", "n": 123456789}'
    cut = Secrets(("12345678",)).cut(text)
    assert json.loads(cut) == {"created": 0, "id": "0", "n": 123456789}


def test_names_and_values_of_headers_have_no_secrets() -> None:
    headers = {"Location": f"/x?key={quote(KEY, safe='')}", "X-Abc12345": "a", "X-Id": KEY}
    cut = Secrets((KEY, "abc12345")).cut_headers(headers)
    assert cut == {"location": "/x?key=***", "x-***": "a", "x-id": "***"}


def holds(text: str, key: str, depth: int = 5) -> bool:
    """Return whether a text is the key in any order of decoding."""
    if key in text:
        return True
    decoders: list[Callable[[str], str]] = [unescape, unquote, unescape_json]
    decoded = {decode(text) for decode in decoders} - {text}
    return depth > 0 and any(holds(one, key, depth - 1) for one in decoded)


def unescape_json(text: str) -> str:
    try:
        value: str = json.loads(f'"{text}"', strict=False)
    except ValueError:
        return text
    return value
