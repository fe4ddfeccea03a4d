# SPDX-License-Identifier: Apache-2.0
"""Container images of one layer, made by hand: whatever a configuration says."""
import hashlib
import json
import shutil

TYPE = "application/vnd.oci.image"


def blob(folder, data):
    """Keeps DATA, bytes or a file, under its digest; its descriptor."""
    content = data if isinstance(data, bytes) else data.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (folder / "blobs/sha256" / digest).write_bytes(content)
    return {"digest": f"sha256:{digest}", "size": len(content)}


def layout(folder, layer, config=None):
    """An OCI layout with the tar archive LAYER alone, as it is, and how to run it, a dictionary."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "blobs/sha256").mkdir(parents=True)
    stored = blob(folder, layer)
    image = {"architecture": "amd64", "os": "linux", "config": config or {},
             "rootfs": {"type": "layers", "diff_ids": [stored["digest"]]}}
    manifest = {"schemaVersion": 2,
                "config": {"mediaType": f"{TYPE}.config.v1+json"} | blob(folder, json.dumps(image).encode()),
                "layers": [{"mediaType": f"{TYPE}.layer.v1.tar"} | stored]}
    entry = {"mediaType": f"{TYPE}.manifest.v1+json"} | blob(folder, json.dumps(manifest).encode())
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return f"oci:{folder}"
