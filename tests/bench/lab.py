#!/usr/bin/env python3
"""Measures the release build with the lab's link and fake controller.

The lab is an instrument of its own (`../shared/lab` from the project's root, or HEADSTOCK_LAB);
where it is not there, this says so and measures nothing.

    tests/bench/lab.py stream [--scale 1] [--runs 3] [--file cnc_surface_3k.nc]   ours beside the reference
    tests/bench/lab.py unlimited                                                  no wire, no motion time
    tests/bench/lab.py holds [--n 2000] [--by rest|socket|cli] [--busy 2]         request to port and wire
    tests/bench/lab.py eight [--seconds 30]                                       one and eight machines, ours beside the reference
    tests/bench/lab.py idle                                                       RSS, idle CPU, start
    tests/bench/lab.py kill [--n 300]                                             SIGKILL in a job
    tests/bench/lab.py faults [--n 1000] [--seed 1] [--keep FOLDER] [--rush]      faults on the wire, short programs
    tests/bench/lab.py marlin [--runs 3]                                          a print: window and ping-pong, 115200 and 250000 baud; ping-pong beside the reference
    tests/bench/lab.py marlin_faults [--n 200] [--seed 1]                         prints on a wire that loses and changes bytes
Each prints one JSON object per run.
"""
import argparse, atexit, hashlib, http.client, json, os, random, re, select, shutil, signal, socket, statistics, subprocess, sys, tempfile, threading, time, tty
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

    def __init__(self, folder, name="mill", baud=115200, scale=1.0, trace=False, device=(), fifo=64, faults=(), seed=1, frame=0):
        self.folder, self.name = Path(folder), name
        self.host = self.folder / f"{name}.host"
        far = self.folder / f"{name}.far"
        self.link_summary, self.device_summary = self.folder / f"{name}.link.json", self.folder / f"{name}.device.json"
        self.trace = self.folder / f"{name}.trace" if trace else None
        device_args = [LINK, "device", "--port", far, "--time-scale", scale, "--summary", self.device_summary, *device]
        self.device = quiet(device_args)
        wait_for(far.exists)
        link_args = [LINK, "link", "--host", self.host, "--device-open", far, "--baud", baud, "--fifo", fifo, "--summary", self.link_summary,
                     "--seed", seed, "--usb-frame-us", frame, *(word for fault in faults for word in ("--fault", fault))]
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


# Whoever ends this one by a signal ends them as well.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


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

    def __init__(self, folder, rigs, baud=115200, extra="", driver="grbl"):
        self.folder = Path(folder)
        self.socket = self.folder / "headstock.sock"
        config = self.folder / "headstock.toml"
        machines = "".join(f'[[machine]]\nid = "{rig.name}"\ndriver = "{driver}"\nport = "{rig.host}"\nbaud = {baud}\n' for rig in rigs)
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
        connection.connect()

        starts = []

        def tell(command):
            nonlocal refused
            if args.by == "cli":
                at = time.monotonic_ns() / 1e3
                subprocess.run([str(HEADSTOCK), "--version"], capture_output=True)
                starts.append((time.monotonic_ns() / 1e3 - at) / 1e3)
                at = time.monotonic_ns() / 1e3
                code = subprocess.run([str(HEADSTOCK), "--socket", str(house.socket), command, "mill"], capture_output=True).returncode
                refused += code != 0
                return at
            # Written before the clock is read and sent in one piece: http.client takes two.
            body = json.dumps({"command": command})
            head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "headstock", "Content-Length": len(body), **headers}.items())
            request = f"POST /api/v1/equipment/mill/commands HTTP/1.1\r\n{head}\r\n{body}".encode()
            at = time.monotonic_ns() / 1e3
            connection.sock.sendall(request)
            answer = http.client.HTTPResponse(connection.sock, method="POST")
            answer.begin()
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
            process_start_and_end_ms=spread(starts), request_to_port_ms=spread(port), port_to_wire_ms=spread(wire), wire_to_report_ms=spread(report),
            lateness_us=link["instrument"]["byte_lateness_us"])


