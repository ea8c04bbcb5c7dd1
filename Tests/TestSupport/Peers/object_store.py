"""moto's S3 with strict credentials, and faults in front of it.

Arguments: a certificate chain and a key for TLS, or none for plain http. Prints `listening PORT ACCESS SECRET`. Lines on standard input set faults: `NAME COUNT`, the next COUNT requests that it
is about; each is answered by a line `set`. `requests` prints how many came, by method and kind.
"""
import datetime, json, os, socket, ssl, sys, threading, time, warnings

os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "4"
os.environ.pop("http_proxy", None)
import boto3
warnings.simplefilter("ignore")
from botocore.config import Config
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server, WSGIRequestHandler

faults, lock, seen = {}, threading.Lock(), {}
shift = datetime.timedelta(hours=1)


def take(name):
    with lock:
        if faults.get(name, 0) <= 0:
            return False
        faults[name] -= 1
        return True


def kind(environ):
    query = environ.get("QUERY_STRING", "")
    method = environ["REQUEST_METHOD"]
    if method == "PUT" and "partNumber=" in query:
        return "part"
    if method == "PUT":
        return "put"
    if method == "POST" and "uploads" in query:
        return "create"
    if method == "POST" and "uploadId=" in query:
        return "complete"
    if method == "GET" and environ.get("HTTP_RANGE"):
        return "range"
    return method.lower()


def error(start, status, code, headers=()):
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>a fault</Message></Error>".encode()
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body))), *headers])
    return [body]


def hang_up(environ):
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("a fault")


def late():
    now = datetime.datetime.now(datetime.timezone.utc) + shift
    return now.strftime("%a, %d %b %Y %H:%M:%S GMT")


class Faulty:
    def __init__(self, inner):
        self.inner = inner

    def __call__(self, environ, start):
        what = kind(environ)
        with lock:
            seen[what] = seen.get(what, 0) + 1
        if what == "part" and take("slow-down"):
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            return error(start, "503 Slow Down", "SlowDown", [("Retry-After", "0")])
        if what == "part" and take("reset-part"):
            environ["wsgi.input"].read(100_000)
            hang_up(environ)
        if what == "complete" and take("error-in-success"):
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            return error(start, "200 OK", "InternalError")
        if what == "complete" and take("false-success"):
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            body = b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"
            start("200 OK", [("Content-Length", str(len(body)))])
            return [body]
        if faults.get("skew"):
            sent = datetime.datetime.strptime(environ.get("HTTP_X_AMZ_DATE", ""), "%Y%m%dT%H%M%SZ")
            now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + shift
            if abs((now - sent).total_seconds()) > 900:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                return error(start, "403 Forbidden", "RequestTimeTooSkewed")
        if what == "create" and take("expired-token"):
            return error(start, "400 Bad Request", "ExpiredToken")
        if what == "range" and take("reset-range"):
            hang_up(environ)
        return self.answer(what, environ, start)

    def answer(self, what, environ, start):
        answer = {}

        def keep(status, headers, exc_info=None):
            answer.update(status=status, headers=list(headers))

        body = b"".join(self.inner(environ, keep))
        if (what == "complete" and take("lost-complete")) or (what == "put" and take("lost-put")):
            hang_up(environ)
        headers = answer["headers"]
        if what == "part" and take("wrong-etag"):
            headers = [h for h in headers if h[0].lower() != "etag"] + [("ETag", '"00000000000000000000000000000000"')]
        if what == "part" and take("wrong-checksum"):
            headers = [h for h in headers if "checksum" not in h[0].lower()] + [("x-amz-checksum-crc32c", "AAAAAA==")]
        if what == "range" and take("cut-range"):
            body = body[: len(body) // 2]
            headers = [h for h in headers if h[0].lower() != "content-length"] + [("Content-Length", str(len(body)))]
        if what == "range" and take("drip"):
            start(answer["status"], headers)
            return drip(body)
        start(answer["status"], headers)
        return [body]


def drip(body):
    step = max(1, len(body) // 20)
    for place in range(0, len(body), step):
        time.sleep(0.02)
        yield body[place : place + step]


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *arguments):
        pass

    def date_time_string(self, timestamp=None):
        return late() if faults.get("skew") else super().date_time_string(timestamp)


context = None
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
server = make_server(
    "127.0.0.1", 0, Faulty(DomainDispatcherApplication(create_backend_app)), threaded=True, request_handler=Quiet,
    ssl_context=context,
)
threading.Thread(target=server.serve_forever, daemon=True).start()
common = dict(
    endpoint_url=f"http{'s' if context else ''}://127.0.0.1:{server.port}", verify=False, region_name="us-east-1", aws_access_key_id="setup",
    aws_secret_access_key="setup", config=Config(proxies={}, s3={"addressing_style": "path"}),
)
iam = boto3.client("iam", **common)
iam.create_user(UserName="agent")
policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="agent", PolicyName="all", PolicyDocument=json.dumps(policy))
key = iam.create_access_key(UserName="agent")["AccessKey"]
boto3.client("s3", **common).create_bucket(Bucket="backups")
# Whoever has no right signature is refused from here on.
print("listening", server.port, key["AccessKeyId"], key["SecretAccessKey"], flush=True)
for line in sys.stdin:
    words = line.split()
    if words == ["requests"]:
        print("requests", json.dumps(seen, sort_keys=True), flush=True)
    elif len(words) == 2:
        with lock:
            faults[words[0]] = int(words[1])
        print("set", words[0], words[1], flush=True)
