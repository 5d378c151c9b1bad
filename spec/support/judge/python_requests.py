"""Makes requests in the form in which the official Python SDK makes them; see
spec/cce/sdk_spec.lua. The form: all headers are signed, Host, Content-Type (of a GET, too),
User-Agent and X-Project-Id among them, and JSON has a blank behind each colon. Needs nothing
but Python. Settings come from the environment, a line of JSON a call goes to standard output.
"""
import hashlib
import hmac
import json
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request

ENV = os.environ
URL = urllib.parse.urlsplit(ENV["CCE_ENDPOINT"])
TRUST = ssl.create_default_context(cafile=ENV["CCE_CA_FILE"])
BASE = "/autopilot/v3/projects/" + ENV["HUAWEICLOUD_SDK_PROJECT_ID"]


def sign(method, path, query, headers, body):
    names = sorted(headers, key=str.lower)
    signed = ";".join(name.lower() for name in names)
    lines = "".join(f"{name.lower()}:{headers[name].strip()}\n" for name in names)
    canonical = "\n".join(
        [method, path + "/", query, lines, signed, hashlib.sha256(body).hexdigest()])
    text = "\n".join(["SDK-HMAC-SHA256", headers["X-Sdk-Date"],
                      hashlib.sha256(canonical.encode()).hexdigest()])
    signature = hmac.new(ENV["HUAWEICLOUD_SDK_SK"].encode(), text.encode(), hashlib.sha256)
    return (f"SDK-HMAC-SHA256 Access={ENV['HUAWEICLOUD_SDK_AK']}, SignedHeaders={signed}, "
            f"Signature={signature.hexdigest()}")


def call(name, method, path, query=None, body=None):
    query = urllib.parse.urlencode(sorted((query or {}).items()))
    body = json.dumps(body).encode() if body else b""
    headers = {
        "Host": URL.netloc, "Content-Type": "application/json",
        "User-Agent": "huaweicloud-usdk-python/3.0",
        "X-Project-Id": ENV["HUAWEICLOUD_SDK_PROJECT_ID"],
        "X-Sdk-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
    }
    headers["Authorization"] = sign(method, BASE + path, query, headers, body)
    request = urllib.request.Request(
        ENV["CCE_ENDPOINT"] + BASE + path + ("?" + query if query else ""),
        data=body or None, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, context=TRUST, timeout=20) as answer:
            line = {"call": name, "status": answer.status, "data": json.load(answer),
                    "port_id": answer.headers["Port-ID"]}
    except urllib.error.HTTPError as error:
        line = {"call": name, "status": error.code, "error": error.read().decode()}
    print(json.dumps(line, separators=(",", ":")), flush=True)
    return line


CLUSTER = "/clusters/" + ENV["AUTOPILOT_ID"]
call("list_autopilot_clusters", "GET", "/clusters", {"status": "Available", "detail": "true"})
SHOWN = call("show_autopilot_cluster", "GET", CLUSTER)
call("obtain_autopilot_cert", "POST", CLUSTER + "/clustercert", body={"duration": 7})
call("show_autopilot_job", "GET", "/jobs/" + SHOWN["data"]["status"]["jobID"])
