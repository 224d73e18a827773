"""Messages of the Remote Execution API, version 2, of ByteStream, and of errors: the fields that are used here.

Sources: build/bazel/remote/execution/v2/remote_execution.proto of github.com/bazelbuild/remote-apis;
google/bytestream/bytestream.proto, google/rpc/status.proto and error_details.proto of github.com/googleapis/googleapis.
"""

from buildrules.remote.protobuf import BYTES, NUMBER, TEXT, Field, Table

SHA256 = 1
"""Of the enumeration DigestFunction.Value."""

_ANY: Table = {"type_url": Field(1, TEXT), "value": Field(2, BYTES)}
STATUS: Table = {"code": Field(1, NUMBER), "message": Field(2, TEXT), "details": Field(3, _ANY, many=True)}
RETRY_INFO: Table = {"retry_delay": Field(1, {"seconds": Field(1, NUMBER), "nanos": Field(2, NUMBER)})}

DIGEST: Table = {"hash": Field(1, TEXT), "size_bytes": Field(2, NUMBER)}
_INSTANCE = Field(1, TEXT)

GET_CAPABILITIES: Table = {"instance_name": _INSTANCE}
CAPABILITIES: Table = {
    "cache_capabilities": Field(
        1,
        {
            "digest_functions": Field(1, NUMBER, many=True),
            "action_cache_update_capabilities": Field(2, {"update_enabled": Field(1, NUMBER)}),
            "max_batch_total_size_bytes": Field(4, NUMBER),
            "max_cas_blob_size_bytes": Field(8, NUMBER),
        },
    ),
    "execution_capabilities": Field(2, {"exec_enabled": Field(2, NUMBER)}),
}

FIND_MISSING: Table = {"instance_name": _INSTANCE, "blob_digests": Field(2, DIGEST, many=True)}
MISSING: Table = {"missing_blob_digests": Field(2, DIGEST, many=True)}
BATCH_UPDATE: Table = {
    "instance_name": _INSTANCE,
    "requests": Field(2, {"digest": Field(1, DIGEST), "data": Field(2, BYTES)}, many=True),
}
BATCH_UPDATED: Table = {"responses": Field(1, {"digest": Field(1, DIGEST), "status": Field(2, STATUS)}, many=True)}
BATCH_READ: Table = {"instance_name": _INSTANCE, "digests": Field(2, DIGEST, many=True)}
BATCH_CONTENT: Table = {
    "responses": Field(1, {"digest": Field(1, DIGEST), "data": Field(2, BYTES), "status": Field(3, STATUS)}, many=True)
}

_OUTPUT_FILE: Table = {"path": Field(1, TEXT), "digest": Field(2, DIGEST)}
ACTION_RESULT: Table = {
    "output_files": Field(2, _OUTPUT_FILE, many=True),
    "stdout_raw": Field(5, BYTES),
    "stdout_digest": Field(6, DIGEST),
}
GET_RESULT: Table = {
    "instance_name": _INSTANCE,
    "action_digest": Field(2, DIGEST),
    "inline_stdout": Field(3, NUMBER),
}
UPDATE_RESULT: Table = {
    "instance_name": _INSTANCE,
    "action_digest": Field(2, DIGEST),
    "action_result": Field(3, ACTION_RESULT),
}

READ: Table = {"resource_name": Field(1, TEXT), "read_offset": Field(2, NUMBER), "read_limit": Field(3, NUMBER)}
READ_ANSWER: Table = {"data": Field(10, BYTES)}
WRITE: Table = {
    "resource_name": Field(1, TEXT),
    "write_offset": Field(2, NUMBER),
    "finish_write": Field(3, NUMBER),
    "data": Field(10, BYTES),
}
WRITTEN: Table = {"committed_size": Field(1, NUMBER)}
