#!/usr/bin/env python3
"""Measures the release build with the lab's link and fake controller.

The lab is an instrument of its own (`../shared/lab` from the project's root, or HEADSTOCK_LAB);
where it is not there, this says so and measures nothing.

    tests/bench/lab.py stream [--scale 1] [--runs 3] [--file cnc_surface_3k.nc]   ours beside the reference
    tests/bench/lab.py unlimited                                                  no wire, no motion time
    tests/bench/lab.py holds [--n 2000] [--by rest|socket|cli] [--busy 2]         request to port and wire
    tests/bench/lab.py eight [--seconds 30]                                       eight machines at once
    tests/bench/lab.py idle                                                       RSS, idle CPU, start
    tests/bench/lab.py kill [--n 300]                                             SIGKILL in a job
Each prints one JSON object per run.
"""
import argparse, atexit, hashlib, http.client, json, os, random, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, threading, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = Path(os.environ.get("HEADSTOCK_LAB", ROOT / ".." / "shared" / "lab")).resolve()
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
HEADSTOCK = Path(os.environ.get("HEADSTOCK_BIN", TARGET / "release" / "headstock"))
LINK = Path(os.environ.get("HEADSTOCK_LAB_BIN", TARGET / "lab" / "release" / "serial_link"))


def say(**facts):
    print(json.dumps(facts), flush=True)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else None


def spread(values, digits=3):
    if not values:
        return None
    return {"n": len(values), **{name: round(percentile(values, share), digits)
            for name, share in (("p50", .5), ("p99", .99), ("p99.9", .999), ("max", 1))}}


class Rig:
    """A link and a fake controller in a folder of their own."""

    def __init__(self, folder, name="mill", baud=115200, scale=1.0, trace=False, device=(), fifo=64):
        self.folder, self.name = Path(folder), name
        self.host = self.folder / f"{name}.host"
        far = self.folder / f"{name}.far"
        self.link_summary, self.device_summary = self.folder / f"{name}.link.json", self.folder / f"{name}.device.json"
        self.trace = self.folder / f"{name}.trace" if trace else None
        device_args = [LINK, "device", "--port", far, "--time-scale", scale, "--summary", self.device_summary, *device]
        self.device = quiet(device_args)
        wait_for(far.exists)
        link_args = [LINK, "link", "--host", self.host, "--device-open", far, "--baud", baud, "--fifo", fifo, "--summary", self.link_summary]
        self.link = quiet(link_args + (["--trace", self.trace] if trace else []))
        wait_for(self.host.exists)

    def close(self):
        for process in (self.link, self.device):
            process.send_signal(signal.SIGTERM)
            process.wait(10)
        read = lambda path: json.loads(path.read_text()) if path.exists() else {}
        return read(self.link_summary), read(self.device_summary)


STARTED = []


def quiet(words, out=subprocess.DEVNULL):
    """Starts a process that ends with this one, however this one ends."""
    process = subprocess.Popen([str(word) for word in words], stdout=out, stderr=out)
    STARTED.append(process)
    return process


@atexit.register
def end_all():
    for process in STARTED:
        if process.poll() is None:
            process.kill()


def wait_for(condition, seconds=10.0, what=""):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain {what() if callable(what) else what}")
        time.sleep(0.002)


