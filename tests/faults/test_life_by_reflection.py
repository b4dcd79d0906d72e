"""The whole life of a run by somebody who has no generated code: everything is learnt through server reflection."""

from __future__ import annotations

from typing import Any

import grpc
from fault_world import House
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class Stranger:
    """Calls unary methods by name, with JSON in and out, as grpcurl does."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = DescriptorPool(self.database)

    def call(self, service: str, method: str, token: str, **body: Any) -> dict[str, Any]:
        found = self.pool.FindServiceByName(service).FindMethodByName(method)
        request = json_format.ParseDict(body, GetMessageClass(found.input_type)())
        invoke = self.channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=GetMessageClass(found.output_type).FromString,
        )
        answer = invoke(request, metadata=[("authorization", f"Bearer {token}")], timeout=30)
        return json_format.MessageToDict(answer)


def test_register_trigger_claim_report_and_read(house: House) -> None:
    house.server()
    house.wait_for_answers(house.client())
    admin, worker = ((house.folder / name).read_text().strip() for name in ("admin", "worker"))
    stranger = Stranger(house.address)
    assert "glidepath.worker.v1.WorkerService" in stranger.database.get_services()
    registry, runs = "glidepath.registry.v1.RegistryService", "glidepath.run.v1.RunService"
    workers = "glidepath.worker.v1.WorkerService"

    task = {"taskId": "one", "handler": {"name": "strange:task"}, "inputs": {"x": {"literal": {"data": "NDE="}}}}
    stranger.call(registry, "RegisterDagVersion", admin, spec={"dagId": "strange", "tasks": [task]})
    run_id = stranger.call(runs, "TriggerDagRuns", admin, runs=[{"dagId": "strange"}])["runs"][0]["dagRunId"]
    hello = {
        "workerIdentity": "stranger",
        "incarnation": "1",
        "protocolVersion": 1,
        "handlers": [{"name": "strange:*"}],
    }
    claim = stranger.call(workers, "Claim", worker, hello=hello, wait="10s")
    (assignment,) = claim["assignments"]
    assert assignment["attempt"] == {"dagRunId": run_id, "taskId": "one", "mapIndex": -1, "attemptNumber": 1}
    assert assignment["inputs"]["x"]["literal"]["data"] == "NDE="

    session = {"sessionId": claim["welcome"]["sessionId"], "generation": claim["welcome"]["generation"]}
    result = {"taskToken": assignment["taskToken"], "success": {"output": {"data": "NDI="}}}
    verdicts = [
        stranger.call(workers, "Report", worker, session=session, results=[result])["resultAcks"][0]["verdict"]
        for _ in range(2)
    ]
    assert verdicts == ["VERDICT_ACCEPTED", "VERDICT_DUPLICATE"]
    assert stranger.call(runs, "GetDagRun", admin, dagRunId=run_id)["dagRun"]["state"] == "RUN_STATE_SUCCESS"
    output = stranger.call(runs, "GetTaskOutput", admin, dagRunId=run_id, taskId="one")["taskOutput"]["output"]
    assert output["data"] == "NDI="
    stranger.channel.close()
