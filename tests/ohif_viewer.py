"""OHIF as npm brings it, beside an Orthanc: the viewer's files, and its requests passed on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import httpx
import pytest

from orthanc_server import URL as ORTHANC

PORT = 18200
VIEWER = f"http://127.0.0.1:{PORT}"
PACKAGE = "@ohif/app@3.13.2"
_SOURCE = "@ohif/extension-default.dataSourcesModule.dicomweb"
_SETTINGS = f"""window.config = {{
  routerBasename: "/", extensions: [], modes: [], customizationService: {{}}, showStudyList: true,
  maxNumberOfWebWorkers: 1, showWarningMessageForCrossOrigin: false, showCPUFallbackMessage: false,
  showLoadingIndicator: true, strictZSpacingForVolumeViewport: true,
  investigationalUseDialog: {{ option: "never" }}, defaultDataSourceName: "dicomweb",
  dataSources: [{{ namespace: "{_SOURCE}", sourceName: "dicomweb", configuration: {{
    friendlyName: "orthanc", name: "orthanc", wadoUriRoot: "/wado", qidoRoot: "/dicom-web", wadoRoot: "/dicom-web",
    qidoSupportsIncludeField: false, imageRendering: "wadors", thumbnailRendering: "wadors",
    enableStudyLazyLoad: true, supportsFuzzyMatching: false, supportsWildcard: true, dicomUploadEnabled: false,
    omitQuotationForMultipartRequest: true, bulkDataURI: {{ enabled: true }} }} }}],
}};"""


def ohif_files(folder: Path) -> Path:
    """The prebuilt viewer: in the folder that LUNGSIGHT_OHIF names, or fetched; the test is skipped without it."""
    if named := os.environ.get("LUNGSIGHT_OHIF"):
        return Path(named)
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm, which fetches OHIF, is not installed")
    fetched = subprocess.run([npm, "pack", PACKAGE, "--silent"], cwd=folder, capture_output=True, check=False)
    if fetched.returncode:
        pytest.skip(f"{PACKAGE} can't be fetched")
    with tarfile.open(next(folder.glob("ohif-app-*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package" / "dist"


def serve_ohif(files: Path) -> None:
    """Serve the viewer and pass its DICOMweb requests on; in a thread of the caller's network."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import FileResponse, Response
    from starlette.routing import Route

    client = httpx.AsyncClient(base_url=ORTHANC, timeout=60)

    async def passed_on(request: Request) -> Response:
        kept = {name: value for name, value in request.headers.items() if name in ("accept", "content-type")}
        answer = await client.request(
            request.method, request.url.path, params=request.query_params, content=await request.body(), headers=kept
        )
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    async def settings(request: Request) -> Response:
        return Response(_SETTINGS, media_type="text/javascript")

    async def file(request: Request) -> Response:
        path = files / request.path_params["path"]
        return FileResponse(path if path.is_file() else files / "index.html")

    routes = [
        Route("/app-config.js", settings),
        Route("/dicom-web/{path:path}", passed_on, methods=["GET", "POST"]),
        Route("/{path:path}", file),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), "127.0.0.1", PORT, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    deadline = time.monotonic() + 60
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.1)