def eight(args):
    """One and eight at once, ours and the reference in the same conditions."""
    def measured(who, rigs, **more):
        ends = [rig.close() for rig in rigs]
        return {"who": who, "machines": len(rigs), "lines_per_s": [round(wire_rate(rig.trace)[1], 1) for rig in rigs],
                "starved": [device["starved"] for _, device in ends], "rx_lost": sum(device["rx_lost"] for _, device in ends), **more,
                "lateness_p99_us": [link["instrument"]["byte_lateness_us"].get("p99") for link, _ in ends]}

    def plugged(folder, count):
        return [Rig(folder, name=f"m{i}", scale=args.scale, trace=True, frame=args.frame) for i in range(count)]

    def headstocks(count):
        with tempfile.TemporaryDirectory() as folder:
            rigs = plugged(folder, count)
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
            return measured("headstock", rigs, cpu_share=round(share, 4), rss_mib=round(rss, 1))

    def references(count):
        with tempfile.TemporaryDirectory() as folder:
            rigs = plugged(folder, count)
            streamers = [quiet([sys.executable, LAB / "tools" / "gstream.py", rig.host, program(args), "--mode", "count"]) for rig in rigs]
            time.sleep(2 + args.seconds)
            ended = [streamer.poll() for streamer in streamers]
            for streamer in streamers:
                streamer.terminate()
                streamer.wait(10)
            return measured("reference", rigs, ended_early=sum(code is not None for code in ended))

    runs = []
    for many, count in ((headstocks, 1), (references, 1), (references, 8), (headstocks, 8)):
        runs.append(many(count))
        say(**runs[-1])
    rate = [statistics.median(run["lines_per_s"]) for run in runs]
    say(eight_to_one=round(rate[3] / rate[0], 4), worst=round(min(runs[3]["lines_per_s"]) / rate[0], 4), reference_eight_to_one=round(rate[2] / rate[1], 4),
        to_reference_at_one=round(rate[0] / rate[1], 4), to_reference_at_eight=round(rate[3] / rate[2], 4))


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


# --- faults on the wire -------------------------------------------------------------------------
#
# One daemon, a few machines; each run gives a machine a new cable with faults in it and a new fake
# controller, sends it a short program, and compares what reached the controller (the link's trace,
# behind the faults) with the program. A person's part is played too: a machine found held is
# resumed, a job that broke off is scrapped, the controller reset and unlocked.

FAULT_SCALE = 4
QUESTIONS = re.compile(r"\$[$#GIXH]?|\$C|")
OVER = ("completed", "interrupted", "failed", "cancelled")


def invent(seed):
    """A short program in the form in which it is sent: 20 to 90 lines, ending in power-up modes or with M30."""
    dice = random.Random(f"program {seed}")
    number = lambda low, high: f"{dice.uniform(low, high):.3f}".rstrip("0").rstrip(".")
    flavour = dice.choice(["straight", "steps", "arcs", "raster", "mixed", "mixed"])
    lines, length = ["G21G90G94", "G0X5Y5", f"M3S{dice.randrange(500, 12000)}", f"G1Z-1F{dice.randrange(600, 1500)}"], dice.randrange(20, 81)
    x = y = 5.0
    while len(lines) < length - 3:
        kind = dice.choice(["straight", "steps", "arcs", "raster", "rapid", "dwell"]) if flavour == "mixed" else flavour
        if kind == "straight":
            x, y = x + dice.uniform(-4, 5), y + dice.uniform(-4, 5)
            feed = f"F{dice.randrange(800, 4000)}" if dice.random() < .4 else ""
            arc_before = next(it for it in reversed(lines) if re.match("G[0-3]", it)).startswith(("G2", "G3"))
            lines.append(f"G1X{x:.3f}Y{y:.3f}{feed}" if dice.random() < .7 or arc_before else f"X{x:.3f}{feed}")
        elif kind == "steps":
            lines.append("G91")
            for _ in range(dice.randrange(3, 9)):
                lines.append(f"G1X{number(-3, 3)}Y{number(-3, 3)}" + (f"F{dice.randrange(800, 4000)}" if dice.random() < .3 else ""))
            lines.append("G90")
        elif kind == "arcs":
            lines.append(f"G1X{x:.3f}Y{y:.3f}F{dice.randrange(900, 3000)}")
            span = dice.choice([4, 6, 10])
            x += span
            lines.append(f"G{dice.choice([2, 3])}X{x:.3f}Y{y:.3f}I{span / 2:g}J0")
        elif kind == "raster":
            y += .5
            for _ in range(dice.randrange(2, 7)):
                x += dice.uniform(.5, 2)
                lines.append(f"G1X{x:.2f}Y{y:.2f}S{dice.randrange(0, 1000)}")
        elif kind == "rapid":
            lines += ["G0Z2", f"G0X{x:.3f}Y{y:.3f}", "G1Z-1"]
        else:
            lines.append(f"G4P{dice.choice(['0.2', '0.5', '1'])}")
        x, y = min(max(x, 0), 60), min(max(y, 0), 60)
    lines += ["G0Z5", "M5", "G0X0Y0"] + (["M30"] if dice.random() < .6 else [])
    return lines


