"""Turns what a build made into what leaves this machine: names by content, then the uploads that are not there yet.

Each placeholder becomes a digest of what was uploaded under it; where nothing was, of the pipeline, the step and the
member that it stands in. An upload that the SDK gave a fixed key gets its content's digest into the key.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import importlib
import json
import os
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .archives import rewrite_archive
from .build_errors import BuildError
from .definition_texts import Place, iter_steps, iter_texts, map_texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from .held_uploads import HeldUpload, HeldUploads
    from .project import Project
    from .stamps import Stamp, Stamps
    from .step_payloads import LocalSecret, StepPayloads

_SIGNING_KEY = "REMOTE_FUNCTION_SECRET_KEY"
_PAYLOAD, _METADATA = "/payload.pkl", "/metadata.json"
_DIGEST_IN_KEY = re.compile(r"(?:^|[/_.-])[0-9a-f]{20,64}(?:[/_.-]|$)")
_LARGEST_SEARCHED = 64 << 20
_LARGEST_TEXT = 4 << 20
_THREADS = 8


_MAKES_BUCKETS = "SM_PIPELINES_MAKE_BUCKETS"
"""Set where buckets of uploads that are not there are to be made: in a rehearsal (`local_endpoint`)."""


@dataclass
class _Object:
    """An upload, its bytes in steady form, and the stamps in them."""

    upload: HeldUpload
    body: bytes
    digest: str
    stamps: list[Stamp]
    bare: bytes | None
    is_there: bool = False
    key: str = ""
    etag: str = ""
    is_named_by_content: bool = False


@dataclass
class Finished:
    """What a finished build is known by outside.

    :param uploads: ``uri``, ``etag`` and ``size`` in bytes of every object the definition relies on.
    :param sent: the URIs of those that were not there before.
    :param asked: the questions to AWS whose answers the result depends on.
    """

    name: str
    definition_text: str
    uploads: list[dict[str, Any]]
    sent: list[str]
    asked: list[dict[str, Any]] = field(default_factory=list)


class Finishing:
    """The end of one build.

    :param is_users: says whether bytes are those of one of the user's files.
    :param call: asks AWS past everything that answers in the build: client, operation and arguments.
    """

    def __init__(
        self,
        *,
        stamps: Stamps,
        held: HeldUploads,
        payloads: StepPayloads,
        secret: LocalSecret,
        project: Project,
        is_users: Callable[[bytes], bool],
        call: Callable[[Any, str, dict[str, Any]], Any],
    ) -> None:
        self._stamps = stamps
        self._held = held
        self._payloads = payloads
        self._secret = secret
        self._project = project
        self._is_users = is_users
        self._call = call
        self._keys: dict[Stamp, str] = {}

    def finish(self, name: str, definition_text: str, pipeline: Any) -> Finished:
        """Name everything by its content and upload what is missing."""
        definition = self._without_local_places(json.loads(definition_text))
        self._pipeline = self._stamps.neutral(name)
        self._places = self._find_places(definition)
        keys = (_environment(step).get(_SIGNING_KEY) for step in iter_steps(definition))
        self._hmac_keys = sorted({key for key in keys if isinstance(key, str)})
        self._objects = [self._prepare(upload) for upload in self._held]
        self._by_stamp: dict[Stamp, list[_Object]] = defaultdict(list)
        for made in self._objects:
            for stamp in dict.fromkeys(self._stamps.find(made.upload.key)):
                self._by_stamp[stamp].append(made)
        self._values: dict[Stamp, bytes] = {}
        asked = self._keep_deployed_keys(name, definition, pipeline)
        definition = map_texts(definition, self._write)
        for made in self._objects:
            made.key = self._write(made.upload.key)
            made.is_named_by_content = bool(self._stamps.find(made.upload.key)) or bool(
                _DIGEST_IN_KEY.search(made.upload.key)
            )
        definition = self._name_fixed_keys(definition)
        for made in self._objects:
            self._write_body(made)
        for made in self._objects:
            self._sign_again(made)
        uploads, sent = self._upload()
        return Finished(self._write(name), json.dumps(definition), uploads, sent, asked)

    def written(self, text: str) -> str:
        """Give a text of the finished build with values in place of placeholders."""
        return self._write(text)

    def _without_local_places(self, definition: Any) -> Any:
        def clean(text: str, place: Place) -> str:
            if place.member == "Description":  # of a function step, which is described by its function's file
                return self._project.name_of(text)
            is_hyperparameter = "HyperParameters." in place.path  # of repacking, which is told where its code was
            return self._project.without_places(text) if is_hyperparameter else text

        return map_texts(definition, clean, with_place=True)

    def _find_places(self, definition: Any) -> dict[Stamp, list[Place]]:
        places: dict[Stamp, list[Place]] = defaultdict(list)
        for text, place in iter_texts(definition):
            for stamp in self._stamps.find(text):
                places[stamp].append(place)
        return places

    # --- what was uploaded

    def _prepare(self, upload: HeldUpload) -> _Object:
        body = upload.body
        bare = self._payloads.bare(body)
        if bare is not None or not upload.is_made_here or len(body) > _LARGEST_SEARCHED:
            found = self._stamps.find(body.decode("latin-1")) if bare is not None else []
            return _Object(upload, body, hashlib.sha256(bare or body).hexdigest(), found, bare)
        stamps: list[Stamp] = []

        def clean(content: bytes) -> bytes:
            cleaned = self._clean(content)
            if len(cleaned) <= _LARGEST_TEXT:
                stamps.extend(self._stamps.find(cleaned.decode("latin-1")))
            return cleaned

        body, digest = self._rewritten(body, clean)
        return _Object(upload, body, digest, list(dict.fromkeys(stamps)), None)

    @staticmethod
    def _rewritten(body: bytes, change: Callable[[bytes], bytes]) -> tuple[bytes, str]:
        archive = rewrite_archive(body, change)
        if archive is not None:
            return archive
        changed = change(body)
        return changed, hashlib.sha256(changed).hexdigest()

    def _clean(self, content: bytes) -> bytes:
        """Take this machine's folders out of a text that the build made; the user's own files stay as they are."""
        if len(content) > _LARGEST_TEXT:
            return content
        try:
            cleaned = self._project.without_places(content.decode()).encode()
        except UnicodeDecodeError:
            return content
        return content if cleaned != content and self._is_users(content) else cleaned

    def _digest(self, made: _Object, open_stamps: tuple[Stamp, ...]) -> str:
        """Give the digest of an object in which every stamp has its value; those being found out now are neutral."""
        if not made.stamps:
            return made.digest

        def write(content: bytes) -> bytes:
            text = content.decode("latin-1")
            return self._stamps.replace(text, lambda stamp: self._value(stamp, open_stamps)).encode("latin-1")

        if made.bare is not None:
            return hashlib.sha256(write(made.bare)).hexdigest()
        return self._rewritten(made.body, write)[1]

    def _write_body(self, made: _Object) -> None:
        if made.stamps:

            def write(content: bytes) -> bytes:
                return self._write(content.decode("latin-1")).encode("latin-1")

            made.body = write(made.body) if made.bare is not None else self._rewritten(made.body, write)[0]

    def _sign_again(self, made: _Object) -> None:
        """Bring a payload's metadata up to date where values have replaced stamps in the payload or in its key."""
        payload = self._find_payload(made)
        key = None if payload is None else self._find_hmac_key(made, payload)
        if payload is None or not (payload.stamps or key):
            return
        metadata = json.loads(made.body)
        metadata["sha256_hash"] = _hash_payload(payload.body, None if key is None else self._write(key))
        if metadata.get("asymmetric_signature"):
            ec: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ec")
            hashes: Any = importlib.import_module("cryptography.hazmat.primitives.hashes")
            signature = self._signing_key.sign(payload.body, ec.ECDSA(hashes.SHA256()))
            metadata["asymmetric_signature"] = base64.b64encode(signature).decode()
        made.body = json.dumps(metadata).encode()

    # --- what a stamp becomes

    def _write(self, text: str, place: Place | None = None) -> str:
        return self._stamps.replace(text, self._value)

    def _value(self, stamp: Stamp, open_stamps: tuple[Stamp, ...] = ()) -> bytes:
        if stamp in self._values:
            return self._values[stamp]
        if stamp in open_stamps:
            return bytes(32)
        value = self._find_value(stamp, (*open_stamps, stamp))
        if not open_stamps:  # found in a circle, it may differ
            self._values[stamp] = value
        return value

    def _find_value(self, stamp: Stamp, open_stamps: tuple[Stamp, ...]) -> bytes:
        places = self._places.get(stamp, [])
        if stamp.is_secret:
            return self._secret.derive(f"{self._pipeline}/{self._place_of(stamp)}")
        names_step = any(place.is_step_name for place in places)
        if names_step or not self._by_stamp[stamp]:
            return _hash("place", self._pipeline, self._place_of(stamp))
        parts = []
        for made in self._by_stamp[stamp]:
            if self._find_payload(made) is not None:
                continue  # it follows from the payload, and a signature is another one each time
            key = self._stamps.neutral(made.upload.key)
            parts.append(f"{made.upload.bucket}/{key}\0{self._digest(made, open_stamps)}")
        names = sorted({f"{place.step}/{place.member}" for place in places if place.member.endswith("Name")})
        steps = [self._stamps.neutral(name) for name in names]
        return _hash("content", *sorted(parts), *steps, self._keys.get(stamp, self._own_key(stamp)))

    def _place_of(self, stamp: Stamp) -> str:
        """Give where a stamp stands, told apart from the others that stand in the like place."""

        def written(places: list[Place]) -> str:
            first = next((place for place in places if place.is_step_name), places[0])
            return self._stamps.neutral(f"{first.step}/{first.path}")

        if places := self._places.get(stamp):
            place = written(places)
            alike = [other for other, its in self._places.items() if its and written(its) == place]
            return f"{place}/{alike.index(stamp)}"
        return f"/{stamp.number}"

    def _find_payload(self, made: _Object) -> _Object | None:
        """Give the payload that an object is the metadata of; None for an object that is no metadata."""
        if not made.upload.key.endswith(_METADATA):
            return None
        wanted = made.upload.key.removesuffix(_METADATA) + _PAYLOAD
        return next(
            (one for one in self._objects if one.upload.key == wanted and one.upload.bucket == made.upload.bucket), None
        )

    # --- keys that sign

    def _own_key(self, stamp: Stamp) -> str:
        """Give the key that the definition has for what this build has signed under a stamp, if it has.

        It is a public key; of an SDK before 2.256 it is the key of an HMAC.
        """
        for made in self._by_stamp[stamp]:
            payload = self._find_payload(made)
            if payload is None:
                continue
            if b"asymmetric_signature" in made.body:
                return self._public_key
            if key := self._find_hmac_key(made, payload):
                return self._write(key)
        return ""

    def _find_hmac_key(self, metadata: _Object, payload: _Object) -> str | None:
        """Give the key, still a placeholder, with which the SDK has hashed a payload; None for a hash without one."""
        told = json.loads(metadata.upload.body).get("sha256_hash")
        return next((key for key in self._hmac_keys if _hash_payload(payload.upload.body, key) == told), None)

    @functools.cached_property
    def _signing_key(self) -> Any:
        return self._secret.signing_key(self._pipeline)

    @functools.cached_property
    def _public_key(self) -> str:
        serialization: Any = importlib.import_module("cryptography.hazmat.primitives.serialization")
        encoded: bytes = self._signing_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return encoded.decode()

    def _keep_deployed_keys(self, name: str, definition: Any, pipeline: Any) -> list[dict[str, Any]]:
        """Keep key and payload of each function that is deployed unchanged: who signed it has another key."""
        signed = {
            stamp: step
            for step in iter_steps(definition)
            if _SIGNING_KEY in _environment(step)
            for stamp in dict.fromkeys(self._stamps.find(json.dumps(step)))
            if self._own_key(stamp)
        }
        if not signed:
            return []
        from .questions import ask

        client = pipeline.sagemaker_session.sagemaker_client
        question = {
            "service": "sagemaker",
            "operation": "DescribePipeline",
            "arguments": {"PipelineName": self._write(name)},
            "region": client.meta.region_name,
            "part": "signing_keys",
        }
        keys, question["digest"] = ask(question, functools.partial(self._call, client))
        for stamp, step in signed.items():
            self._keep_deployed_key(stamp, step, keys or {})
        return [question]

    def _keep_deployed_key(self, stamp: Stamp, step: dict[str, Any], deployed: dict[str, Any]) -> None:
        name = self._write(step["Name"])
        found = deployed.get(name)
        if found is None or found["key"] == self._own_key(stamp):
            return
        self._keys[stamp] = found["key"]
        value = self._find_value(stamp, (stamp,))
        directory = self._directory(step)
        objects = self._by_stamp[stamp]
        if directory is not None and self._stamps.replace(directory, lambda _: value) == found["directory"]:
            self._values[stamp] = value
            if all(self._head(one, self._write(one.upload.key)) is not None for one in objects):
                _environment(step)[_SIGNING_KEY] = found["key"]
                return
            del self._values[stamp]
        del self._keys[stamp]

    @staticmethod
    def _directory(step: dict[str, Any]) -> str | None:
        from .questions import function_directory

        return function_directory(step)

    # --- keys of S3

    def _name_fixed_keys(self, definition: Any) -> Any:
        """Put the content's digest into the key of each object that the SDK would overwrite in place."""
        read = {
            text.strip('"')
            for text, place in iter_texts(definition)
            if text.strip('"').startswith("s3://") and not place.is_output
        }
        groups: dict[str, list[_Object]] = defaultdict(list)
        for made in self._objects:
            if made.is_named_by_content or made.upload.is_key_chosen:
                continue
            uri = f"s3://{made.upload.bucket}/{made.key}"
            above = [one for one in read if uri == one or uri.startswith(f"{one.rstrip('/')}/")]
            if above:
                groups[max(above, key=len)].append(made)
        renamed = {}
        for address, objects in groups.items():
            digest = _hash(*sorted(f"{made.key}\0{self._digest(made, ())}" for made in objects)).hex()[:20]
            renamed[address] = _with_digest(
                address, digest, is_file=f"s3://{objects[0].upload.bucket}/{objects[0].key}" == address
            )
            for made in objects:
                uri = f"s3://{made.upload.bucket}/{made.key}"
                new = renamed[address].rstrip("/") + uri[len(address.rstrip("/")) :]
                made.key = new.removeprefix(f"s3://{made.upload.bucket}/")
                made.is_named_by_content = True

        def rename(text: str, place: Place) -> str:
            bare = text.strip('"')
            return text.replace(bare, renamed[bare]) if bare in renamed and not place.is_output else text

        return map_texts(definition, rename, with_place=True) if renamed else definition

    def _upload(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Send what is not there; objects of one payload are sent together, since one signs the other."""
        wanted = {(made.upload.bucket, made.key): made for made in sorted(self._objects, key=lambda m: m.upload.order)}
        objects = list(wanted.values())
        if not objects:
            return [], []
        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(lambda made: self._head(made, made.key), objects))
            for made, answer in zip(objects, found):  # noqa: B905 - as long as each other
                made.is_there = answer is not None and self._is_same(made, answer)
                made.etag = str(answer["ETag"]) if answer is not None else ""
            missing = [made for made in objects if not made.is_there or not self._is_pair_there(made, wanted)]
            list(pool.map(self._put, missing))
        uploads = [
            {"uri": f"s3://{made.upload.bucket}/{made.key}", "etag": made.etag, "size": len(made.body)}
            for made in objects
        ]
        return uploads, [f"s3://{made.upload.bucket}/{made.key}" for made in missing]

    def _head(self, made: _Object, key: str) -> dict[str, Any] | None:
        exceptions: Any = importlib.import_module("botocore.exceptions")
        try:
            answer: dict[str, Any] = self._call(
                made.upload.client, "HeadObject", {"Bucket": made.upload.bucket, "Key": key}
            )
        except exceptions.ClientError:
            return None
        return answer

    def _is_same(self, made: _Object, answer: dict[str, Any]) -> bool:
        is_signature = self._find_payload(made) is not None
        if made.is_named_by_content and (made.bare is not None or is_signature):
            return True  # the deployed payload of the same function, perhaps from other lines
        etag = str(answer["ETag"]).strip('"')
        is_digest = re.fullmatch(r"[0-9a-f]{32}", etag) and answer.get("ServerSideEncryption") in (None, "AES256")
        if is_digest:
            return etag == hashlib.md5(made.body, usedforsecurity=False).hexdigest()
        return made.is_named_by_content and answer.get("ContentLength") == len(made.body)

    @staticmethod
    def _is_pair_there(made: _Object, wanted: dict[tuple[str, str], _Object]) -> bool:
        for one, other in ((_PAYLOAD, _METADATA), (_METADATA, _PAYLOAD)):
            if made.key.endswith(one):
                pair = wanted.get((made.upload.bucket, made.key.removesuffix(one) + other))
                return pair is None or pair.is_there
        return True

    def _put(self, made: _Object) -> None:
        arguments = {**made.upload.arguments, "Bucket": made.upload.bucket, "Key": made.key, "Body": made.body}
        exceptions: Any = importlib.import_module("botocore.exceptions")
        try:
            try:
                # botocore puts a stream in the body's place, which is at its end afterwards.
                answer = self._call(made.upload.client, "PutObject", dict(arguments))
            except exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchBucket" or not os.environ.get(_MAKES_BUCKETS):
                    raise
                self._make_bucket(made)
                answer = self._call(made.upload.client, "PutObject", arguments)
        except exceptions.ClientError as error:
            uri = f"s3://{made.upload.bucket}/{made.key}"
            raise BuildError("script_error", f"What the pipeline uses cannot be uploaded to {uri}. {error}") from error
        made.etag = str(answer["ETag"])

    def _make_bucket(self, made: _Object) -> None:
        region = made.upload.client.meta.region_name
        located = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self._call(made.upload.client, "CreateBucket", {"Bucket": made.upload.bucket, **located})


def _hash_payload(body: bytes, key: str | None) -> str:
    """Hash a payload as the SDK does: before 2.256 with a key."""
    return hashlib.sha256(body).hexdigest() if key is None else hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def _environment(step: dict[str, Any]) -> dict[str, Any]:
    environment = step.get("Arguments", {}).get("Environment") if isinstance(step.get("Arguments"), dict) else None
    return environment if isinstance(environment, dict) else {}


def _with_digest(address: str, digest: str, *, is_file: bool) -> str:
    if not is_file:
        return f"{address.rstrip('/')}/{digest}{'/' if address.endswith('/') else ''}"
    folder, _, name = address.rpartition("/")
    return f"{folder}/{digest}/{name}"


def _hash(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
