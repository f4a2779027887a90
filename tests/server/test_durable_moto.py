"""moto's state across the end of its process's endpoint: everything that was acknowledged is there again."""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.endpoint_stand_in import Endpoint, open_endpoint

if TYPE_CHECKING:
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/service-role/LambdaRole"


def function_code(text: str = "def handler(event, context): return 1") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", text)
    return buffer.getvalue()


def contents(s3: Any, bucket: str) -> dict[str, bytes]:
    found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {item["Key"]: s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in found}


def stored_bodies(state: Path) -> list[bytes]:
    return sorted(file.read_bytes() for file in (state / "objects").rglob("*") if file.is_file())


def test_objects_come_back_with_all_that_is_known_of_them(tmp_path: Path) -> None:
    names = {"Bucket": "bucket", "Key": "../a b/ü?#%/.."}
    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(
            **names,
            Body=b"body",
            ContentType="text/csv",
            Metadata={"a_b": "c"},
            Tagging="x=1",
            StorageClass="STANDARD_IA",
        )
        before = s3.head_object(**names)
    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3")
        after = s3.head_object(**names)
        for field in ("ETag", "LastModified", "ContentType", "Metadata", "ContentLength", "StorageClass"):
            assert after[field] == before[field], field
        assert s3.get_object_tagging(**names)["TagSet"] == [{"Key": "x", "Value": "1"}]
        assert contents(s3, "bucket") == {names["Key"]: b"body"}
        assert s3.get_object(**names, Range="bytes=1-2")["Body"].read() == b"od"
    assert not list(tmp_path.parent.rglob("a b"))


def test_the_last_of_many_writes_counts_and_takes_no_more_room_than_one(tmp_path: Path) -> None:
    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3")
        s3.create_bucket(Bucket="bucket")
        for number in range(5):
            s3.put_object(Bucket="bucket", Key="key", Body=str(number).encode())
        s3.put_object(Bucket="bucket", Key="gone", Body=b"x")
        s3.delete_object(Bucket="bucket", Key="gone")
        s3.copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": "key"})
        assert contents(s3, "bucket") == {"key": b"4", "copy": b"4"}
    assert stored_bodies(tmp_path) == [b"4", b"4"]
    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3")
        assert contents(s3, "bucket") == {"key": b"4", "copy": b"4"}
        s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "key"}, {"Key": "copy"}]})
        s3.delete_bucket(Bucket="bucket")
    assert stored_bodies(tmp_path) == []
    with open_endpoint(tmp_path) as endpoint:
        assert endpoint.client("s3").list_buckets()["Buckets"] == []


def test_an_object_that_many_write_at_once_is_one_of_their_bodies_then_and_later(tmp_path: Path) -> None:
    bodies = [bytes([letter]) * 300_000 for letter in range(16)]
    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3")
        s3.create_bucket(Bucket="bucket")
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda body: s3.put_object(Bucket="bucket", Key="key", Body=body), bodies * 4))
        assert all(answer["ResponseMetadata"]["RetryAttempts"] == 0 for answer in answers)
        live = contents(s3, "bucket")
        assert live["key"] in bodies
    assert stored_bodies(tmp_path) == [live["key"]]
    with open_endpoint(tmp_path) as endpoint:
        assert contents(endpoint.client("s3"), "bucket") == live


def test_versions_and_their_deletion_markers_come_back_in_order(tmp_path: Path) -> None:
    def versions(s3: Any) -> list[tuple[str, bool]]:
        answer = s3.list_object_versions(Bucket="bucket")
        return sorted(
            (item["VersionId"], item["IsLatest"])
            for item in [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]
        )

    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3")
        s3.create_bucket(Bucket="bucket")
        s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        first = s3.put_object(Bucket="bucket", Key="key", Body=b"1")["VersionId"]
        s3.put_object(Bucket="bucket", Key="key", Body=b"2")
        s3.delete_object(Bucket="bucket", Key="key")
        before = versions(s3)
        assert len(before) == 3
    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3")
        assert versions(s3) == before
        assert contents(s3, "bucket") == {}
        assert s3.get_object(Bucket="bucket", Key="key", VersionId=first)["Body"].read() == b"1"