def invent_faults(seed, sent_bytes):
    """What happens on the cable of this run: the kind, and the link's words for it."""
    dice = random.Random(f"faults {seed}")
    kind = dice.choices(["drop", "flip", "dup", "burst", "stall", "cut", "none"], [25, 25, 19, 8, 10, 9, 4])[0]
    way = dice.choices(["hd", "dh", "both"], [5, 3, 2])[0]
    if kind == "none":
        return kind, []
    if kind in ("stall", "cut"):
        length = dice.choice([dice.uniform(.05, .5), dice.uniform(.5, 2.5), dice.uniform(3.2, 5)] if kind == "stall" else [.05, .3, 1.5])
        return kind, [f"{kind},dir={way},at={dice.uniform(1, 2.4):.3f},for={length:.3f}"]
    if kind == "burst":
        return f"burst {way}", [f"mute,dir={way},at={dice.uniform(1, 2.4):.3f},for={dice.uniform(.0005, .05):.4f}"]
    if dice.random() < .4:
        both = 2 / (sent_bytes + 1800)
        return f"{kind} {way}", [f"{kind},dir={way},rate={ {'hd': 1.5 / (sent_bytes + 60), 'dh': 1.5 / 2200, 'both': both}[way]:.6f}"]
    # Bytes counted from the plugging in: past the introduction, where the program is on the wire.
    places = {"hd": lambda: dice.randrange(25, sent_bytes + 40), "dh": lambda: dice.randrange(1050, 2200)}
    ways = [way if way != "both" else dice.choice(["hd", "dh"]) for _ in range(dice.choices([1, 2, 3], [5, 3, 2])[0])]
    return f"{kind} {way}", [f"{kind},dir={it},at-byte={places[it]()}" for it in ways]


def words_of(line):
    """As the lab's controller reads it; None where it refuses."""
    words = re.findall(r"([A-Za-z])\s*([0-9.+-]*)", line)
    try:
        return [(letter.upper(), float(value)) for letter, value in words] if not re.sub(r"[A-Za-z0-9.+\-\s%/]", "", line) else None
    except ValueError:
        return None


def path_of(lines):
    """What each line comes to: (place after it, shape of the way), or None where it is refused."""
    at, absolute, motion, scale, out = [0.0, 0.0, 0.0], True, 0, 1.0, []
    for line in lines:
        words = words_of(line)
        if words is None:
            out.append((tuple(at), None))
            continue
        axes, arc, dwell = {}, [], False
        for letter, value in words:
            code = round(value * 10)
            if letter == "G":
                motion = code // 10 if code in (0, 10, 20, 30) else motion
                absolute = {900: True, 910: False}.get(code, absolute)
                scale = {200: 25.4, 210: 1.0}.get(code, scale)
                dwell |= code == 40
            elif letter in "XYZ":
                axes["XYZ".index(letter)] = value
            elif letter in "IJR":
                arc.append((letter, value))
        if not dwell:
            for axis, value in axes.items():
                at[axis] = value * scale if absolute else at[axis] + value * scale
        moves = bool(axes or arc) and not dwell
        out.append((tuple(round(it, 4) for it in at), (motion if moves else None, tuple(arc) if moves and 2 <= motion else ())))
    return out


ESCAPED = re.compile(r"\\x([0-9a-f]{2})|\\(.)|(.)", re.S)


def trace_rows(trace):
    """(microseconds, direction, stage, bytes) of a link's trace; notes have no bytes."""
    for row in trace.read_text(errors="replace").split("\n"):
        parts = row.split("\t")
        if len(parts) < 4:
            continue
        data = bytes(int(code, 16) if code else ord({"n": "\n", "r": "\r"}.get(escaped, escaped) if escaped else plain)
                     for code, escaped, plain in ESCAPED.findall("\t".join(parts[3:])))
        yield float(parts[0]), parts[1], parts[2], data


REALTIME = {0x21, 0x3f, 0x7e, 0x18, *range(0x80, 0x100)}


