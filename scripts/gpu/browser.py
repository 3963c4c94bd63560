"""Runs every kernel through a browser's WebGPU and compares the results with stored values.

Chromium compiles WGSL with Tint, not with naga, so this is a second opinion on the shaders. The page,
browser.html, gets complete shaders, inputs and expected outputs from the engine's example `kernel_cases`
and tries them on the browser's adapter, by default SwiftShader, which needs no GPU.

    python3 scripts/gpu/browser.py [--browser chromium] [--adapter swiftshader]

Exits with 1 if a kernel does not compile or computes something else.
"""

import argparse
import http.server
import json
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = pathlib.Path(__file__).with_name("browser.html")


def kernel_cases() -> bytes:
    command = ["cargo", "run", "--quiet", "--locked", "--package", "driftless-engine", "--example", "kernel_cases"]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout


def serve(cases: bytes, results: queue.Queue) -> http.server.ThreadingHTTPServer:
    """A server on a free port of this machine: the page, its cases, and where it posts its results."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                self.answer("text/html; charset=utf-8", PAGE.read_bytes())
            elif self.path == "/cases.json":
                self.answer("application/json", cases)
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            result = json.loads(self.rfile.read(length))
            self.answer("text/plain", b"")
            # The browser may end as soon as this is taken.
            results.put(result)

        def answer(self, content_type: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def run_browser(browser: str, adapter: str, url: str, results: queue.Queue, seconds: float) -> dict:
    """What the page at `url` posts, or an error if it posts nothing in time."""
    with tempfile.TemporaryDirectory() as profile:
        flags = [
            "--headless=new",
            "--no-sandbox",
            "--no-first-run",
            "--disable-gpu-sandbox",
            "--enable-unsafe-webgpu",
            f"--use-webgpu-adapter={adapter}",
            f"--user-data-dir={profile}",
        ]
        process = subprocess.Popen([browser, *flags, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return results.get(timeout=seconds)
        except queue.Empty:
            return {"error": f"no result after {seconds:.0f} s"}
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def report(result: dict) -> bool:
    """Prints the result. Returns whether every kernel agrees."""
    if "error" in result:
        print(f"browser.py: {result['error']}")
        return False
    failed, ran, skipped, worst = [], 0, {}, 0.0
    for check in result["checks"]:
        name = check["name"] + (f" ({check['feature']})" if check["feature"] else "")
        if check.get("skipped"):
            skipped[check["feature"]] = skipped.get(check["feature"], 0) + 1
            continue
        ran += 1
        difference = check.get("difference")
        if difference is None or not difference <= check["tolerance"]:
            failed.append(f"  FAILED {name}: {check.get('error', f'differs by {difference}')}")
        else:
            worst = max(worst, difference / check["tolerance"])
    print(f"adapter  {result['adapter']}")
    print(f"kernels  {ran - len(failed)} of {ran} agree, the worst with {worst:.1%} of what is allowed")
    for feature, count in skipped.items():
        print(f"skipped  {count}: the adapter lacks {feature}")
    print("\n".join(failed), end="\n" if failed else "")
    return not failed and ran > 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--browser", default="chromium", help="a Chromium (default: chromium)")
    parser.add_argument("--adapter", default="swiftshader", help="Chromium's --use-webgpu-adapter")
    parser.add_argument("--cases", type=pathlib.Path, help="a file of cases instead of the example's output")
    parser.add_argument("--seconds", type=float, default=300, help="how long to wait (default: 300)")
    arguments = parser.parse_args()
    browser = shutil.which(arguments.browser)
    if browser is None:
        print(f"browser.py: {arguments.browser} is not installed (Debian: apt install chromium)")
        return 2
    cases = arguments.cases.read_bytes() if arguments.cases else kernel_cases()
    results: queue.Queue = queue.Queue()
    server = serve(cases, results)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    result = run_browser(browser, arguments.adapter, url, results, arguments.seconds)
    server.shutdown()
    return 0 if report(result) else 1


if __name__ == "__main__":
    sys.exit(main())
