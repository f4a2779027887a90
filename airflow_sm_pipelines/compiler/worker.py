"""Builds one pipeline in the interpreter that has the SageMaker SDK; run by path, never imported.

It imports nothing of this package: the interpreter it runs in has the user's requirements and no others. That is why
it is one file. It reads one JSON document, writes one JSON document, and leaves stdout and stderr to the SDK and the
script. Usage: ``worker.py REQUEST ANSWER``.

Belongs here: what must happen beside the SDK (calling the script, keeping its AWS calls at the given endpoint, steady
names). Does not belong here: environments, caching, reading the script's metadata.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import json
import os
import sys
import sysconfig
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

PROTOCOL = 1

_SESSION_NAMES = ("sagemaker_session", "pipeline_session", "session")
_ROLE_NAMES = ("role", "role_arn", "execution_role")
_REGION_NAMES = ("region", "region_name", "aws_region")
# An SDK generation is told by the module that holds its Pipeline class; the other names hang on it.
_SDKS = (
    ("sagemaker.mlops.workflow.pipeline", "sagemaker.core.workflow.pipeline_context", "sagemaker-mlops"),
    ("sagemaker.workflow.pipeline", "sagemaker.workflow.pipeline_context", "sagemaker"),
)
_UPLOADS = ("PutObject", "CompleteMultipartUpload", "CopyObject")
_JOB_STARTS = (
    "CreateProcessingJob",
    "CreateTrainingJob",
    "CreateTransformJob",
    "CreateHyperParameterTuningJob",
    "CreateAutoMLJob",
    "CreateAutoMLJobV2",
    "CreateCompilationJob",
    "CreateEndpoint",
    "CreateInferenceRecommendationsJob",
    "CreateOptimizationJob",
    "StartPipelineExecution",
)
_METADATA_HOSTS = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254")
_TELEMETRY_HOSTS = ("sm-pysdk-t-", "dev-exp-t-")
_PACKAGES = frozenset({"site-packages", "dist-packages"})
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


class BuildError(Exception):
    """A fault with a name that the caller knows: ``kind`` goes into the answer."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class StartedJobError(BuildError):
    """The script asked for a job while the pipeline was being built."""


def main() -> int:
    """Read the request, build, write the answer."""
    request_path, answer_path = Path(sys.argv[1]), Path(sys.argv[2])
    request = json.loads(request_path.read_text(encoding="utf-8"))
    answer = _answer(request)
    answer["protocol"] = PROTOCOL
    scratch = answer_path.with_suffix(".partial")
    scratch.write_text(json.dumps(answer), encoding="utf-8")
    scratch.replace(answer_path)
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        # The script left threads that the interpreter would wait for; its pipeline is made.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    script = Path(request["script"])
    try:
        if request.get("protocol") != PROTOCOL:
            raise BuildError("protocol", f"The worker speaks protocol {PROTOCOL}, not {request.get('protocol')}.")
        sys.argv = [str(script)]
        sys.path.insert(0, str(script.parent))
        _keep_folder_clean(script.parent)
        files = _FileRecorder(script.parent)
        variables = _record_variables(script.parent)
        _guard_network()
        sdk = _load_sdk()
        aws = _AwsCalls()
        built = _build(request, sdk, aws)
        return {"ok": True, **built, "files_read": files.digests(), "variables_read": variables}
    except StartedJobError as error:
        return _failure(error.kind, str(error), error, script)
    except BuildError as error:
        return _failure(error.kind, str(error))
    except SystemExit as error:
        return _failure("script_error", f"The script ended the process (sys.exit({error.code!r})).", error, script)
    except BaseException as error:  # the script is anybody's code, and every end of it is an answer
        return _refusal(error, script)


def _refusal(error: BaseException, script: Path) -> dict[str, Any]:
    """Name the cause of an exception that came out of the script or the SDK."""
    for cause in _causes(error):
        if isinstance(cause, StartedJobError):
            return _failure(cause.kind, str(cause), error, script)
        # By name: botocore may be absent, and its classes differ between versions.
        details: dict[str, Any] = getattr(cause, "kwargs", {})
        if type(cause).__module__ == "botocore.exceptions" and "endpoint_url" in details:
            return _failure("endpoint", str(cause), error, script) | {"endpoint": details["endpoint_url"]}
    if type(error).__name__ == "NoRegionError":
        hint = "The SDK needs an AWS region: give the connection one, or the call (region_name)."
        return _failure("script_error", hint, error, script)
    if isinstance(error, ModuleNotFoundError):
        hint = f"No module named {error.name!r}. If it is a package, name it in the script's `dependencies`."
        return _failure("script_error", hint, error, script)
    if isinstance(error, SyntaxError):
        return _failure("script_error", "".join(traceback.format_exception_only(type(error), error)).strip())
    return _failure("script_error", f"{type(error).__name__}: {error}", error, script)