class House:
    """A daemon with one machine per rig."""

    def __init__(self, folder, rigs, baud=115200, extra=""):
        self.folder = Path(folder)
        self.socket = self.folder / "headstock.sock"
        config = self.folder / "headstock.toml"
        machines = "".join(f'[[machine]]\nid = "{rig.name}"\ndriver = "grbl"\nport = "{rig.host}"\nbaud = {baud}\n' for rig in rigs)
        config.write_text(f'[daemon]\nstate_dir = "{folder}"\nsocket = "{self.socket}"\n[web]\nlisten = "127.0.0.1:0"\n{extra}{machines}')
        self.config = config
        self.started = time.monotonic()
        self.log = open(self.folder / "daemon.log", "ab")
        (self.folder / "web.addr").unlink(missing_ok=True)
        self.process = quiet([HEADSTOCK, "daemon", "--config", config], self.log)
        wait_for(self.up, 20)

    def up(self):
        if self.process.poll() is not None:
            raise SystemExit((self.folder / "daemon.log").read_text())
        return (self.folder / "web.addr").exists() and self.socket.exists()

    def address(self):
        host, port = (self.folder / "web.addr").read_text().strip().rsplit(":", 1)
        return host, int(port)

    def cli(self, *words, check=True):
        done = subprocess.run([str(HEADSTOCK), "--socket", str(self.socket), *words], capture_output=True, text=True)
        if check and done.returncode:
            raise SystemExit(f"{words}: {done.returncode} {done.stdout} {done.stderr}")
        return done.stdout

    def json(self, *words):
        return json.loads(self.cli(*words, "--json"))

    def state(self, machine="mill"):
        return next(it["state"] for it in self.json("machines") if it["id"] == machine)

    def ready(self, machine="mill"):
        wait_for(lambda: self.state(machine) == "idle" and next(it for it in self.json("machines") if it["id"] == machine).get("controller"), 20)

    def run(self, file, machine="mill"):
        job = self.json("job", "start", machine, file)["id"]
        return job

    def run_when_ready(self, file, machine="mill"):
        """A controller that still works off what an earlier run left may look idle in a dwell."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            said = self.cli("job", "start", machine, file, "--json", check=False)
            if said:
                return json.loads(said)["id"]
            time.sleep(0.1)
        raise SystemExit(f"the job never started: {self.json('machines')}")

    def job(self, job):
        return next(it for it in self.json("job", "list") if it["id"] == job)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def usage(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        rss = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), rss


def program(args):
    path = LAB / "gcode" / args.file
    return path


def wire_rate(trace):
    """Program lines a second on the wire, from the first to the last, and a hash of their text.

    Questions to the controller (`$…`) are no program lines: the house asks some when it connects.
    """
    line, times, text = "", [], hashlib.sha256()
    for row in trace.read_text(errors="replace").splitlines():
        parts = row.split("\t")
        if len(parts) < 4 or parts[1] != "h>d" or parts[2] != "out":
            continue
        for piece in re.findall(r"\\x[0-9a-f]{2}|\\.|.", parts[3]):
            if piece == "\\n":
                if line and not line.startswith("$"):
                    times.append(float(parts[0]) / 1e6)
                    text.update(line.encode() + b"\n")
                line = ""
            elif len(piece) == 1 and piece not in "?!~":
                line += piece
    return len(times), (len(times) - 1) / (times[-1] - times[0]), text.hexdigest()[:16]


def ours(file, scale, device=(), baud=115200, house_baud=None, fifo=64):
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(folder, baud=baud, scale=scale, device=device, fifo=fifo, trace=True)
        house = House(folder, [rig], baud=house_baud or baud)
        try:
            house.ready()
            upload = house.json("upload", str(file))
            cpu0, _ = house.usage()
            began = time.monotonic()
            job = house.run(upload["id"])
            rss = 0
            while True:
                time.sleep(0.5)
                rss = max(rss, house.usage()[1])
                state = house.job(job)["state"]
                if state not in ("running", "held", "queued"):
                    break
            seconds = time.monotonic() - began
            cpu = house.usage()[0] - cpu0
        finally:
            house.close()
        link, device = rig.close()
        lines, rate, digest = wire_rate(rig.trace)
        return {"who": "headstock", "state": state, "lines": lines, "lines_per_s": round(rate, 1), "program": digest,
                "starved": device["starved"], "rx_lost": device["rx_lost"], "errors": device["errors"], "rx_max_fill": device["rx_max_fill"],
                "seconds": round(seconds, 2), "cpu_share": round(cpu / seconds, 4), "rss_mib": round(rss, 1),
                "answer_to_next_byte_us": link["protocol"]["answer_to_next_byte_us"], "lateness_us": link["instrument"]["byte_lateness_us"]}


def reference(file, scale, device=(), baud=115200, fifo=64):
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(folder, baud=baud, scale=scale, device=device, fifo=fifo, trace=True)
        done = subprocess.run([sys.executable, str(LAB / "tools" / "gstream.py"), str(rig.host), str(file), "--mode", "count"], capture_output=True, text=True)
        link, device = rig.close()
        lines, rate, digest = wire_rate(rig.trace)
        return {"who": "reference", "state": "completed" if done.returncode == 0 else done.stderr[-200:], "lines": lines,
                "lines_per_s": round(rate, 1), "program": digest, "starved": device["starved"], "rx_lost": device["rx_lost"], "errors": device["errors"],
                "rx_max_fill": device["rx_max_fill"], "answer_to_next_byte_us": link["protocol"]["answer_to_next_byte_us"],
                "lateness_us": link["instrument"]["byte_lateness_us"]}


def stream(args):
    rates = {"headstock": [], "reference": []}
    for _ in range(args.runs):
        for run in (reference, ours):
            facts = run(program(args), args.scale)
            rates[facts["who"]].append(facts["lines_per_s"])
            say(**facts)
    say(ratio=round(statistics.median(rates["headstock"]) / statistics.median(rates["reference"]), 4), scale=args.scale, file=args.file)


def unlimited(args):
    for _ in range(args.runs):
        say(**ours(program(args), 0, device=("--line-us", 0, "--byte-us", 0), baud=0, house_baud=args.baud))


def busy(count):
    return [quiet([sys.executable, "-c", "while True: pass"]) for _ in range(count)]


class UnixHttp(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def realtime():
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(30))
        return True
    except PermissionError:
        return False


def holds(args):
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(folder, scale=1, trace=True)
        house = House(folder, [rig])
        token = house.cli("token", "create", "--name", "bench", "--role", "operator").strip()
        house.ready()
        upload = house.json("upload", str(program(args)))
        load = busy(args.busy)
        asked, refused = [], 0
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connect = (lambda: http.client.HTTPConnection(*house.address())) if args.by == "rest" else (lambda: UnixHttp(house.socket))
        fifo = realtime() if args.by != "cli" else False
        connection = connect()

        def tell(command):
            nonlocal refused
            at = time.monotonic_ns() / 1e3
            if args.by == "cli":
                code = subprocess.run([str(HEADSTOCK), "--socket", str(house.socket), command, "mill"], capture_output=True).returncode
                refused += code != 0
            else:
                connection.request("POST", "/api/v1/equipment/mill/commands", json.dumps({"command": command}), headers)
                answer = connection.getresponse()
                answer.read()
                refused += answer.status != 202
            return at

        def get(path):
            connection2.request("GET", path, headers=headers)
            return json.loads(connection2.getresponse().read())
        connection2 = connect()

        def moves():
            # The lab's controller ignores a hold in a dwell, and its program begins with one.
            mill = get("/api/v1/equipment/mill")
            return mill["state"] == "running" and 0 < mill["live"]["feed"]
        try:
            job = house.run(upload["id"])
            for _ in range(args.n):
                wait_for(moves, 10)
                time.sleep(random.uniform(0.02, 0.06))
                asked.append(tell("hold"))
                wait_for(lambda: get("/api/v1/equipment/mill")["state"] == "held", 10)
                tell("resume")
                if get(f"/api/v1/jobs/{job}")["state"] in ("completed", "failed", "interrupted", "cancelled"):
                    wait_for(lambda: get("/api/v1/equipment/mill")["state"] == "idle", 10)
                    job = house.run(upload["id"])
        finally:
            for process in load:
                process.kill()
            house.close()
        link, _ = rig.close()
        into, onto, seen, tail = [], [], [], ""
        for line in rig.trace.read_text(errors="replace").splitlines():
            at, direction, stage, *rest = line.split("\t")
            text = rest[0] if rest else ""
            if direction == "h>d" and "!" in text:
                (into if stage == "in" else onto).append(float(at))
            if direction == "d>h" and stage == "out":
                # The report comes byte by byte; it has been told when its word is complete.
                tail = (tail + text)[-24:]
                if "<Hold" in tail:
                    seen.append(float(at))
                    tail = ""
        port, wire, report, later = [], [], [], lambda times, at: next((it for it in times if it >= at), None)
        for at in asked:
            entered = later(into, at)
            left = later(onto, entered or at)
            told = later(seen, left or at)
            if told:
                port.append((entered - at) / 1e3)
                wire.append((left - entered) / 1e3)
                report.append((told - left) / 1e3)
        say(by=args.by, holds=len(asked), refused=refused, bytes_in_trace=len(into), client_fifo=fifo, busy=args.busy,
            request_to_port_ms=spread(port), port_to_wire_ms=spread(wire), wire_to_report_ms=spread(report),
            lateness_us=link["instrument"]["byte_lateness_us"])


def eight(args):
    def run(count):
        with tempfile.TemporaryDirectory() as folder:
            rigs = [Rig(folder, name=f"m{i}", scale=args.scale, trace=True) for i in range(count)]
            house = House(folder, rigs)
            try:
                for rig in rigs:
                    house.ready(rig.name)
                upload = house.json("upload", str(program(args)))
                jobs = [house.run(upload["id"], rig.name) for rig in rigs]
                time.sleep(2)
                (cpu0, _), began = house.usage(), time.monotonic()
                time.sleep(args.seconds)
                cpu1, rss = house.usage()
                share = (cpu1 - cpu0) / (time.monotonic() - began)
                for job in jobs:
                    house.cli("job", "cancel", job, check=False)
                time.sleep(1)
            finally:
                house.close()
            ends = [rig.close() for rig in rigs]
            return {"machines": count, "lines_per_s": [round(wire_rate(rig.trace)[1], 1) for rig in rigs],
                    "starved": [device["starved"] for _, device in ends], "rx_lost": sum(device["rx_lost"] for _, device in ends),
                    "cpu_share": round(share, 4), "rss_mib": round(rss, 1),
                    "lateness_p99_us": [link["instrument"]["byte_lateness_us"].get("p99") for link, _ in ends]}
    one, all_eight = run(1), run(8)
    say(**one)
    say(**all_eight)
    say(ratio=round(statistics.median(all_eight["lines_per_s"]) / one["lines_per_s"][0], 4), worst=round(min(all_eight["lines_per_s"]) / one["lines_per_s"][0], 4))


def idle(args):
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(folder)
        starts = []
        for _ in range(5):
            began = time.monotonic()
            house = House(folder, [rig])
            connection = UnixHttp(house.socket)
            def known():
                connection.request("GET", "/api/v1/equipment/mill")
                return json.loads(connection.getresponse().read())["state"] == "idle"
            wait_for(known, 10)
            starts.append((time.monotonic() - began) * 1e3)
            if len(starts) < 5:
                house.close()
        time.sleep(3)
        cpu0, _ = house.usage()
        time.sleep(20)
        cpu1, rss = house.usage()
        house.close()
        rig.close()
        say(start_to_first_status_ms=[round(it) for it in starts], idle_cpu_percent=round((cpu1 - cpu0) / 20 * 100, 2), idle_rss_mib=round(rss, 1))


HARMLESS = re.compile(r"(\?|\$\\n|\$I\\n|\$\$\\n|\$#\\n|\$G\\n|\\n)*")


def kill(args):
    """SIGKILL at random moments: acknowledged entries stay, running jobs are interrupted, nothing moves by itself."""
    lost = wrong = 0
    windows = []
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(folder, scale=1, trace=True)
        acknowledged, known_jobs, upload = 0, set(), None
        for _ in range(args.n):
            opened, person_reset = time.monotonic_ns() / 1e3, False
            house = House(folder, [rig])
            lost += house.json("status")["system"]["entry"] < acknowledged
            jobs = house.json("job", "list", "--limit", "1000")
            lost += len(known_jobs - {job["id"] for job in jobs})
            wrong += sum(job["state"] in ("running", "held") for job in jobs)
            # The controller runs out what it holds; the house only watches.
            wait_for(lambda: house.state() in ("idle", "held"), 30, lambda: house.json("machines"))
            if house.state() == "held":
                # Killed between a hold and its end: what came before is told, and a person clears it.
                told = [json.loads(line) for line in house.cli("events", "--after", str(max(0, acknowledged - 8)), "--json").splitlines()]
                say(held_after_kill=[it for it in told if it.get("fact") in ("machine", "job")][:14])
                person_reset = True
                house.cli("reset", "mill")
                wait_for(lambda: house.state() == "idle", 30)
            house.ready()
            windows.append((opened, time.monotonic_ns() / 1e3, person_reset))
            for job in jobs:
                if job["state"] == "interrupted":
                    house.cli("job", "decide", job["id"], "scrap", "--reason", "killed by the test")
            if upload is None:
                upload = house.json("upload", str(program(args)))["id"]
            known_jobs.add(house.run_when_ready(upload))
            acknowledged = house.json("status")["system"]["entry"]
            time.sleep(random.uniform(0.0, 0.6))
            house.process.kill()
            house.process.wait()
        verify = subprocess.run([str(HEADSTOCK), "journal", "verify", "--state-dir", folder], capture_output=True, text=True)
        rig.close()
        sent = [line.split("\t") for line in rig.trace.read_text(errors="replace").splitlines() if "\th>d\tin\t" in line]
        unasked = []
        for opened, until, person_reset in windows:
            text = "".join(row[3] for row in sent if opened <= float(row[0]) < until)
            text = text.replace("\\x18", "", 1) if person_reset else text
            if not HARMLESS.fullmatch(text):
                unasked.append(text[:80])
        say(kills=args.n, lost_entries=lost, jobs_left_running=wrong, starts_that_sent_more_than_questions=len(unasked),
            unasked=unasked[:3], journal_verify=verify.returncode)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["stream", "unlimited", "holds", "eight", "idle", "kill"])
    parser.add_argument("--file", default="cnc_surface_20k.nc")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--by", choices=["rest", "socket", "cli"], default="rest")
    parser.add_argument("--busy", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--baud", type=int, default=12_000_000)
    args = parser.parse_args()
    if not (LAB / "serial_link" / "Cargo.toml").exists():
        sys.exit(f"the lab is not at {LAB}: nothing was measured (set HEADSTOCK_LAB)")
    if not LINK.exists():
        subprocess.run(["cargo", "build", "--release", "--manifest-path", str(LAB / "serial_link" / "Cargo.toml")], check=True,
                       env={**os.environ, "CARGO_TARGET_DIR": str(TARGET / "lab")})
    if not HEADSTOCK.exists():
        sys.exit(f"{HEADSTOCK} is not there: cargo build --release")
    globals()[args.what](args)


main()
