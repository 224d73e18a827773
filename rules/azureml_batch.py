"""Runs a batch scoring script over the files of a folder: `azureml_batch.py INPUT... OUTPUT`.

The script defines `init()` and `run(mini_batch)`, a list of paths in, a DataFrame or a list out, as for Azure ML batch
deployments; `shutdown()` is called at the end if it is there. Everything else is said by variables:
AZUREML_ENTRY_SCRIPT (path of the script) and the BATCH_... ones below. Standard library only, Python 3.9 or later.

Exit codes: 0 done, 1 the scoring failed, 2 it could not begin.
"""

import importlib.util
import logging
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import sys
import threading
import time
import traceback

log = logging.getLogger("azureml_batch")

DONE, FAILED, READY, BROKEN = "done", "failed", "ready", "broken"
STOP_SECONDS = 10.0  # for shutdown() of the script
GRANULARITY = 1.0  # seconds after which a waiting worker looks whether it is still wanted


class BatchError(Exception):
    """What ends the run; `code` is the exit code."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.code = code


class Settings:
    """What the variables say."""

    def __init__(self, environ):
        self.script = os.path.abspath(environ.get("AZUREML_ENTRY_SCRIPT", ""))
        self.mini_batch_size = self._integer(environ, "BATCH_MINI_BATCH_SIZE", 10, 1)
        self.workers = self._integer(environ, "BATCH_WORKERS", 1, 1)
        self.max_retries = self._integer(environ, "BATCH_MAX_RETRIES", 3, 0)
        self.timeout = self._integer(environ, "BATCH_TIMEOUT", 30, 1)
        self.error_threshold = self._integer(environ, "BATCH_ERROR_THRESHOLD", -1, -1)
        self.output_action = environ.get("BATCH_OUTPUT_ACTION", "append_row")
        self.output_file = environ.get("BATCH_OUTPUT_FILE", "predictions.csv")
        self.delimiter = environ.get("BATCH_DELIMITER", " ")
        self.level = environ.get("BATCH_LOG_LEVEL", "INFO").upper()
        if self.output_action not in ("append_row", "summary_only"):
            raise BatchError(f"BATCH_OUTPUT_ACTION is {self.output_action!r}, not append_row or summary_only", 2)
        if os.path.basename(self.output_file) != self.output_file or self.output_file in ("", ".", ".."):
            raise BatchError(f"BATCH_OUTPUT_FILE is {self.output_file!r}, not the name of a file", 2)
        if len(self.delimiter) != 1:
            raise BatchError(f"BATCH_DELIMITER is {self.delimiter!r}, not one character", 2)
        if not isinstance(logging.getLevelName(self.level), int):
            raise BatchError(f"BATCH_LOG_LEVEL is {self.level!r}, not DEBUG, INFO, WARNING or ERROR", 2)
        if not os.path.isfile(self.script):
            raise BatchError(f"AZUREML_ENTRY_SCRIPT is {environ.get('AZUREML_ENTRY_SCRIPT')!r}, which is no file", 2)

    @staticmethod
    def _integer(environ, name, default, least):
        text = environ.get(name, str(default))
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise BatchError(f"{name} is {text!r}, not a number of {least} or more", 2)
        return value


def configure_logging(level):
    """The same format for the driver and for what the script logs."""
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def files_of(places, output, own=()):
    """The files of the input folders and files, sorted; nothing hidden, nothing below the output folder.

    Where that is an input itself, the files `own` in it are results. Raises BatchError.
    """
    found = []
    for place in map(os.path.abspath, places):  # the script is run in its own folder
        if os.path.isfile(place):
            found.append(place)
            continue
        if not os.path.isdir(place):
            raise BatchError(f"there is no input {place!r}: mount a folder there, or name another", 2)
        inside = []
        for folder, folders, names in os.walk(place, onerror=_unreadable):
            folders[:] = [
                name for name in folders if name[0] != "." and os.path.realpath(os.path.join(folder, name)) != output
            ]
            results = own if os.path.realpath(folder) == output else ()
            inside += [os.path.join(folder, name) for name in names if name[0] != "." and name not in results]
        found += sorted(path for path in inside if os.path.isfile(path))
    if not found:
        raise BatchError(f"there is no file in {' '.join(places)}", 2)
    return found


def _unreadable(error):
    """A folder that cannot be listed would be passed over in silence."""
    reason = f"{error.strerror}; let user {os.getuid()} read it"
    raise BatchError(f"cannot read the input {error.filename!r}: {reason}", 2) from error


def rows_of(result, delimiter):
    """A result of run() as (text of its rows, their number). Raises TypeError for anything but rows."""
    if hasattr(result, "to_csv"):  # a DataFrame or Series of pandas, which need not be installed
        return result.to_csv(sep=delimiter, header=False, index=False, lineterminator="\n"), len(result)
    if isinstance(result, (str, bytes, dict)) or not hasattr(result, "__iter__"):
        raise TypeError(f"run() returned {type(result).__name__}; it must return a DataFrame or a list")
    rows = [str(item) for item in result]
    return "".join(f"{row}\n" for row in rows), len(rows)


def work(pipe, settings):
    """The process of one worker: init() once, then run() for each mini batch that comes through the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logging(settings.level)
    folder = os.path.dirname(settings.script)
    sys.argv = [settings.script]
    sys.path.insert(0, folder)
    os.chdir(folder)
    try:
        spec = importlib.util.spec_from_file_location("entry_module", settings.script)
        module = importlib.util.module_from_spec(spec)
        sys.modules["entry_module"] = module
        spec.loader.exec_module(module)
        module.init()
    except BaseException:  # noqa: BLE001  a script may raise anything, SystemExit as well
        pipe.send((BROKEN, traceback.format_exc(), 0))
        return
    pipe.send((READY, "", 0))
    while True:
        try:
            batch = pipe.recv()
        except EOFError:
            return
        if batch is None:
            break
        try:
            pipe.send((DONE, *rows_of(module.run(batch), settings.delimiter)))
        except BaseException:  # noqa: BLE001
            pipe.send((FAILED, traceback.format_exc(), 0))
    if hasattr(module, "shutdown"):
        module.shutdown()