def _failure(kind: str, message: str, error: BaseException | None = None, script: Path | None = None) -> dict[str, Any]:
    trace = _user_traceback(error, script) if error is not None and script is not None else ""
    return {"ok": False, "error": {"kind": kind, "message": message, "traceback": trace}}


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found


def _user_traceback(error: BaseException, script: Path) -> str:
    """Format the frames of the user's folder, and the one line where the fault was raised if that is elsewhere."""
    frames = traceback.extract_tb(error.__traceback__)
    folder = str(script.parent) + os.sep
    kept = [frame for frame in frames if frame.filename.startswith(folder)]
    lines = traceback.format_list(kept)
    if kept and frames[-1] is not kept[-1]:
        last = frames[-1]
        lines.append(f"  raised in {last.filename}:{last.lineno}, in {last.name}\n")
    return "".join(lines).rstrip()


# --- the script -------------------------------------------------------------------------------------------------------


def _build(request: dict[str, Any], sdk: _Sdk, aws: _AwsCalls) -> dict[str, Any]:
    patches = _SdkPatches(request["name_seed"])
    patches.install()
    module = _load_script(Path(request["script"]))
    patches.install()  # once more, for what the script imported
    function = _find_function(module, request["function"], request["script"])
    arguments = _Arguments(request, sdk)
    positional, keywords = arguments.bind(function)
    result = function(*positional, **keywords)
    if not isinstance(result, sdk.pipeline_class):
        raise BuildError(
            "no_pipeline",
            f"{request['function']}() returned {_describe(result)}, not a SageMaker SDK Pipeline "
            f"({sdk.pipeline_class.__module__}.{sdk.pipeline_class.__name__}).",
        )
    definition = result.definition()
    return {
        "name": result.name,
        "definition_text": definition,
        **_extras(result),
        "sdk_version": sdk.version,
        "uploads": aws.uploads,
    }


def _extras(pipeline: Any) -> dict[str, Any]:
    """Give what a deployment takes beside the definition, where the script has set it on the pipeline."""
    parallelism = getattr(pipeline, "parallelism_config", None)
    if parallelism is not None and not isinstance(parallelism, dict):  # the SDK's ParallelismConfiguration
        parallelism = {"MaxParallelExecutionSteps": parallelism.max_parallel_execution_steps}
    return {
        "description": getattr(pipeline, "description", None),
        "tags": list(getattr(pipeline, "tags", None) or ()),
        "parallelism": parallelism,
    }


def _describe(value: object) -> str:
    return "nothing (None): does it end with `return pipeline`?" if value is None else f"a {type(value).__name__}"