class Heard:
    """One run's trace: what we sent, what reached the controller, what it said and what of that arrived."""

    def __init__(self, trace, begin, end):
        self.sent, self.sent_realtime, self.got, self.resets, self.notes = [], set(), [], 0, []
        self.said, self.arrived, self.place, self.reports = [], [], None, 0
        self.asked = 0
        part = {"sent": b"", "got": b"", "said": b"", "arrived": b""}
        for at, way, stage, data in trace_rows(trace):
            inside = begin <= at <= end
            if way == "--":
                self.notes.append((at, stage))
                if part["sent"]:
                    self.sent.append((at, part["sent"].decode("latin1"), False))
                part = dict.fromkeys(part, b"")
                continue
            if way == "h>d":
                which = "sent" if stage == "in" else "got"
                for byte in data:
                    if byte in REALTIME:
                        if which == "sent":
                            self.sent_realtime.add(byte)
                        if byte == 0x18:
                            self.resets += which == "got" and inside
                            if which == "sent" and part["sent"]:
                                self.sent.append((at, part["sent"].decode("latin1"), False))
                            part[which] = b""
                    elif byte == 10 or which == "got" and byte == 13:
                        line = part[which].decode("latin1")
                        part[which] = b""
                        if which == "sent":
                            self.sent.append((at, line, True))
                            self.asked += inside and bool(QUESTIONS.fullmatch(line))
                        elif inside:
                            self.got.append(line.strip())
                    else:
                        part[which] += bytes([byte])
                continue
            which = "said" if stage == "in" else "arrived"
            *whole, part[which] = re.split(rb"[\r\n]", part[which] + data)
            for line in whole:
                if inside and (line.strip() == b"ok" or line.startswith(b"error")):
                    (self.said if which == "said" else self.arrived).append(line.strip().decode("latin1"))
                if which == "said" and line.startswith(b"<"):
                    self.reports += 1
                    self.place = tuple(float(it) for it in re.search(rb"MPos:([-0-9.,]+)", line)[1].split(b","))


def strange_bytes(heard, program):
    """The first thing that we sent and that is neither the program in order nor a word of ours."""
    strange = [f"realtime {byte:#x}" for byte in heard.sent_realtime - {0x21, 0x3f, 0x7e, 0x18, 0x85}]
    lines = iter(program)
    for _, line, whole in heard.sent:
        if QUESTIONS.fullmatch(line):
            continue
        wanted = next(lines, None)
        if wanted is None or (line != wanted if whole else not wanted.startswith(line) and not any(it.startswith(line) for it in ("$I", "$$", "$#", "$G", "$X"))):
            strange.append(f"{line!r} where the program has {wanted!r}")
            break
        if not whole:
            lines = iter(())
    return strange[0] if strange else None


def judge(heard, program, job, hit):
    """not_hit, harmless, detected, unseen_words, unseen_detour, or a finding in capitals; and why."""
    # A question of ours that was damaged on its way comes after the program, and is short.
    got = [line for line in heard.got if not line.startswith("$")]
    damaged = heard.asked - (len(heard.got) - len(got))
    while 0 < damaged and len(program) < len(got) and len(got[-1]) < 4:
        damaged -= 1
        got.pop()
    if job["state"] != "completed":
        reason = job.get("reason") or (job.get("interruption") or {}).get("reason")
        if not reason:
            return "UNNAMED", f"{job['state']} without a reason"
        return ("detected", reason) if hit else ("STOPPED_WITHOUT_FAULT", reason)
    wanted_path, path = path_of(program), path_of(got)
    far = heard.place is None or any(.003 < abs(a - b) for a, b in zip(heard.place, wanted_path[-1][0]))
    if far:
        return "MISSED", f"ends at {heard.place} instead of {wanted_path[-1][0]}"
    if heard.said != heard.arrived:
        return "MISSED", f"{len(heard.said)} answers said, {len(heard.arrived)} arrived as they were"
    if len(got) != len(program):
        at = next((at for at, (a, b) in enumerate(zip(got, program)) if a != b), min(len(got), len(program)))
        return "MISSED", f"{len(got)} lines instead of {len(program)}: {got[at:at + 2]} for {program[at:at + 2]}"
    if got == program:
        return ("harmless" if hit else "not_hit"), ""
    changed = [f"{a} for {b}" for a, b in zip(got, program) if a != b]
    return ("unseen_words" if path == wanted_path else "unseen_detour"), "; ".join(changed[:4])


