"""A wheel written anew: members sorted and stored, fixed times and modes, RECORD made from the content.

Format: packaging.python.org, "Binary distribution format" and "Recording installed projects".
"""

import base64
import csv
import hashlib
import io
import posixpath
import zipfile

from buildrules.errors import ActionError

_TIME = (1980, 1, 1, 0, 0, 0)


def normalise(path: str) -> bytes:
    """The bytes of the wheel at `path` in their one normal form. Raises ActionError where it is no wheel."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                info.filename: (archive.read(info), bool(info.external_attr >> 16 & 0o111))
                for info in archive.infolist()
                if not info.is_dir()
            }
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:
        raise ActionError(f"{posixpath.basename(path)!r} cannot be read: {error}") from None
    records = [name for name in members if name.count("/") == 1 and name.endswith(".dist-info/RECORD")]
    if len(records) != 1:
        raise ActionError(f"{posixpath.basename(path)!r} has {len(records)} RECORD files, not one")
    record = records[0]
    signatures = {record + ".jws", record + ".p7s"}
    members = {name: value for name, value in members.items() if name not in signatures}
    members[record] = (_record(record, members), False)
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
        info = posixpath.dirname(record) + "/"
        # The metadata comes last, as the standard recommends.
        for name in sorted(members, key=lambda name: (name.startswith(info), name)):
            data, executable = members[name]
            entry = zipfile.ZipInfo(name, _TIME)
            entry.create_system = 3
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            archive.writestr(entry, data)
    return output.getvalue()


def _record(record: str, members: dict[str, tuple[bytes, bool]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name in sorted(members):
        if name == record:
            continue
        data = members[name][0]
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        writer.writerow([name, f"sha256={digest}", len(data)])
    writer.writerow([record, "", ""])
    return text.getvalue().encode()
