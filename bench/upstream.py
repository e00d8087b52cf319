"""An Airbyte that costs next to nothing: nginx, with a page of jobs on disk for each connection."""

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

JOBS = 20
NEWEST = datetime(2026, 4, 1, 3, 0, 7, tzinfo=UTC)
CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 75s;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=4096 inactive=600s;
    open_file_cache_valid 600s;
    default_type application/json;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {folder}/pages;
        location = /api/public/v1/applications/token {{
            return 200 '{{"access_token":"token","token_type":"Bearer","expires_in":86400}}';
        }}
        location = /api/public/v1/jobs {{
            try_files /$arg_connectionId.json /none.json =404;
        }}
        location = /count {{
            stub_status;
        }}
    }}
}}
"""


class Upstream:
    """One that listens on `port`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.host = f"127.0.0.1:{port}"
        self.address = f"http://{self.host}"
        self._asked = 0

    def requests(self) -> int:
        """Return how many it has had so far, these questions apart."""
        self._asked += 1
        with urllib.request.urlopen(f"{self.address}/count", timeout=10) as answer:  # noqa: S310 - our own address
            _, _, requests = answer.read().splitlines()[2].split()
        return int(requests) - self._asked


def write_upstream(folder: Path, port: int, airbyte_ids: list[str]) -> Path:
    """Write the configuration file of an upstream that knows these connections."""
    pages = folder / "pages"
    pages.mkdir()
    (pages / "none.json").write_text('{"data":[]}')
    for number, airbyte_id in enumerate(airbyte_ids):
        (pages / f"{airbyte_id}.json").write_text(jobs_page(airbyte_id, first_job=number * JOBS + 1))
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port))
    return configuration


def jobs_page(airbyte_id: str, *, first_job: int) -> str:
    """Return Airbyte's answer as it stands on the wire: compact, newest first, seconds left out when they are zero."""
    return json.dumps(
        {
            "previous": "",
            "next": "",
            "data": [_job(airbyte_id, first_job + number, age=JOBS - number) for number in reversed(range(JOBS))],
        },
        separators=(",", ":"),
    )


def _job(airbyte_id: str, job_id: int, *, age: int) -> dict[str, object]:
    created = NEWEST - timedelta(hours=6 * age, seconds=age % 3 * 7)
    updated = created + timedelta(minutes=4, seconds=age)
    return {
        "jobId": job_id,
        "status": "failed" if age % 7 == 0 else "succeeded",
        "jobType": "sync",
        "startTime": _time(created),
        "connectionId": airbyte_id,
        "lastUpdatedAt": _time(updated),
        "duration": f"PT4M{age}S",
        "bytesSynced": 1_048_576 + 4_099 * job_id,
        "rowsSynced": 5_000 + 17 * job_id,
    }


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ" if moment.second == 0 else "%Y-%m-%dT%H:%M:%SZ")
