"""A SLURM of two nodes on this machine's loopback (start.sh), and jobs of launch/slurm.sbatch on it."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "faults"))
import harness  # noqa: E402

# A node that is lost is noticed after SlurmdTimeout, 30 s; everything else takes seconds. Nothing but a hang takes this.
LONGEST_JOB_S = 240
# The nodes share a host name, so Open MPI would take shared memory between them.
MPI = {"OMPI_MCA_btl": "self,tcp", "OMPI_MCA_pml": "ob1"}


def is_of(pid: str, folder: pathlib.Path, node: str) -> bool:
    """A daemon of this node writes its log; a task has its name in the environment."""
    environment = pathlib.Path("/proc", pid, "environ").read_bytes().split(b"\0")
    if {f"SLURMD_NODENAME={node}".encode(), f"SLURM_CONF={folder}/slurm.conf".encode()} <= set(environment):
        return True
    log = str(folder / f"log/slurmd.{node}.log")
    return any(os.path.realpath(descriptor.path) == log for descriptor in os.scandir(f"/proc/{pid}/fd"))


class Cluster:
    def __init__(self, folder: pathlib.Path, shop: harness.Workshop):
        self.folder = folder.resolve()
        self.shop = shop
        self.environment = shop.environment({**MPI, "SLURM_CONF": str(self.folder / "slurm.conf")})

    def __enter__(self) -> "Cluster":
        missing = [tool for tool in ("slurmctld", "slurmd", "munged", "srun") if shutil.which(tool) is None]
        harness.expect(not missing and os.geteuid() == 0, f"this test needs SLURM (missing: {missing}) and root: launch/test.sh --slurm")
        self.call(HERE / "start.sh", self.folder)
        states = self.call("sinfo", "-h", "-N", "-o", "%T").split()
        harness.expect(states == ["idle", "idle"], f"the cluster is {states}, expected two idle nodes; see {self.folder}/log")
        return self

    def __exit__(self, *error) -> None:
        with contextlib.suppress(SystemExit):
            self.call("scancel", "--user", "root", "--signal=KILL", "--full")
        self.call(HERE / "stop.sh", self.folder)
        for node in ("n1", "n2"):
            self.kill(self.processes_of(node))

    def call(self, *command, **environment: str) -> str:
        """What it printed. In the background what inherits this pipe would keep it open: hence a file."""
        with (self.folder.parent / "call.log").open("w+") as output:
            code = subprocess.run(list(map(str, command)), stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                  cwd=harness.ROOT, env={**self.environment, **environment}, timeout=120).returncode
            output.seek(0)
            printed = output.read()
        harness.expect(code == 0, f"{command} ended with {code}: {printed}")
        return printed.strip()

    def processes_of(self, node: str) -> list[int]:
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                if is_of(pid, self.folder, node):
                    found.append(int(pid))
        return found

    @staticmethod
    def kill(pids: list[int]) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def lose(self, node: str) -> None:
        """Everything of this node dies at once: slurmd, its steps' daemons, mpirun's daemon, the ranks."""
        pids = self.processes_of(node)
        harness.expect(len(pids) >= 4, f"node {node} has only the processes {pids}: no slurmd, slurmstepd and two ranks")
        self.kill(pids)

    def bring_back(self, node: str) -> None:
        self.call("slurmd", "-f", self.folder / "slurm.conf", "-N", node)


class Job:
    def __init__(self, cluster: Cluster, name: str, launcher: str, sbatch_options: list[str], train: dict[str, object]):
        self.cluster = cluster
        self.output_dir = cluster.shop.scratch / name
        self.log = cluster.shop.scratch / f"{name}.log"
        config = cluster.shop.scratch / f"{name}.cfg"
        command = cluster.shop.train_command(0, self.output_dir, train)
        options = dict(zip(command[command.index("train") + 1::2], command[command.index("train") + 2::2]))
        output_dir = options.pop("--output_dir")
        config.write_text("".join(f"{key.removeprefix('--')} = {value}\n" for key, value in options.items()))
        self.number = cluster.call("sbatch", "--parsable", "--nodes=2", "--ntasks-per-node=2", "--time=30", f"--output={self.log}",
                                   *sbatch_options, "launch/slurm.sbatch", config, "--output_dir", output_dir,
                                   ALLRECO_LAUNCHER=launcher, ALLRECO_PRESET=cluster.shop.allreco.parent.name)

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def requeues(self) -> list[str]:
        path = self.output_dir / "requeues.log"
        return path.read_text().splitlines() if path.exists() else []

    def field(self, name: str) -> str:
        shown = self.cluster.call("scontrol", "show", "job", self.number)
        return re.search(rf"\b{name}=(\S+)", shown)[1]

    def wait_for(self, condition, what: str) -> None:
        deadline = time.monotonic() + LONGEST_JOB_S
        while not condition():
            harness.expect(time.monotonic() < deadline, f"job {self.number}: waited in vain for {what}: {self.said()[-4000:]}")
            time.sleep(0.1)

    def wait_for_step(self, step: int) -> None:
        self.wait_for(lambda: harness.last_step(self.output_dir) >= step, f"step {step}")

    def start_now(self) -> None:
        """SLURM lets a requeued job wait for two minutes. For a moment after the end of the former start the nodes refuse the
        job: its credential is revoked."""
        self.wait_for(lambda: self.field("JobState") == "PENDING", "its return to the queue")
        time.sleep(3)
        self.cluster.call("scontrol", "update", f"JobId={self.number}", "StartTime=now")

    def wait_for_end(self) -> tuple[str, str]:
        """State and exit code."""
        self.wait_for(lambda: self.field("JobState") in ("COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "TIMEOUT"), "its end")
        return self.field("JobState"), self.field("ExitCode")
