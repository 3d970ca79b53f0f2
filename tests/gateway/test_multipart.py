"""Audio comes as a form: its model is read, and the form passed on as it came."""

from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import NotFoundError, OpenAI

from gateway.engine import Engine
from gateway.proxy import Gateway
from modelops.gateway.module import FORM_PATHS as PATHS
from modelops.gateway.routes import TEXT_PATHS

AUDIO = bytes(range(256)) * 1000
"""A quarter of a megabyte, with every byte and with line ends of all kinds."""


def form(*parts: bytes, boundary: bytes = b"xx") -> bytes:
    """Return a body of parts: headers, an empty line, content."""
    return (
        b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts) + b"--%b--\r\n" % boundary
    )


def field(name: str, value: bytes) -> bytes:
    """Return one part."""
    return b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % (name.encode(), value)


FILE = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + AUDIO
MODEL = field("model", b"llama-8b")
TYPE = {"content-type": "multipart/form-data; boundary=xx"}


def send(
    front: Gateway, body: bytes, path: str = PATHS[0], grant: str = "*", **headers: str
) -> httpx.Response:
    """Send a body as it is."""
    with front.client(front.key(grant)) as client:
        return client.post(path, content=body, headers=TYPE | headers)


@pytest.mark.parametrize("path", [path for path in PATHS if path in TEXT_PATHS])
@pytest.mark.parametrize("order", ["model first", "file first"])
def test_a_form_reaches_the_model_that_it_names(front: Gateway, path: str, order: str) -> None:
    """Wherever the field stands, the model is found and the body arrives byte for byte."""
    parts = (MODEL, FILE) if order == "model first" else (FILE, MODEL)
    answer = send(front, form(*parts), path)
    assert answer.status_code == 200
    assert bytes.fromhex(answer.json()["text"]) == form(*parts)


def test_the_official_client_transcribes(front: Gateway, tmp_path: Path) -> None:
    """`client.audio.transcriptions.create` works, and tells a model that is not there."""
    path = tmp_path / 'a "b"; name="model".wav'
    path.write_bytes(AUDIO)
    with OpenAI(base_url=f"{front.url}/v1", api_key=front.key("*"), max_retries=0) as client:
        heard = client.audio.transcriptions.create(model="llama-8b", file=path)
        assert AUDIO in bytes.fromhex(heard.text)
        with pytest.raises(NotFoundError, match="whisper-1"):
            client.audio.transcriptions.create(model="whisper-1", file=path)


def test_a_key_is_judged_by_the_form(front: Gateway, fake: Engine) -> None:
    """A key that does not name the form's model learns nothing of it, and no engine sees it."""
    before = len(fake.requests)
    answer = send(front, form(FILE, MODEL), grant="Qwen*")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert len(fake.requests) == before


def test_a_form_without_a_key_is_not_read(front: Gateway) -> None:
    """Nobody unknown has a form looked through."""
    with front.client() as client:
        answer = client.post(PATHS[0], content=form(FILE, MODEL), headers=TYPE)
    assert answer.status_code == 401


