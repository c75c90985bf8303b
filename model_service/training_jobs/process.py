"""Starting a training's process."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading

from model_service.training_jobs.errors import TrainingNotFound
from model_service.training_jobs.job import Job
from model_service.training_jobs.jobs import TrainingJobs

PROGRAM = "model_service.run_training"


def start(jobs: TrainingJobs, job: Job) -> None:
    """Start the process that does `job`; when that cannot be done, the job has failed.

    The process inherits the lock and outlives this one.
    """
    command = [sys.executable, "-m", PROGRAM, str(job.folder.path), str(job.lock)]
    try:
        with job.folder.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  # our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[job.lock],
            )
    except OSError as error:
        job.finish("failed", f"the training process could not be started: {error.strerror}")
        return
    job.release()
    # A thread, because it must not keep the server from stopping, as a task of the event loop would.
    threading.Thread(target=_reap, args=[process, jobs, job.folder.id], daemon=True).start()


def _reap(process: subprocess.Popen[bytes], jobs: TrainingJobs, identity: str) -> None:
    process.wait()
    with contextlib.suppress(TrainingNotFound):
        jobs.get(identity)  # should it have died, then that goes on record, and the customers go
    jobs.clear_drafts()  # one that was cancelled could not do so itself
