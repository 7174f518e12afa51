"""Cut secrets from the text of replies, however they are spelled.

A server may repeat the key in a message or a field, plainly or in an encoding that a reader of the
results undoes again. So a text is compared with the secrets as it is and after each round of
decoding, and what matches is replaced in the text as it was written. Pure.
"""

import re
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from html.entities import html5
from typing import NamedTuple, TypeAlias
from urllib.parse import quote

CUT = "***"
_Span: TypeAlias = tuple[int, int]

_MAX_ROUNDS = 8  # of decoding; each one undoes every encoding once
_MIN_LENGTH = 6  # a shorter secret may be a part of ordinary words
_STRONG_LENGTH = 8
_STRONG_LETTERS = 16  # of a secret of lower case letters, or of digits, only
_WINDOW = 4 * 1024 * 1024  # characters that are decoded at once
_OVERLAP = 64 * 1024  # more than a secret in any spelling has
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-")
_URLSAFE = str.maketrans("+/", "-_")
_HEX = "[2-7][0-9a-fA-F]"  # of the printable ASCII characters
_BASE64 = "[A-Za-z0-9+/_-]{16}"
_ESCAPE = re.compile(
    rf"\\(?:u00({_HEX})|x({_HEX})|u\{{0{{0,8}}({_HEX})\}})"  # JSON, JavaScript, Rust
    r'|\\([\\/"])'
    rf"|%(?:u00)?({_HEX})"  # URLs
    rf"|&#[xX]0{{0,40}}({_HEX})(?![0-9a-fA-F]);?"  # HTML
    r"|&#0{0,40}([0-9]{2,3})(?![0-9]);?"
    r"|&([A-Za-z]{2,8});"
    # A line break in base64, also as an escape of JSON.
    rf"|\\r\\n(?<={_BASE64}.{{4}})|\\n(?<={_BASE64}.{{2}})"
    rf"|\r\n(?<={_BASE64}..)|\n(?<={_BASE64}.)",
    re.DOTALL,
)
_DECIMAL, _NAMED = 7, 8
_CHARACTER, _HEXES = 4, frozenset({1, 2, 3, 5, 6})
_ENTITIES: Mapping[str, str] = {
    name[:-1]: character
    for name, character in html5.items()
    if name.endswith(";") and character.isascii() and character.isprintable()
}
_PRINTABLE = tuple(map(chr, range(0x20, 0x7F)))
_COMMON: Mapping[str, str] = {
    **{f"%{ord(character):02X}": character for character in _PRINTABLE},
    **{f"%{ord(character):02x}": character for character in _PRINTABLE},
    **{f"\\u{ord(character):04x}": character for character in _PRINTABLE},
    **{f"&#{ord(character)};": character for character in _PRINTABLE},
    **{f"\\{character}": character for character in '\\/"'},
    "\n": "",
    "\\n": "",
}
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_WIDE = (
    (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
)  # fmt: skip
_ZEROS = (
    ((True, True, True, False), "utf-32-be"), ((False, True, True, True), "utf-32-le"),
    ((True, False, True, False), "utf-16-be"), ((False, True, False, True), "utf-16-le"),
)  # fmt: skip
_ONE_BYTE = re.compile(r"(?:iso-?8859-?[0-9]{1,2}|latin-?1|windows-125[0-9]|cp125[0-9])")


class Secrets:
    """Texts that are cut from replies.

    One of under 6 characters, or a short lower-case word, is no secret: it would be cut out of
    ordinary words. One of few characters or of one kind of characters is cut as a whole word only,
    and never as the name of a field.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        chosen = sorted({s for s in secrets if _is_secret(s)}, key=len, reverse=True)
        strong = [secret for secret in chosen if not _is_weak(secret)]
        self._needles = tuple(dict.fromkeys(n for secret in strong for n in _spellings(secret)))
        self._base64 = tuple(dict.fromkeys(n for secret in strong for n in _base64(secret)))
        self._all = self._needles + self._base64
        words = "|".join(re.escape(secret) for secret in chosen if _is_weak(secret))
        self._words = re.compile(rf'(?<![\w.])(?:{words})(?![\w.]*\w|"\s*:)') if words else None
        self._is_empty = not chosen

    def cut(self, text: str) -> str:
        """Return the text with `***` for each secret."""
        if self._is_empty or not self._has(text):
            return text
        pieces, end = [], 0
        for start, stop in sorted(self._spans(text)):
            if start >= end:
                pieces += [text[end:start], _replacement(text[start:stop])]
            end = max(end, stop)
        return "".join((*pieces, text[end:]))

    def cut_body(self, body: bytes, content_type: str = "") -> bytes:
        """Return the body of a reply without secrets; UTF-16, UTF-32 and Latin-1 become UTF-8.

        content_type: the header of the reply, or empty.
        """
        if (encoding := _encoding(body, content_type)) is not None:
            return self.cut(body.decode(encoding, "replace").lstrip("\ufeff")).encode()
        return self.cut_bytes(body)

    def cut_bytes(self, body: bytes) -> bytes:
        """Return bytes without secrets, which are otherwise unchanged."""
        if self._is_empty or not any(map(self._has, _windows(body))):
            return body
        # Secrets are ASCII, which is the same in Latin-1, and every byte has a character in it.
        return self.cut(body.decode("latin-1")).encode("latin-1")

    def cut_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers without secrets, with their names in lower case."""
        lowered = {name.lower(): value for name, value in headers.items()}
        text = "\n".join(f"{name}\n{value}" for name, value in lowered.items())
        if self._is_empty or not self._has(text):
            return lowered
        return {self.cut(name): self.cut(value) for name, value in lowered.items()}

    def _has(self, text: str) -> bool:
        """Return whether `_spans` has any; faster, because it does not look for their places."""
        for _ in range(_MAX_ROUNDS):
            for needle in self._all:  # `any` would take twice the time
                if needle in text:
                    return True
            if self._words is not None and self._words.search(text):
                return True
            decoded = _ESCAPE.sub(_decode_match, text)
            if decoded == text:
                return False
            text = decoded
        return False

    def _spans(self, text: str) -> Iterator[_Span]:
        """Yield where secrets are in a text, by rounds of decoding; spans may overlap."""
        rounds: list[_Decoded] = []
        for _ in range(_MAX_ROUNDS):
            for start, end in self._found(text):
                first, last = (start, start + 1), (end - 1, end)
                for decoded in reversed(rounds):
                    first, last = decoded.origin(first[0]), decoded.origin(last[1] - 1)
                yield first[0], last[1]
            decoded = _decode(text)
            if not decoded.edits:
                return
            rounds.append(decoded)
            text = decoded.text

    def _found(self, text: str) -> Iterator[_Span]:
        for needle in self._needles:
            for start in _places(text, needle):
                yield start, start + len(needle)
        for needle in self._base64:
            for start in _places(text, needle):
                yield _with_neighbours(text, start, start + len(needle))
        if self._words is not None:
            yield from (match.span() for match in self._words.finditer(text))


class _Edit(NamedTuple):
    """Characters of a text, and those that they were decoded from."""

    start: int
    end: int
    from_start: int
    from_end: int


class _Decoded(NamedTuple):
    text: str
    edits: list[_Edit]

    def origin(self, position: int) -> _Span:
        """Return where the character at a position came from."""
        index = bisect_right(self.edits, position, key=lambda edit: edit.start) - 1
        if index < 0:
            return position, position + 1
        edit = self.edits[index]
        if position < edit.end:
            return edit.from_start, edit.from_end
        start = edit.from_end + position - edit.end
        return start, start + 1


def _decode(text: str) -> _Decoded:
    """Undo the escapes of JSON, HTML and URLs once."""
    pieces: list[str] = []
    edits: list[_Edit] = []
    end = length = 0
    for match in _ESCAPE.finditer(text):
        if (decoded := _character(match)) is None:
            continue
        start, stop = match.span()
        pieces += (text[end:start], decoded)
        length += start - end
        edits.append(_Edit(length, length + len(decoded), start, stop))
        length += len(decoded)
        end = stop
    return _Decoded("".join((*pieces, text[end:])) if edits else text, edits)


def _decode_match(match: re.Match[str]) -> str:
    escape = match[0]
    character = _COMMON.get(escape)
    if character is None:
        character = _character(match)
    return escape if character is None else character


def _character(match: re.Match[str]) -> str | None:
    """Return what an escape stands for; None if that is no printable ASCII character."""
    group = match.lastindex
    if group is None:
        return ""  # a line break in base64
    if group in _HEXES:
        return chr(int(match[group], 16)) if match[group] not in ("7f", "7F") else None
    if group == _CHARACTER:
        return match[group]
    if group == _NAMED:
        return _ENTITIES.get(match[group])
    character = chr(int(match[_DECIMAL]))
    return character if character.isascii() and character.isprintable() else None


def _is_secret(secret: str) -> bool:
    is_word = secret.isalpha() and len(secret) < _STRONG_LENGTH
    return len(secret) >= _MIN_LENGTH and not (is_word and _is_uniform(secret))


def _is_weak(secret: str) -> bool:
    is_uniform = _is_uniform(secret) and len(secret) < _STRONG_LETTERS
    return is_uniform or len(secret) < _STRONG_LENGTH


def _is_uniform(secret: str) -> bool:
    """Return whether a secret has only letters of one case, or only digits."""
    has_digit = any(character.isdigit() for character in secret)
    has_letter = any(character.isalpha() for character in secret)
    is_one_case = secret == secret.lower() or secret == secret.upper() or secret.istitle()
    return not has_letter or (is_one_case and not has_digit)


def _replacement(found: str) -> str:
    """Return what stands for a secret; a number may be one of JSON, so it stays a number."""
    return "0" if found.isdigit() else CUT


def _spellings(secret: str) -> Iterator[str]:
    """Yield the secret as it is, decoded, and in hexadecimal digits."""
    yield secret
    decoded = secret
    for _ in range(_MAX_ROUNDS):
        decoded = _decode(decoded).text
    if len(decoded) >= _MIN_LENGTH:
        yield decoded
    digits = secret.encode().hex()
    yield from (digits, digits.upper())


def _base64(secret: str) -> Iterator[str]:
    """Yield what base64 has of a secret, after any number of other bytes, in both alphabets."""
    texts = (secret, quote(secret, safe=""), secret.replace("/", "\\/"))
    for data in (*(text.encode() for text in dict.fromkeys(texts)), secret.encode("utf-16-le")):
        for before in range(3):
            encoded = b64encode(b"\0" * before + data).decode()
            # The first characters hold bits of what stands before, the last ones of what follows.
            first = (0, 2, 3)[before]
            core = encoded[first : (before + len(data)) * 8 // 6]
            yield core
            yield core.translate(_URLSAFE)


def _with_neighbours(text: str, start: int, end: int) -> _Span:
    """Extend what base64 has of a secret by the characters that hold its other bits."""
    if start and text[start - 1] in _LETTERS:
        start -= 1
    if end < len(text) and text[end] in _LETTERS:
        end += 1
    return start, end


def _places(text: str, needle: str) -> Iterator[int]:
    at = text.find(needle)
    while at >= 0:
        yield at
        at = text.find(needle, at + len(needle))


def _windows(body: bytes) -> Iterator[str]:
    """Yield a body in parts that overlap, because a large one need not be decoded as a whole."""
    for start in range(0, max(len(body), 1), _WINDOW):
        yield body[max(0, start - _OVERLAP) : start + _WINDOW].decode("latin-1")


def _encoding(body: bytes, content_type: str) -> str | None:
    """Return the encoding of a body that readers of UTF-8 cannot read; None for the others."""
    for mark, name in _WIDE:
        if body.startswith(mark):
            return name
    zeros = tuple(byte == 0 for byte in body[:4])
    if (wide := next((name for known, name in _ZEROS if known == zeros), None)) is not None:
        return wide
    match = _CHARSET.search(content_type)
    name = match[1].lower() if match else ""
    if not _ONE_BYTE.fullmatch(name):
        return None
    try:
        body.decode()
    except UnicodeDecodeError:
        return _known(name)
    return None


def _known(name: str) -> str:
    try:
        b"".decode(name)
    except LookupError:
        return "latin-1"
    return name
