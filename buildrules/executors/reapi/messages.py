"""Messages of execution: the fields that are used here. See `remote.reapi_messages`.

Sources: build/bazel/remote/execution/v2/remote_execution.proto of github.com/bazelbuild/remote-apis;
google/longrunning/operations.proto and google/protobuf/timestamp.proto.
"""

from buildrules.remote.protobuf import BYTES, NUMBER, TEXT, Field, Table
from buildrules.remote.reapi_messages import DIGEST, STATUS

QUEUED, EXECUTING = 2, 3
"""Of the enumeration ExecutionStage.Value."""

_PAIR: Table = {"name": Field(1, TEXT), "value": Field(2, TEXT)}
_PLATFORM: Table = {"properties": Field(1, _PAIR, many=True)}
DIRECTORY: Table = {
    "files": Field(
        1, {"name": Field(1, TEXT), "digest": Field(2, DIGEST), "is_executable": Field(4, NUMBER)}, many=True
    ),
    "directories": Field(2, {"name": Field(1, TEXT), "digest": Field(2, DIGEST)}, many=True),
}
COMMAND: Table = {
    "arguments": Field(1, TEXT, many=True),
    "environment_variables": Field(2, _PAIR, many=True),
    "platform": Field(5, _PLATFORM),
    "output_paths": Field(7, TEXT, many=True),
}
ACTION: Table = {
    "command_digest": Field(1, DIGEST),
    "input_root_digest": Field(2, DIGEST),
    "platform": Field(10, _PLATFORM),
}
EXECUTE: Table = {
    "instance_name": Field(1, TEXT),
    "skip_cache_lookup": Field(3, NUMBER),
    "action_digest": Field(6, DIGEST),
}
NAMED: Table = {"name": Field(1, TEXT)}
"""WaitExecutionRequest, and CancelOperationRequest."""

_ANY: Table = {"type_url": Field(1, TEXT), "value": Field(2, BYTES)}
OPERATION: Table = {
    "name": Field(1, TEXT),
    "metadata": Field(2, _ANY),
    "done": Field(3, NUMBER),
    "error": Field(4, STATUS),
    "response": Field(5, _ANY),
}
STAGE: Table = {"stage": Field(1, NUMBER)}
_TIME: Table = {"seconds": Field(1, NUMBER), "nanos": Field(2, NUMBER)}
METADATA: Table = {
    "worker": Field(1, TEXT),
    "queued_timestamp": Field(2, _TIME),
    "worker_start_timestamp": Field(3, _TIME),
    "worker_completed_timestamp": Field(4, _TIME),
}
RESULT: Table = {
    "output_files": Field(2, {"path": Field(1, TEXT), "digest": Field(2, DIGEST)}, many=True),
    "exit_code": Field(4, NUMBER),
    "stderr_raw": Field(7, BYTES),
    "stderr_digest": Field(8, DIGEST),
    "execution_metadata": Field(9, METADATA),
}
RESPONSE: Table = {
    "result": Field(1, RESULT),
    "cached_result": Field(2, NUMBER),
    "status": Field(3, STATUS),
}