class Lane:
    """A machine, its cable and the person beside it."""

    def __init__(self, house, folder, name, plug):
        self.house, self.folder, self.name, self.plug = house, folder, name, plug

    def ask(self, method, path, body=None):
        for attempt in range(3):
            try:
                connection = UnixHttp(self.house.socket)
                connection.timeout = 60
                connection.request(method, f"/api/v1/{path}", body if isinstance(body, bytes) or body is None else json.dumps(body).encode(),
                                   {"Content-Type": "application/octet-stream" if isinstance(body, bytes) else "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                connection.close()
                return answer.status, json.loads(text) if text else {}
            except (OSError, http.client.HTTPException):
                if attempt == 2:
                    raise
                time.sleep(.2)

    def machine(self):
        return self.ask("GET", f"equipment/{self.name}")[1]

    def tell(self, command):
        return self.ask("POST", f"equipment/{self.name}/commands", {"command": command})[0]

    def until(self, condition, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(.04)
        return False

    def free(self, seconds):
        """What a person does until the machine is idle. Whether it became so."""
        def better():
            mill = self.machine()
            if mill["state"] == "idle" and mill.get("controller"):
                return True
            if mill["state"] in ("alarm", "held", "holding", "door", "sleeping"):
                self.tell("reset")
                time.sleep(.3)
                if self.machine()["state"] == "alarm":
                    self.tell("unlock")
                    time.sleep(.1)
            return False
        return self.until(better, seconds)

    def start(self, file):
        refused = None
        def started():
            nonlocal refused, job
            status, answer = self.ask("POST", "jobs", {"machine": self.name, "file": file})
            if status == 201:
                job = answer["id"]
                return True
            refused = answer
            self.free(5)
        job = None
        self.until(started, 20)
        return job, refused

    def to_the_end(self, job):
        """The job when it is over, how often a person had to resume, and how long it took."""
        resumed, began, held = 0, time.monotonic(), 0
        while time.monotonic() - began < 75:
            it = self.ask("GET", f"jobs/{job}")[1]
            if it["state"] in OVER:
                return it, resumed, time.monotonic() - began
            held = held + 1 if "held" in (it["state"], self.machine()["state"]) else 0
            if 10 <= held:
                resumed, held = resumed + 1, 0
                self.tell("resume")
            time.sleep(.05)
        return it, resumed, None

    def run(self, seed, keep, rush):
        program = invent(seed)
        kind, faults = invent_faults(seed, sum(len(line) + 1 for line in program))
        rig = self.plug(self.name, faults, seed)
        facts = {"seed": seed, "kind": kind, "faults": faults}
        begin = plugged = time.monotonic()
        job, seconds, resumed, findings = {"state": "never started"}, None, 0, []
        try:
            if not self.free(40):
                findings.append(f"not idle within 40 s of plugging in: {self.machine()['state']}")
            # The machine that stands for the new controller is the old one to the house.
            for _ in range(40):
                if not self.machine()["live"].get("position_doubt"):
                    break
                self.tell("home")
                time.sleep(.1)
            text, file = ("\n".join(program) + "\n").encode(), {}
            while "id" not in file:  # a few uploads at a time are taken
                _, file = self.ask("POST", f"files?name=run-{seed}.nc", text)
            if not rush:
                time.sleep(.6)  # two reports at rest, from which the house learns what an empty buffer looks like
            ready = time.monotonic()
            name, refused = self.start(file["id"])
            if name is None:
                findings.append(f"never started: {json.dumps(refused)[:300]}")
            else:
                begin = ready
                job, resumed, seconds = self.to_the_end(name)
                if seconds is None:
                    findings.append(f"still {job['state']} after 75 s, machine {self.machine()['state']}")
            over = time.monotonic()
            time.sleep(.4)
            if job["state"] == "interrupted":
                status, answer = self.ask("POST", f"jobs/{name}/decision", {"decision": "scrap", "reason": "the run is over"})
                if status != 200:
                    findings.append(f"scrap refused: {json.dumps(answer)[:200]}")
            elif name and job["state"] not in OVER:
                self.ask("POST", f"jobs/{name}/cancel")
            if not self.free(25):
                mill = self.machine()
                findings.append(f"not idle 25 s after the run: {mill['state']} {json.dumps(mill.get('live'))[:300]}")
        finally:
            link, device = rig.close()
        if not self.until(lambda: self.machine()["state"] in ("offline", "connecting"), 10):
            findings.append("an unplugged cable was not noticed")
        heard = Heard(rig.trace, begin * 1e6, (over + .35) * 1e6)
        hit = link.get("faulted_bytes", 0) or link.get("cuts", 0)
        if kind == "stall":
            at, length = (float(re.search(rf"{word}=([0-9.]+)", faults[0])[1]) for word in ("at", "for"))
            hit = begin < plugged + at + length and plugged + at < over
        outcome, why = judge(heard, program, job, hit) if job["state"] != "never started" else ("NOT_STARTED", "")
        strange = strange_bytes(heard, program)
        if strange:
            findings.append(f"sent {strange}")
        facts.update(outcome=outcome, why=why, state=job["state"], hits=link.get("faulted_bytes"), cuts=link.get("cuts"), resumed=resumed,
                     lines=len(program), acked=job.get("lines_acked"), rx_lost=device.get("rx_lost"), ready_s=round(ready - plugged, 2),
                     seconds=seconds and round(seconds, 2), bytes=[link["host_to_device"]["bytes"], link["device_to_host"]["bytes"]], findings=findings)
        if keep and (findings or outcome.isupper()):
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(rig.trace, keep / f"{seed}.trace")
            (keep / f"{seed}.json").write_text(json.dumps({**facts, "job": job, "program": program, "window": [begin * 1e6, over * 1e6]}, indent=1))
        return facts


def faults(args):
    tally, causes, broken, slowest, resumed = {}, {}, [], 0, 0
    seeds = iter(range(args.seed, args.seed + args.n))
    lock = threading.Lock()
    with tempfile.TemporaryDirectory() as folder:
        plug = lambda name, faults=(), seed=1: Rig(folder, name=name, scale=FAULT_SCALE, trace=True, faults=faults, seed=seed)
        names = [f"m{at}" for at in range(min(args.lanes, args.n))]
        house = House(folder, [argparse.Namespace(name=name, host=Path(folder) / f"{name}.host") for name in names])

        def work(name):
            nonlocal slowest, resumed
            lane = Lane(house, folder, name, plug)
            while house.process.poll() is None:
                with lock:
                    seed = next(seeds, None)
                if seed is None:
                    return
                try:
                    facts = lane.run(seed, args.keep, args.rush)
                except Exception as error:  # the rest of the runs is worth having
                    facts = {"seed": seed, "kind": "?", "outcome": "BENCH_FAILED", "why": repr(error), "findings": [repr(error)]}
                with lock:
                    per_kind = tally.setdefault(facts["kind"], {})
                    per_kind[facts["outcome"]] = per_kind.get(facts["outcome"], 0) + 1
                    slowest, resumed = max(slowest, facts.get("seconds") or 0), resumed + bool(facts.get("resumed"))
                    if facts["outcome"] == "detected":
                        cause = re.sub(r"[`'\"].*?[`'\"]|/\S+|-?\d+(\.\d+)?", "_", facts["why"])[:70]
                        causes[cause] = causes.get(cause, 0) + 1
                    if facts["findings"] or facts["outcome"].isupper() or args.n <= 20:
                        broken.append(seed)
                        say(**facts)
        lanes = [threading.Thread(target=work, args=(name,), daemon=True) for name in names]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        died = house.process.poll()
        house.close()
        log = (Path(folder) / "daemon.log").read_text(errors="replace")
        verify = subprocess.run([str(HEADSTOCK), "journal", "verify", "--state-dir", folder], capture_output=True, text=True)
    outcomes = {}
    for per_kind in tally.values():
        for outcome, count in per_kind.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
    runs = sum(outcomes.values())
    unseen = outcomes.get("unseen_words", 0) + outcomes.get("unseen_detour", 0)
    say(runs=runs, seeds=[args.seed, args.seed + args.n - 1], outcomes=outcomes, by_kind=dict(sorted(tally.items())),
        unseen_share=round(unseen / max(1, runs), 4), held_and_resumed=resumed, slowest_job_s=slowest, daemon_died=died, panics=log.count("panicked"),
        journal_verify=verify.returncode, told=dict(sorted(causes.items(), key=lambda it: -it[1])[:25]))
    if died is not None or "panicked" in log:
        say(daemon_log=log[-3000:])


OURS = {"M105", "M114", "M115", "M400", "M410"}


def print_lines(path, most=None):
    """The lines of a print that reach a firmware."""
    lines = (" ".join(line.split(";")[0].split()) for line in Path(path).read_text().splitlines())
    return [line for line in lines if line][:most]


def delivered(trace):
    """The lines that came out of the link at the device's end: seconds of the last byte, and the bytes."""
    line = bytearray()
    for row in trace.read_text(errors="replace").splitlines():
        parts = row.split("\t")
        if len(parts) < 4 or parts[1] != "h>d" or parts[2] != "out":
            continue
        for piece in re.findall(r"\\x[0-9a-f]{2}|\\.|.", parts[3], re.S):
            byte = {"\\n": 10, "\\r": 13, "\\t": 9, "\\\\": 92}.get(piece)
            byte = byte if byte is not None else int(piece[2:], 16) if piece.startswith("\\x") else ord(piece[-1])
            if byte in (10, 13):
                if line:
                    yield float(parts[0]) / 1e6, bytes(line)
                line = bytearray()
            else:
                line.append(byte)


def taken(trace):
    """What the lab's firmware takes of it, by the rules of line numbers and checksums, and nothing of the driver's.

    A numbered line whose `*` has become a line end is taken by the lab's firmware without a checksum, which a real Marlin
    refuses ("No Checksum with line number"); it is taken here as well, so that what was carried out is told. One list for each time that the numbers began anew: seconds, bytes on the wire, and the command."""
    last, runs = 0, [[]]
    for at, line in delivered(trace):
        text = line.decode("latin-1").lstrip()
        if not text.startswith("N"):
            continue
        body, star, checksum = text.rpartition("*") if "*" in text else (text, "", "")
        number = re.match(r"N(-?\d+)", text)
        renumbers = "M110" in text
        sum_of = 0
        for byte in body.encode("latin-1"):
            sum_of ^= byte
        told = re.fullmatch(r"\s*(\d+)\s*", checksum)
        if not number or star and (not told or int(told[1]) != sum_of):
            continue
        if renumbers:
            named = re.search(r"M110 N(-?\d+)", body)
            last = int(named[1]) if named else int(number[1])
            runs.append([])
        elif int(number[1]) == last + 1:
            last += 1
            runs[-1].append((at, len(line) + 1, body[len(number[0]):].strip(), bool(star)))
    return runs


def program_of(run):
    return [it for it in run if it[2] not in OURS]


def without_frame(run):
    """A print without the modes that the house sets before it, and what it asks when the printer rests again."""
    texts = [it[2] for it in run]
    first = 3 if texts[:3] == ["G21", "G90", "M82"] else 0
    while run[first:] and run[-1][2] in ("M220", "M221"):
        run = run[:-1]
    return run[first:]


def marlin_told(rig, file, baud, advanced, **facts):
    """Ends a print's rig and says what was carried out, beside what the wire and the window allow."""
    link, device = rig.close()
    run = program_of(max(taken(rig.trace), key=len))
    rate = (len(run) - 1) / (run[-1][0] - run[0][0])
    # What one line costs: its bytes on the wire, the firmware's own time, and in ping-pong its answer (`ok` and a line end).
    byte_s, bytes_each = 10 / baud, statistics.mean(it[1] for it in run)
    wire, work = bytes_each * byte_s, 400e-6 + 8e-6 * (bytes_each - 1)
    limit = 1 / (max(wire, work) if advanced else wire + work + 3 * byte_s)
    say(**facts, baud=baud, window="ADVANCED_OK" if advanced else "ping-pong", lines=len(run), same_as_file=[it[2] for it in without_frame(run)] == print_lines(file),
        lines_per_s=round(rate, 1), limit_lines_per_s=round(limit, 1), share=round(rate / limit, 4), bytes_per_line=round(bytes_each, 2), resends=device["resends"],
        rx_lost=device["rx_lost"], rx_max_fill=device["rx_max_fill"], answer_to_next_byte_us=link["protocol"]["answer_to_next_byte_us"],
        lateness_us=link["instrument"]["byte_lateness_us"])
    return rate


def marlin_run(file, baud, advanced, scale=0):
    device = ("--flavour", "marlin", *(["--advanced-ok"] if advanced else []))
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(folder, name="printer", baud=baud, scale=scale, device=device, trace=True)
        house = House(folder, [rig], baud=baud, driver="marlin")
        try:
            house.ready("printer")
            upload = house.json("upload", str(file))
            cpu0, began = house.usage()[0], time.monotonic()
            job = house.run(upload["id"], "printer")
            rss = 0
            while house.job(job)["state"] in ("running", "held", "queued"):
                time.sleep(0.5)
                rss = max(rss, house.usage()[1])
            state, seconds, cpu = house.job(job)["state"], time.monotonic() - began, house.usage()[0] - cpu0
        finally:
            house.close()
        return marlin_told(rig, file, baud, advanced, who="headstock", state=state, cpu_share=round(cpu / seconds, 4), rss_mib=round(rss, 1))


def ping_pong(port, lines, spins):
    """Sends one line per `ok` and does nothing else: what this instrument allows whoever is at the host's end."""
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(fd)
    answers = b""

    def answered():
        nonlocal answers
        while b"ok\n" not in answers:
            if not spins:
                select.select([fd], [], [])
            try:
                answers += os.read(fd, 4096)
            except BlockingIOError:
                pass
        answers = b""
    for number, line in enumerate(["M110 N0", *lines]):
        text = f"N{number} {line}".encode()
        checksum = 0
        for byte in text:
            checksum ^= byte
        os.write(fd, b"%s*%d\n" % (text, checksum))
        answered()
    os.close(fd)


def marlin_reference(file, baud, spins):
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(folder, name="printer", baud=baud, scale=0, device=("--flavour", "marlin"), trace=True)
        ping_pong(rig.host, print_lines(file), spins)
        return marlin_told(rig, file, baud, False, who="reference", waits="spinning" if spins else "in select")


def marlin(args):
    file = LAB / "gcode" / "print_20k.gcode"
    for _ in range(args.runs):
        for baud in (115200, 250000):
            marlin_run(file, baud, True)
            ours, waits, spins = marlin_run(file, baud, False), marlin_reference(file, baud, False), marlin_reference(file, baud, True)
            say(baud=baud, window="ping-pong", to_reference_that_waits=round(ours / waits, 4), to_reference_that_spins=round(ours / spins, 4))


def marlin_faults(args):
    """Prints of 300 lines, one after the other, on a link that loses one byte in 10,000 and changes another, both ways."""
    rate, most, rng = 1e-4, 300, random.Random(args.seed)
    wanted = print_lines(LAB / "gcode" / "print_20k.gcode")
    # A line that has lost its `*` has lost its checksum; the lab's firmware takes it, a real one asks for it again.
    tally = {"exact": 0, "exact_but_for_lines_without_checksum": 0, "not": 0}
    for lane, advanced in enumerate((True, False)):
        with tempfile.TemporaryDirectory() as folder:
            device = ("--flavour", "marlin", *(["--advanced-ok"] if advanced else []))
            rig = Rig(folder, name="printer", baud=250000, scale=0, device=device, trace=True, seed=args.seed * 2 + lane,
                      faults=(f"drop,rate={rate}", f"flip,rate={rate}"))
            house = House(folder, [rig], baud=250000, driver="marlin")
            programs, states = [], []
            try:
                house.ready("printer")
                for number in range(args.n // 2):
                    at = rng.randrange(len(wanted) - most)
                    lines = ["G28", *wanted[at:at + most], f"M117 end {number}"]
                    file = Path(folder) / f"{number}.gcode"
                    file.write_text("\n".join(lines) + "\n")
                    programs.append(lines)
                    job = house.run_when_ready(house.json("upload", str(file))["id"], "printer")
                    wait_for(lambda: house.job(job)["state"] not in ("running", "held", "queued"), 120, "for a print")
                    states.append(house.job(job)["state"])
            finally:
                house.close()
            link, device = rig.close()
            runs = [without_frame(program_of(run)) for run in taken(rig.trace)]
            unguarded = [{at for at, it in enumerate(run) if not it[3]} for run in runs]
            runs = [[it[2] for it in run] for run in runs]
            for number, (program, state) in enumerate(zip(programs, states)):
                same = lambda run, open_: len(run) == len(program) and all(one == other or at in open_ for at, (one, other) in enumerate(zip(program, run)))
                found = [run == program for run, open_ in zip(runs, unguarded) if same(run, open_)]
                kind = "not" if state != "completed" or len(found) != 1 else "exact" if found[0] else "exact_but_for_lines_without_checksum"
                tally[kind] += 1
                if kind == "not":
                    near = max(runs, key=lambda run: len(set(run) & set(program)), default=[])
                    odd = [(one, other) for one, other in zip(program + [None], near + [None]) if one != other][:2]
                    say(run=number, advanced=advanced, state=state, lines=len(near), differ=odd)
            say(window="ADVANCED_OK" if advanced else "ping-pong", runs=len(states), states={it: states.count(it) for it in set(states)}, programs_taken=len(runs),
                resends=device["resends"], checksum_errors=device["checksum_errors"], lines=device["lines"], faults=link.get("faults"), lateness_us=link["instrument"]["byte_lateness_us"])
    say(**tally, runs=args.n, rate=rate, seed=args.seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["stream", "unlimited", "holds", "eight", "idle", "kill", "faults", "marlin", "marlin_faults"])
    parser.add_argument("--file", default="cnc_surface_20k.nc")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--n", type=int)
    parser.add_argument("--by", choices=["rest", "socket", "cli"], default="rest")
    parser.add_argument("--busy", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--baud", type=int, default=12_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--frame", type=int, default=0, help="eight: microseconds of a USB frame, at whose end bytes cross (0: one by one)")
    parser.add_argument("--lanes", type=int, default=4)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--rush", action="store_true")
    args = parser.parse_args()
    args.n = args.n or {"holds": 2000, "kill": 300, "faults": 1000, "marlin_faults": 200}.get(args.what)
    if not (LAB / "serial_link" / "Cargo.toml").exists():
        sys.exit(f"the lab is not at {LAB}: nothing was measured (set HEADSTOCK_LAB)")
    if not LINK.exists():
        subprocess.run(["cargo", "build", "--release", "--manifest-path", str(LAB / "serial_link" / "Cargo.toml")], check=True,
                       env={**os.environ, "CARGO_TARGET_DIR": str(TARGET / "lab")})
    if not HEADSTOCK.exists():
        sys.exit(f"{HEADSTOCK} is not there: cargo build --release")
    globals()[args.what](args)


main()
