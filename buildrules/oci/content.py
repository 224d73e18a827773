"""The bytes of one entry, for who looks into it instead of laying it into a layer."""

from buildrules.oci.gzip import inflate
from buildrules.oci.parts.entry import Chunks, DeflateRange, Entry
from buildrules.oci.reader import Reader


def content_of(entry: Entry, reader: Reader) -> bytes:
    """All of it, in memory. Raises IntegrityError where it is corrupt, ActionError where its file cannot be read."""
    content = entry.content
    if isinstance(content, bytes):
        return content
    if isinstance(content, Chunks):
        return b"".join(content.make())
    return b"".join(map(bytes, inflate(reader, content) if isinstance(content, DeflateRange) else reader.runs(content)))