class Worker:
    """A worker's process, started again after a timeout or a crash."""

    def __init__(self, settings):
        self._settings = settings
        self._process = self._pipe = None

    def start(self):
        """Start it and wait for init(), which takes as long as it takes. Raises BatchError where that fails."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, self._settings), daemon=True)
        self._process.start()
        theirs.close()
        state, text = self._answer(None)[:2]
        if state != READY:
            raise BatchError(f"init() of {self._settings.script} failed: {text}")

    def run(self, batch):
        """(state, rows or the failure, number of rows) of a mini batch."""
        if self._process is None:
            self.start()
        try:
            self._pipe.send(batch)
        except OSError:
            return self._died()
        return self._answer(self._settings.timeout)

    def _answer(self, timeout):
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = GRANULARITY if end is None else min(GRANULARITY, max(0.0, end - time.monotonic()))
            # What the script forked holds the pipe and the sentinel open after its death, so that is asked for as well.
            dead = self._process.exitcode is not None
            if multiprocessing.connection.wait([self._pipe, self._process.sentinel], 0 if dead else left):
                break
            if dead:
                return self._died()
            if end is not None and time.monotonic() >= end:
                self.kill()
                return FAILED, f"run() took longer than {timeout} s", 0
        try:
            return self._pipe.recv() if self._pipe.poll() else self._died()
        except (EOFError, OSError):
            return self._died()

    def _died(self):
        self._process.join()
        code = self._process.exitcode
        self.kill()
        return FAILED, f"the worker's process died with code {code}", 0

    def kill(self):
        """End it now."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def stop(self):
        """Let it run shutdown()."""
        if self._process is not None:
            try:
                self._pipe.send(None)
                end = time.monotonic() + STOP_SECONDS
                while self._process.exitcode is None and time.monotonic() < end:
                    self._process.join(0.1)  # in pieces, for what the script forked
            except OSError:
                log.warning("a worker's process was gone at the end")
            self.kill()


