"""Drives a cluster with OSCAR's official client; exits with 0 when it behaves as that client expects."""

import base64
import sys
import time

import requests
from oscar_python.client import Client

endpoint, user, password, fdl = sys.argv[1:]
client = Client({"cluster_id": "my-cluster", "endpoint": endpoint, "user": user, "password": password, "ssl": False})

assert client.health_check().status_code == 200
assert client.get_cluster_info().json()["version"]
assert client.create_service(fdl).status_code == 201
try:
    client.create_service(fdl)
    raise SystemExit("a second service of the same name was made")
except ValueError:
    pass
service = client.get_service("echo").json()
assert len(service["token"]) == 64 and service["cpu"] == "0.5", service
assert client.update_service("echo", fdl).status_code == 204

answer = client.run_service("echo", input="hello")
assert b'"text": "hello"' in base64.b64decode(answer.text), answer.text

asked = {"object_key": "in/x.txt", "operation": "upload", "expires_in": 60, "content_type": "text/plain"}
auth = (user, password)
presigned = requests.post(f"{endpoint}/system/buckets/echo/presign", json=asked, auth=auth, timeout=10).json()
assert requests.put(presigned["url"], data=b"by event", timeout=10).status_code == 200
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    jobs = client.list_jobs("echo").json()["jobs"]
    if jobs and all(job["status"] == "Succeeded" for job in jobs.values()):
        break
else:
    raise SystemExit(f"no job succeeded: {jobs}")
(name,) = jobs
assert "seen 8 bytes" in client.get_job_logs("echo", name).text

wrong = Client({"cluster_id": "c", "endpoint": endpoint, "user": user, "password": "no", "ssl": False})
try:
    wrong.list_services()
    raise SystemExit("a wrong password was taken")
except requests.HTTPError as why:
    assert why.response.status_code == 401, why
print("agreed")