def test_an_upload_can_be_finished_after_a_restart(tmp_path: Path) -> None:
    part = b"x" * (5 << 20)
    place = {"Bucket": "bucket", "Key": "big"}
    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3")
        s3.create_bucket(Bucket="bucket")
        abandoned = s3.create_multipart_upload(Bucket="bucket", Key="other")["UploadId"]
        s3.abort_multipart_upload(Bucket="bucket", Key="other", UploadId=abandoned)
        upload = s3.create_multipart_upload(**place, ContentType="text/plain")["UploadId"]
        first = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=part)["ETag"]
    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3")
        assert [item["UploadId"] for item in s3.list_multipart_uploads(Bucket="bucket")["Uploads"]] == [upload]
        second = s3.upload_part(**place, UploadId=upload, PartNumber=2, Body=b"end")["ETag"]
        parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
        s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
        assert s3.get_object(**place)["Body"].read() == part + b"end"
    assert stored_bodies(tmp_path) == [part + b"end"]
    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3")
        answer = s3.get_object(**place)
        assert (answer["ContentType"], answer["Body"].read()) == ("text/plain", part + b"end")
        assert "Uploads" not in s3.list_multipart_uploads(Bucket="bucket")


def test_an_upload_that_is_finished_after_a_restart_makes_what_one_without_a_restart_makes(tmp_path: Path) -> None:
    settings = {
        "ContentType": "text/csv",
        "Metadata": {"a_b": "c"},
        "Tagging": "x=1&y=2",
        "StorageClass": "STANDARD_IA",
        "ACL": "public-read",
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "arn:aws:kms:us-east-1:123456789012:key/mine",
    }
    before, after = ({"Bucket": "bucket", "Key": key} for key in ("before", "after"))

    def finish(s3: Any, place: dict[str, str], upload: str) -> None:
        tag = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"body")["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
        s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload=parts)

    def facts(s3: Any, place: dict[str, str]) -> dict[str, Any]:
        head = s3.head_object(**place)
        told = ("ContentType", "Metadata", "StorageClass", "ServerSideEncryption", "SSEKMSKeyId", "ContentLength")
        return {
            **{name: head.get(name) for name in told},
            "tags": s3.get_object_tagging(**place)["TagSet"],
            "grants": s3.get_object_acl(**place)["Grants"],
        }

    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3")
        s3.create_bucket(Bucket="bucket")
        uploads = [s3.create_multipart_upload(**place, **settings)["UploadId"] for place in (before, after)]
        finish(s3, before, uploads[0])
        wanted = facts(s3, before)
        assert (wanted["StorageClass"], len(wanted["grants"]), len(wanted["tags"])) == ("STANDARD_IA", 2, 2)
        assert wanted["SSEKMSKeyId"] == settings["SSEKMSKeyId"]
    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3")
        finish(s3, after, uploads[1])
        assert [facts(s3, place) for place in (before, after)] == [wanted, wanted]