class Run:
    """One run over all mini batches, by several workers; rows are written in the order of the files."""

    def __init__(self, settings, batches, stream):
        self.settings, self.batches, self.stream = settings, batches, stream
        self.rows = self.failed = self.succeeded = 0
        self.error = None
        self._todo = queue.Queue()
        for number, batch in enumerate(batches):
            self._todo.put((number, batch))
        self._waiting = {}  # number of a mini batch -> its rows, until those before it are written
        self._next = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def perform(self):
        """Do everything. Raises BatchError where it was stopped or nothing succeeded."""
        count = min(self.settings.workers, len(self.batches))
        threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(count)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(GRANULARITY)  # in pieces, so that signals are handled
        finally:
            with self._lock:  # after a signal no thread may start a worker or write rows while the interpreter ends
                self._stopped.set()
        if self.error is not None:
            raise self.error
        if not self.succeeded:
            raise BatchError("every mini batch failed")

    def _serve(self):
        worker = Worker(self.settings)
        try:
            worker.start()
            while not self._stopped.is_set():
                try:
                    number, batch = self._todo.get_nowait()
                except queue.Empty:
                    break
                self._finish(number, batch, *self._attempt(worker, number, batch))
            worker.stop()
        except BatchError as error:
            self._stop(error)
        except Exception as error:  # a thread has nobody else to tell
            log.exception("the driver failed")
            self._stop(BatchError(f"the driver failed: {error}"))
        finally:
            worker.kill()

    def _attempt(self, worker, number, batch):
        tries = 1 + self.settings.max_retries
        for attempt in range(1, tries + 1):
            state, text, rows = worker.run(batch)
            if state == DONE:
                log.debug("mini batch %d: %d files, %d rows", number + 1, len(batch), rows)
                return text, rows
            log.warning("mini batch %d, attempt %d of %d: %s", number + 1, attempt, tries, text.rstrip())
            if self._stopped.is_set():
                break
        log.error("mini batch %d failed: %s", number + 1, " ".join(batch))
        return None, 0

    def _finish(self, number, batch, text, rows):
        with self._lock:
            if self._stopped.is_set():
                return
            self.rows += rows
            self.succeeded += text is not None
            missing = max(0, len(batch) - rows)
            self.failed += missing
            if text is not None and missing:
                log.warning("mini batch %d: %d files and only %d rows", number + 1, len(batch), rows)
            self._waiting[number] = text or ""
            while self._next in self._waiting:
                rows_text = self._waiting.pop(self._next)
                self._next += 1
                if self.stream is not None:
                    self.stream.write(rows_text)
            if 0 <= self.settings.error_threshold < self.failed:
                limit = self.settings.error_threshold
                self._stop(BatchError(f"{self.failed} files failed, and the error threshold is {limit}"))

    def _stop(self, error):
        if self.error is None:
            self.error = error
        self._stopped.set()


def perform(places, output):
    """Score the files of `places` into the folder `output`. Raises BatchError."""
    settings = Settings(os.environ)
    configure_logging(settings.level)
    try:
        os.makedirs(output, exist_ok=True)
        if not os.access(output, os.W_OK | os.X_OK):
            raise PermissionError(f"user {os.getuid()} may not write there")
    except OSError as error:
        reason = error.strerror or error
        raise BatchError(f"cannot write to {output!r}: {reason}; let user {os.getuid()} write to it", 2) from error
    output = os.path.realpath(output)
    os.environ["AZUREML_BI_OUTPUT_PATH"] = output
    target = os.path.join(output, settings.output_file)
    unfinished = f"{target}.incomplete"
    summary = settings.output_action == "summary_only"
    files = files_of(places, output, () if summary else {os.path.basename(target), os.path.basename(unfinished)})
    size = settings.mini_batch_size
    batches = [files[start : start + size] for start in range(0, len(files), size)]
    log.info("%d files in %d mini batches", len(files), len(batches))
    if summary:
        run = Run(settings, batches, None)
        run.perform()
    else:
        # Under its own name only once it is whole: what is there after a failure cannot be taken for a result.
        with open(unfinished, "w", encoding="utf-8", newline="") as stream:
            run = Run(settings, batches, stream)
            run.perform()
        os.replace(unfinished, target)
    log.info("done: %d files, %d failed, %d rows", len(files), run.failed, run.rows)


def _terminated(number, _):
    raise BatchError("stopped by a signal", 128 + number)


def main(arguments):
    """Returns the exit code."""
    if len(arguments) < 2:
        sys.stderr.write("usage: docker run -v FOLDER:/in -v FOLDER:/out IMAGE /in /out\n")
        return 2
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGINT, _terminated)
    try:
        perform(arguments[:-1], arguments[-1])
    except BatchError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