def _load_script(script: Path) -> Any:
    # Under its own name, as `import` would do it: dataclasses and pickle look a module up in sys.modules.
    spec = importlib.util.spec_from_file_location(script.stem, script)
    if spec is None or spec.loader is None:
        raise BuildError("script_error", f"{script} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    # @step sends functions as pickles: the remote side cannot import the script, so they travel by value.
    with contextlib.suppress(ImportError, AttributeError):
        importlib.import_module("cloudpickle").register_pickle_by_value(module)
    spec.loader.exec_module(module)
    return module


def _find_function(module: Any, name: str, script: str) -> Any:
    function = getattr(module, name, None)
    if callable(function):
        return function
    own = [
        key
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not key.startswith("_")
    ]
    close = difflib.get_close_matches(name, own, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else f" It has {', '.join(sorted(own)) or 'no function'}."
    what = "is not a function" if function is not None else "has no such function"
    raise BuildError("function_missing", f"{script} {what}: {name!r}.{hint}")


class _Arguments:
    """What the request offers, passed by the names the function asks for; the operator's config goes first."""

    def __init__(self, request: dict[str, Any], sdk: _Sdk) -> None:
        self._request = request
        self._sdk = sdk
        self._config: dict[str, Any] = dict(request["config"])

    @functools.cached_property
    def _session(self) -> Any:
        return self._sdk.make_session(self._request["region"], self._request["default_bucket"])

    def bind(self, function: Any) -> tuple[list[Any], dict[str, Any]]:
        """Give the arguments for the function, or say what is missing and what it does not know."""
        parameters = inspect.signature(function).parameters
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        missing: list[str] = []
        unused = dict(self._config)
        for name, parameter in parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                keywords.update(unused)
                unused = {}
                continue
            unused.pop(name, None)
            has_value, value = self._find(name, is_required=parameter.default is parameter.empty)
            if not has_value:
                if parameter.default is parameter.empty:
                    missing.append(name)
                    continue
                value = parameter.default
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(value)
            elif has_value:
                keywords[name] = value
        self._check(function, parameters, missing, unused)
        return positional, keywords

    def _find(self, name: str, *, is_required: bool) -> tuple[bool, Any]:
        if name in self._config:
            return True, self._config[name]
        if name in _SESSION_NAMES:
            return True, self._session
        offered: Any = None
        if name in _ROLE_NAMES:
            offered = self._request["role_arn"]
        elif name in _REGION_NAMES:
            offered = self._request["region"]
        elif name == "pipeline_name":
            offered = self._request["pipeline_name"]
        elif name == "default_bucket":
            offered = self._request["default_bucket"]
            if offered is None and is_required:
                offered = self._session.default_bucket()
        return offered is not None, offered

    @staticmethod
    def _check(function: Any, parameters: Any, missing: list[str], unused: dict[str, Any]) -> None:
        findings = []
        for name in unused:
            close = difflib.get_close_matches(name, list(parameters), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            findings.append(f"It takes no argument {name!r}, which stands in `config`.{hint}")
        for name in missing:
            where = "role_arn" if name in _ROLE_NAMES else name
            known = name in (*_ROLE_NAMES, *_REGION_NAMES, "pipeline_name")
            findings.append(f"It needs {name!r}: give {where if known else f'config={{{name!r}: ...}}'}.")
        if findings:
            call = f"{function.__name__}{inspect.signature(function)}"
            raise BuildError("arguments", f"{call} cannot be called. {' '.join(findings)}")


def _keep_folder_clean(folder: Path) -> None:
    """Write no bytecode into the user's folder: the SDK would pack it, and digest it, with the step code."""
    loader: Any = importlib.machinery.SourceFileLoader
    write, prefix = loader.set_data, str(folder) + os.sep

    @functools.wraps(write)
    def write_elsewhere(self: Any, path: str, data: bytes, **options: Any) -> None:
        if not path.startswith(prefix):
            write(self, path, data, **options)

    loader.set_data = write_elsewhere


# --- the SDK ----------------------------------------------------------------------------------------------------------


class _Sdk:
    """The SageMaker SDK of this interpreter, of either generation."""

    def __init__(self, pipeline_module: str, session_module: str, distribution: str) -> None:
        self.pipeline_class = importlib.import_module(pipeline_module).Pipeline
        self._session_class = importlib.import_module(session_module).PipelineSession
        self.version = f"{distribution} {importlib.metadata.version(distribution)}"

    def make_session(self, region: str | None, default_bucket: str | None) -> Any:
        boto3 = importlib.import_module("boto3")
        return self._session_class(
            boto_session=boto3.session.Session(region_name=region), default_bucket=default_bucket
        )


def _load_sdk() -> _Sdk:
    for pipeline_module, session_module, distribution in _SDKS:
        try:
            if importlib.util.find_spec(pipeline_module) is None:
                continue
        except ModuleNotFoundError:
            continue
        return _Sdk(pipeline_module, session_module, distribution)
    raise BuildError(
        "no_sdk",
        f"{sys.executable} has no SageMaker SDK with pipelines. Name one in the script's `dependencies`, "
        'such as "sagemaker>=2.257,<3" or "sagemaker-mlops>=1.27,<2".',
    )


class _SdkPatches:
    """What the SDK must do otherwise here: send no telemetry, and give unchanged code the same names each time.

    The SDK stamps S3 keys and job names with the time, so that each compile would be a change. Here the stamps come
    from the request's seed and count up: they stay apart within one build, and between builds of different content.

    Telemetry has a setting of its own, TelemetryOptOut in a defaults file. With any defaults file the SDK (2.257, 3.27)
    validates the whole of it for every value it looks up, which makes a build three times as long.
    """

    # Where the SDKs define these functions; loaded first, so that later imports of them get ours.
    _HOMES = (
        "sagemaker.utils",
        "sagemaker.telemetry.telemetry_logging",
        "sagemaker.core.common_utils",
        "sagemaker.core.modules.utils",
        "sagemaker.core.telemetry.telemetry_logging",
        "sagemaker.train.utils",
    )

    def __init__(self, seed: str) -> None:
        self._seed = seed
        start = int(hashlib.sha256(seed.encode()).hexdigest()[:12], 16)
        self._milliseconds = 946_684_800_000 + start % 600_000_000_000  # some time in 2000 to 2018
        self._lock = threading.Lock()
        self._replacements: dict[str, Any] = {
            "sagemaker_timestamp": self._timestamp,
            "sagemaker_short_timestamp": self._short_timestamp,
            "unique_name_from_base": self._unique_name,
            "unique_name_from_base_uuid4": self._unique_name,
            "_get_unique_name": self._unique_name,
            "_hash_dir": _hash_dir,
            "_send_telemetry": _send_nothing,
            "_send_telemetry_request": _send_nothing,
            "_emit_failure_telemetry": _send_nothing,
        }

    def install(self) -> None:
        """Replace the functions in every module of the SDK that is loaded."""
        tempfile.mkstemp = self._mkstemp  # type: ignore[assignment]
        for home in self._HOMES:
            with contextlib.suppress(ImportError):  # it is the other SDK generation's
                importlib.import_module(home)
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] == "sagemaker":
                for attribute, replacement in self._replacements.items():
                    if inspect.isfunction(vars(module).get(attribute)):
                        setattr(module, attribute, replacement)

    def _next(self) -> int:
        with self._lock:
            self._milliseconds += 1
            return self._milliseconds

    def _timestamp(self) -> str:
        milliseconds = self._next()
        moment = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(milliseconds // 1000))
        return f"{moment}-{milliseconds % 1000:03d}"

    def _short_timestamp(self) -> str:
        return time.strftime("%y%m%d-%H%M", time.gmtime(self._next() // 1000))

    @staticmethod
    def _mkstemp(
        suffix: str | None = None, prefix: str | None = None, dir: str | None = None, text: bool = False
    ) -> tuple[int, str]:
        """Make a temporary file; an @step's requirements, whose name v2 writes into the definition, under one name."""
        if prefix != "sagemaker_requirements_":
            made: tuple[int, str] = _mkstemp(suffix, prefix, dir, text)
            return made
        path = os.path.join(tempfile.mkdtemp(dir=dir), f"{prefix[:-1]}{suffix or ''}")  # noqa: PTH118 - str, as asked
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), path

    def _unique_name(self, base: str, max_length: int = 63) -> str:
        tail = hashlib.sha256(f"{self._seed}/{self._next()}".encode()).hexdigest()[:20]
        return f"{base[: max_length - len(tail) - 1]}-{tail}"


_mkstemp: Any = tempfile.mkstemp


def _send_nothing(*args: object, **kwargs: object) -> None:
    """Stand in for the SDK's telemetry."""


def _hash_dir(directory: Any, digest: Any) -> Any:
    """Digest a folder of step code as the SDK does, but for compiled Python, which comes and goes."""
    for path in sorted(Path(directory).iterdir()):
        if path.name != "__pycache__":
            digest.update(path.name.encode())
            if path.is_file():
                digest.update(path.read_bytes())
            elif path.is_dir():
                _hash_dir(path, digest)
    return digest


# --- AWS calls --------------------------------------------------------------------------------------------------------


class _AwsCalls:
    """Watches botocore in this process: keeps clients at the configured endpoint, records uploads, refuses jobs."""

    def __init__(self) -> None:
        self.uploads: list[dict[str, str]] = []
        session = importlib.import_module("botocore.session").Session
        client = importlib.import_module("botocore.client").BaseClient
        create_client, call = session.create_client, client._make_api_call

        @functools.wraps(create_client)
        def create_client_here(botocore_session: Any, service_name: str, *args: Any, **kwargs: Any) -> Any:
            if _configured_endpoint(service_name) and _is_aws_url(kwargs.get("endpoint_url")):
                # The SDKs name STS's public address, which would pass AWS_ENDPOINT_URL by.
                kwargs["endpoint_url"] = None
            return create_client(botocore_session, service_name, *args, **kwargs)

        @functools.wraps(call)
        def record(api_client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            service = api_client.meta.service_model.service_name
            if service == "sagemaker" and operation in _JOB_STARTS:
                raise StartedJobError(
                    "started_job",
                    f"The script called sagemaker:{operation} while the pipeline was being built. Jobs are started by "
                    "the pipeline's execution: build the steps with the PipelineSession that is passed as "
                    "`sagemaker_session`.",
                )
            result = call(api_client, operation, arguments)
            if service == "s3" and operation in _UPLOADS:
                uri = f"s3://{arguments['Bucket']}/{arguments['Key']}"
                self.uploads.append({"uri": uri, "etag": str(result.get("ETag", ""))})
            return result

        session.create_client = create_client_here
        client._make_api_call = record


def _configured_endpoint(service: str) -> str | None:
    specific = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}")
    return specific or os.environ.get("AWS_ENDPOINT_URL")


def _is_aws_url(url: str | None) -> bool:
    return url is not None and _is_aws_host(url.split("://")[-1].split("/")[0].split(":")[0])


def _is_aws_host(host: str) -> bool:
    return host in _METADATA_HOSTS or host.endswith(_aws_domains())


@functools.lru_cache(maxsize=1)
def _aws_domains() -> tuple[str, ...]:
    """Give the domains of every AWS partition, as botocore's endpoint data has them."""
    endpoints = importlib.import_module("botocore.session").get_session().get_data("endpoints")
    found = set()
    for partition in endpoints["partitions"]:
        variants = partition.get("defaults", {}).get("variants", ())
        found |= {place["dnsSuffix"] for place in (partition, *variants) if "dnsSuffix" in place}
    return tuple(f".{domain}" for domain in sorted(found))


def _guard_network() -> None:
    """Refuse every connection to the SDK's telemetry and, where AWS is a loopback endpoint, to the real AWS."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    is_local = endpoint.split("://")[-1].split("/")[0].rsplit(":", 1)[0].strip("[]") in _LOOPBACK_HOSTS
    with contextlib.suppress(ImportError):  # without botocore there is no SDK, which is said later
        _aws_domains()  # not from within the hook below
    if is_local:
        # Nothing on loopback comes back after a pause of seconds.
        os.environ.setdefault("AWS_MAX_ATTEMPTS", "2")

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.getaddrinfo":
            host = arguments[0]
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            host = arguments[1][0]
        else:
            return
        host = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        if host.startswith(_TELEMETRY_HOSTS):
            reason = "no telemetry is sent"
        elif is_local and _is_aws_host(host):
            reason = f"AWS is {endpoint} here"
        else:
            return
        print(f"Refused a connection to {host}: {reason}.", file=sys.stderr)
        raise ConnectionRefusedError(f"{host} is not called: {reason}.")

    sys.addaudithook(refuse)


# --- what else the build reads ----------------------------------------------------------------------------------------


class _FileRecorder:
    """Notes the files outside the script's folder that the build reads: a change of one makes a kept result stale."""

    def __init__(self, folder: Path) -> None:
        prefixes = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
        prefixes |= {"/proc", "/sys", "/dev", "/etc", "/usr", "/lib", str(folder), str(Path(__file__).parent)}
        self._ignored = tuple(os.path.realpath(prefix) + os.sep for prefix in prefixes)
        self._start = time.time()
        self._seen: set[str] = set()
        self._is_on = True
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not self._is_on or not isinstance(arguments[0], (str, os.PathLike)):
            return
        mode = arguments[1]
        if mode is None or (isinstance(mode, str) and mode.strip("bt") == "r"):
            self._seen.add(os.path.abspath(arguments[0]))  # noqa: PTH100 - cheap: this runs for every open()

    def digests(self) -> dict[str, str]:
        """Give the digest of each file that was read and lies where the user's files lie."""
        self._is_on = False
        # A module may have been read from bytecode, which does not change before the next import: its source counts.
        sources = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        found = {}
        for name in sorted(self._seen | {source for source in sources if isinstance(source, str)}):
            path = Path(os.path.realpath(name))
            is_users = not str(path).startswith(self._ignored) and not _PACKAGES.intersection(path.parts)
            # What changed since the start, the build itself wrote.
            if is_users and path.suffix != ".pyc" and path.is_file() and path.stat().st_ctime < self._start:
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found


def _record_variables(folder: Path) -> dict[str, str | None]:
    """Note the environment variables that the user's own code reads, with digests of their values, as it runs."""
    read: dict[str, str | None] = {}
    prefix = str(folder) + os.sep
    # Where os.getenv() and os.environ.get() are defined; "<frozen" from Python 3.11 on.
    lookup_files = (os.__file__, str(sys.modules["_collections_abc"].__file__), "<frozen")
    parent_class: Any = type(os.environ)

    class RecordingEnviron(parent_class):  # type: ignore[misc]
        def __getitem__(self, key: Any) -> Any:
            frame = sys._getframe(1)
            while frame.f_back is not None and frame.f_code.co_filename.startswith(lookup_files):
                frame = frame.f_back
            is_users = frame.f_code.co_filename.startswith(prefix)
            if is_users and isinstance(key, str):
                read.setdefault(key, None)
            value = super().__getitem__(key)
            if is_users and isinstance(key, str):
                read[key] = hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()
            return value

    os.environ.__class__ = RecordingEnviron
    return read


if __name__ == "__main__":
    sys.exit(main())