def test_a_buckets_settings_come_back(tmp_path: Path) -> None:
    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3", "eu-west-1")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        created = s3.list_buckets()["Buckets"][0]["CreationDate"]
        s3.put_bucket_tagging(Bucket="bucket", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
        s3.put_bucket_policy(Bucket="bucket", Policy='{"Version": "2012-10-17", "Statement": []}')
        s3.delete_bucket_policy(Bucket="bucket")
    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3", "eu-west-1")
        assert s3.get_bucket_location(Bucket="bucket")["LocationConstraint"] == "eu-west-1"
        assert s3.get_bucket_tagging(Bucket="bucket")["TagSet"] == [{"Key": "a", "Value": "b"}]
        assert abs((s3.list_buckets()["Buckets"][0]["CreationDate"] - created).total_seconds()) < 2
        with pytest.raises(s3.exceptions.ClientError, match="NoSuchBucketPolicy"):
            s3.get_bucket_policy(Bucket="bucket")


def test_roles_functions_and_rules_come_back_with_their_identifiers(tmp_path: Path) -> None:
    def facts(endpoint: Endpoint) -> list[Any]:
        return [
            endpoint.client("iam").get_role(RoleName="Mine")["Role"]["RoleId"],
            endpoint.client("lambda").get_function(FunctionName="f")["Configuration"]["CodeSha256"],
            endpoint.client("events").list_rules()["Rules"],
            endpoint.client("lambda").get_function(FunctionName="f")["Configuration"]["Role"],
        ]

    with open_endpoint(tmp_path) as endpoint:
        endpoint.client("iam").create_role(RoleName="Mine", AssumeRolePolicyDocument="{}")
        endpoint.client("lambda").create_function(
            FunctionName="f",
            Runtime="python3.11",
            Role=ROLE,
            Handler="index.handler",
            Code={"ZipFile": function_code()},
        )
        endpoint.client("events").put_rule(Name="rule", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
        endpoint.client("events").put_rule(Name="gone", EventPattern=json.dumps({"source": ["x"]}))
        endpoint.client("events").delete_rule(Name="gone")
        before = facts(endpoint)
    with open_endpoint(tmp_path) as endpoint:
        assert facts(endpoint) == before


def test_a_function_keeps_the_code_it_was_made_from_though_the_object_is_gone(tmp_path: Path) -> None:
    with open_endpoint(tmp_path) as endpoint:
        s3 = endpoint.client("s3")
        s3.create_bucket(Bucket="code")
        s3.put_object(Bucket="code", Key="f.zip", Body=function_code("one"))
        functions = endpoint.client("lambda")
        functions.create_function(
            FunctionName="f",
            Runtime="python3.11",
            Role=ROLE,
            Handler="index.handler",
            Code={"S3Bucket": "code", "S3Key": "f.zip"},
        )
        s3.delete_object(Bucket="code", Key="f.zip")
        before = functions.get_function(FunctionName="f")["Configuration"]["CodeSha256"]
    with open_endpoint(tmp_path) as endpoint:
        after = endpoint.client("lambda").get_function(FunctionName="f")["Configuration"]["CodeSha256"]
        assert after == before


def test_a_request_that_failed_is_not_repeated(tmp_path: Path) -> None:
    with open_endpoint(tmp_path) as endpoint:
        events = endpoint.client("events")
        with pytest.raises(events.exceptions.ResourceNotFoundException):
            events.put_targets(Rule="later", Targets=[{"Id": "1", "Arn": "arn:aws:sqs:us-east-1:123456789012:q"}])
        events.put_rule(Name="later", EventPattern=json.dumps({"source": ["x"]}))
    with open_endpoint(tmp_path) as endpoint:
        assert endpoint.client("events").list_targets_by_rule(Rule="later")["Targets"] == []


def test_messages_wait_through_a_restart_and_can_be_deleted_after(tmp_path: Path) -> None:
    with open_endpoint(tmp_path) as endpoint:
        sqs = endpoint.client("sqs")
        url = sqs.create_queue(QueueName="callbacks")["QueueUrl"]
        for text in ("received", "waiting", "deleted"):
            sqs.send_message(
                QueueUrl=url, MessageBody=text, MessageAttributes={"n": {"DataType": "Binary", "BinaryValue": b"\x00"}}
            )
        (received,) = sqs.receive_message(QueueUrl=url)["Messages"]
        assert received["Body"] == "received"
        other = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=2, VisibilityTimeout=0)["Messages"]
        sqs.delete_message(
            QueueUrl=url, ReceiptHandle=next(m["ReceiptHandle"] for m in other if m["Body"] == "deleted")
        )
    with open_endpoint(tmp_path) as endpoint:
        sqs = endpoint.client("sqs")
        url = sqs.get_queue_url(QueueName="callbacks")["QueueUrl"]
        (waiting,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], MaxNumberOfMessages=10)[
            "Messages"
        ]
        assert waiting["Body"] == "waiting"
        assert waiting["MessageAttributes"]["n"]["BinaryValue"] == b"\x00"
        sqs.delete_message(QueueUrl=url, ReceiptHandle=received["ReceiptHandle"])
        sqs.delete_message(QueueUrl=url, ReceiptHandle=waiting["ReceiptHandle"])
    with open_endpoint(tmp_path) as endpoint:
        attributes = endpoint.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert attributes["ApproximateNumberOfMessages"] == "0"
        assert attributes["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_an_events_message_in_a_queue_survives_and_is_not_sent_again(tmp_path: Path) -> None:
    with open_endpoint(tmp_path) as endpoint:
        url = endpoint.client("sqs").create_queue(QueueName="events")["QueueUrl"]
        events = endpoint.client("events")
        events.put_rule(Name="r", EventPattern=json.dumps({"source": ["mine"]}))
        events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": "arn:aws:sqs:us-east-1:123456789012:events"}])
        events.put_events(Entries=[{"Source": "mine", "DetailType": "d", "Detail": "{}"}])
    with open_endpoint(tmp_path) as endpoint:
        found = endpoint.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        assert [json.loads(message["Body"])["source"] for message in found] == ["mine"]


def test_a_buckets_notifications_go_on_after_a_restart(tmp_path: Path) -> None:
    with open_endpoint(tmp_path) as endpoint:
        endpoint.client("sqs").create_queue(QueueName="objects")
        s3 = endpoint.client("s3")
        s3.create_bucket(Bucket="bucket")
        target = {"QueueArn": "arn:aws:sqs:us-east-1:123456789012:objects", "Events": ["s3:ObjectCreated:*"]}
        s3.put_bucket_notification_configuration(
            Bucket="bucket", NotificationConfiguration={"QueueConfigurations": [target]}
        )
    with open_endpoint(tmp_path) as endpoint:
        endpoint.client("s3").put_object(Bucket="bucket", Key="new", Body=b"")
    with open_endpoint(tmp_path) as endpoint:
        sqs = endpoint.client("sqs")
        found = sqs.receive_message(QueueUrl=sqs.get_queue_url(QueueName="objects")["QueueUrl"], MaxNumberOfMessages=10)
        assert '"key":"new"' in "".join(message["Body"] for message in found["Messages"]).replace(" ", "")


def test_logs_come_back_with_their_groups_and_streams(tmp_path: Path) -> None:
    place = {"logGroupName": "/mine", "logStreamName": "stream"}
    with open_endpoint(tmp_path) as endpoint:
        logs = endpoint.client("logs")
        logs.create_log_group(logGroupName="/mine")
        logs.create_log_group(logGroupName="/gone")
        logs.create_log_stream(**place)
        logs.create_log_stream(logGroupName="/mine", logStreamName="empty")
        logs.create_log_stream(logGroupName="/gone", logStreamName="stream")
        logs.put_log_events(**place, logEvents=[{"timestamp": 1735689600000, "message": "client's"}])
        logs.delete_log_group(logGroupName="/gone")
    with open_endpoint(tmp_path) as endpoint:
        # Before any client asked for logs, and after.
        endpoint.moto.write_logs("us-east-1", "/mine", "stream", [(1735689600001, "a job's")])
        logs = endpoint.client("logs")
        assert [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]] == ["/mine"]
        endpoint.moto.write_logs("us-east-1", "/mine", "stream", [(1735689600002, "another's")])
        events = logs.get_log_events(**place, startFromHead=True)["events"]
        assert [event["message"] for event in events] == ["client's", "a job's", "another's"]
        streams = logs.describe_log_streams(logGroupName="/mine")["logStreams"]
        assert sorted(stream["logStreamName"] for stream in streams) == ["empty", "stream"]
    with open_endpoint(tmp_path) as endpoint:
        assert len(endpoint.client("logs").get_log_events(**place)["events"]) == 3


def test_a_state_that_is_no_database_is_refused_in_words(tmp_path: Path) -> None:
    from airflow_sm_pipelines.exceptions import LocalEndpointError

    (tmp_path / "endpoint.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(LocalEndpointError, match="cannot be read"), open_endpoint(tmp_path):
        pass
    # The refusal left nothing behind that is in the way.
    (tmp_path / "endpoint.sqlite3").unlink()
    with open_endpoint(tmp_path) as endpoint:
        assert endpoint.client("s3").list_buckets()["Buckets"] == []