TOKEN = b"content-disposition:form-data ;name=model\r\nContent-Type: text/plain\r\n\r\nllama-8b"
TAKEN = {
    "quoted boundary": ('multipart/form-data; boundary="x:y"', form(MODEL, boundary=b"x:y")),
    "other case": ("Multipart/Form-Data;BOUNDARY=xx", form(MODEL)),
    "token": (TYPE["content-type"], form(TOKEN)),
    "nothing in other parts": (TYPE["content-type"], form(field("a", b""), MODEL)),
    "boundary inside a file": (
        TYPE["content-type"],
        form(field("file", b"--xx\n--xx--\r\r\n-\r\n--x"), MODEL),
    ),
    "something after the end": (TYPE["content-type"], form(MODEL) + b"--xx\r\n" + MODEL),
    "last line without an end": (TYPE["content-type"], form(MODEL)[:-2]),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_forms_of_many_clients_are_understood(front: Gateway, kind: str) -> None:
    """What clients write differently and RFC 7578 allows is read alike."""
    content_type, body = TAKEN[kind]
    answer = send(front, body, **{"content-type": content_type})
    assert answer.status_code == 200, answer.text


JSON = {"content-type": "application/json"}
NO_MODEL = b'Content-Disposition: form-data; name="file"; filename="; name=\\"model\\""\r\n\r\nx'
REFUSED = {
    "json": (b'{"model": "llama-8b"}', JSON, 415, "not_multipart"),
    "no boundary": (form(MODEL), {"content-type": "multipart/form-data"}, 415, "not_multipart"),
    "mixed": (form(MODEL), {"content-type": "multipart/mixed; boundary=xx"}, 415, "not_multipart"),
    "other boundary": (form(MODEL, boundary=b"yy"), {}, 400, "invalid_multipart"),
    "two boundaries": (form(MODEL), {"content-type": TYPE["content-type"] + "; boundary=y"}, 400,
                       "invalid_multipart"),
    "empty": (b"", {}, 400, "invalid_multipart"),
    "cut off": (form(MODEL)[:-9], {}, 400, "invalid_multipart"),
    "no end": (form(MODEL, FILE)[:-8], {}, 400, "invalid_multipart"),
    "nothing before the end": (form(), {}, 400, "model_missing"),
    "two models": (form(MODEL, field("model", b"Qwen/Qwen3-8B")), {}, 400, "invalid_multipart"),
    "two names": (form(b'Content-Disposition: form-data; name="a"; name="model"\r\n\r\nllama-8b'),
                  {}, 400, "invalid_multipart"),
    "two dispositions": (form(b'Content-Disposition: form-data; name="a"\r\n' + MODEL), {}, 400,
                         "invalid_multipart"),
    "folded": (form(b'Content-Disposition: form-data;\r\n name="model"\r\n\r\nllama-8b'), {}, 400,
               "invalid_multipart"),
    "no headers": (form(b"\r\nllama-8b"), {}, 400, "invalid_multipart"),
    "line feeds only": (form(MODEL).replace(b"\r\n", b"\n"), {}, 400, "invalid_multipart"),
    "a preamble": (b"hello\r\n" + form(MODEL), {}, 400, "invalid_multipart"),
    "no field named model": (form(FILE), {}, 400, "model_missing"),
    "named in a file's name": (form(NO_MODEL), {}, 400, "model_missing"),
    "empty model": (form(field("model", b"")), {}, 400, "model_missing"),
    "large model": (form(field("model", b"x" * 300)), {}, 400, "invalid_multipart"),
    "large head": (form(b"X-A: " + b"x" * 5000 + b"\r\n" + MODEL), {}, 400, "invalid_multipart"),
    "many parts": (form(*[field("a", b"")] * 2000, MODEL), {}, 400, "invalid_multipart"),
    "unknown model": (form(field("model", b'x"y\r\n\x00\xff')), {}, 404, "model_not_found"),
    "too large": (form(field("a", b"x" * 2**20), MODEL), {}, 413, "request_too_large"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_bad_form_is_refused(front: Gateway, fake: Engine, kind: str) -> None:
    """What two readers could understand differently is refused, in OpenAI's shape."""
    body, headers, status, code = REFUSED[kind]
    before = len(fake.requests)
    answer = send(front, body, **headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert len(fake.requests) == before


def test_a_form_is_for_its_own_paths_only(front: Gateway) -> None:
    """A path that takes JSON takes no form, whatever that names."""
    answer = send(front, form(MODEL), "/v1/chat/completions")
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "not_json")


def test_a_second_content_type_does_not_help(front: Gateway, fake: Engine) -> None:
    """Two content types are refused: nobody knows which one an engine would believe."""
    before = len(fake.requests)
    with front.client(front.key("*")) as client:
        types = [("content-type", TYPE["content-type"]), ("content-type", "application/json")]
        answer = client.post(PATHS[0], content=form(MODEL), headers=types)
    assert answer.status_code in {400, 415}
    assert len(fake.requests) == before


def test_whatever_a_file_holds_the_model_is_found(front: Gateway) -> None:
    """Contents that look like boundaries do not lead the reader astray."""
    pieces = st.sampled_from([b"\r\n", b"--", b"xx", b"--xx", b"\r\n--x", b"\r", b"y"])
    contents = st.lists(pieces, max_size=30).map(b"".join)

    @settings(max_examples=60, deadline=None)
    @given(contents.filter(lambda c: b"\r\n--xx" not in b"\r\n" + c))
    def found(content: bytes) -> None:
        assert send(front, form(field("file", content), MODEL)).status_code == 200

    found()
