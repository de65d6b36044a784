"""Forms that carry files (`multipart/form-data`), read with the standard library."""

from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP


@dataclass(frozen=True, slots=True)
class Upload:
    """`name` is what the sender calls the file: for showing, never a path."""

    name: str
    content: bytes = field(repr=False)


def read_multipart(raw: bytes, content_type: str) -> tuple[list[tuple[str, str]], dict[str, Upload]]:
    """Text fields in their order, and files by field; a file field that was left empty is missing. Raises ValueError."""
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + raw
    )
    if not message.is_multipart():
        raise ValueError("no parts")
    fields: list[tuple[str, str]] = []
    files: dict[str, Upload] = {}
    for part in message.iter_parts():
        name = _parameter(part, "name")
        file_name = part.get_filename()
        content = part.get_payload(decode=True)
        if not name or not isinstance(content, bytes):
            raise ValueError("a part without a name")
        if file_name is None:
            fields.append((name, content.decode()))
        elif file_name or content:
            files[name] = Upload(file_name, content)
    return fields, files


def _parameter(part: Message, name: str) -> str:
    value = part.get_param(name, "", "content-disposition")
    return value if isinstance(value, str) else ""
