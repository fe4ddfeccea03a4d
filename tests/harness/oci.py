# SPDX-License-Identifier: Apache-2.0
"""Container images of one layer, written here: an OCI layout, and a tar of a folder as root's."""
import hashlib
import io
import json
import os
import subprocess

TYPE = "application/vnd.oci.image"


def pack(folder, tar):
    """A new file: layouts have links to the old one."""
    tar.unlink(missing_ok=True)
    subprocess.run(["tar", "--owner", "0", "--group", "0", "--numeric-owner", "-cf", tar, "-C", folder, "."], check=True)


def _blob(layout, content):
    """A descriptor's digest and size; what is in it is kept under the digest. A layer is a file, and is linked."""
    with open(content, "rb") if isinstance(content, os.PathLike) else io.BytesIO(content) as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        size = opened.seek(0, os.SEEK_END)
    file = layout / "blobs/sha256" / digest
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, os.PathLike):
        file.unlink(missing_ok=True)
        os.link(content, file)
    else:
        file.write_bytes(content)
    return {"digest": f"sha256:{digest}", "size": size}


def write_layout(layout, layer, config):
    """An OCI layout with this layer alone, a tar as it is, and how to run it: a dictionary, or JSON text as it is."""
    layer = _blob(layout, layer)
    config = config if isinstance(config, str) else json.dumps(config)
    described = (f'{{"architecture":"amd64","os":"linux","config":{config},'
                 f'"rootfs":{{"type":"layers","diff_ids":["{layer["digest"]}"]}}}}')
    manifest = {"schemaVersion": 2,
                "config": {"mediaType": f"{TYPE}.config.v1+json"} | _blob(layout, described.encode()),
                "layers": [{"mediaType": f"{TYPE}.layer.v1.tar"} | layer]}
    entry = {"mediaType": f"{TYPE}.manifest.v1+json"} | _blob(layout, json.dumps(manifest).encode())
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return layout
