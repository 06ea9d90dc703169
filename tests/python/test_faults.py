"""What user code does wrong: an error that says where, and a worker that goes on or ends as it should."""

import signal
import sys

import pytest

import tflite_serving
from tflite_serving._errors import describe
from worker_process import Worker

FAULTS = """
import os, sys

def deeper(request):
    return call(request)

def call(request):
    name = request.decode()
    if name == "raise":
        raise ValueError("bad\\nvalue")
    if name == "nothing":
        raise ValueError
    if name == "index":
        return [][5]
    if name == "memory":
        return bytearray(1 << 60)
    if name == "chain":
        try:
            {}["absent"]
        except KeyError as error:
            raise RuntimeError("outer") from error
    if name == "long":
        raise ValueError("x" * 100_000)
    if name == "text":
        raise Faulty()
    if name == "recursion":
        return deeper(request)
    if name == "pipe":
        raise BrokenPipeError("a pipe of its own")
    if name == "exit":
        sys.exit(0)
    if name == "interrupt":
        raise KeyboardInterrupt
    if name == "kill":
        os.kill(os.getpid(), 9)
    return b'"fine"'

class Faulty(Exception):
    def __str__(self):
        raise TypeError("no text")

def load_servable(path, config):
    return deeper
"""


def test_exceptions_say_what_and_where(serve, tmp_path):
    worker, _ = serve(FAULTS)
    path = tmp_path / "model.py"
    lines = FAULTS.split("\n")

    def message(name):
        reply = worker.call(name.encode())
        assert (reply.kind, reply.code) == ("ERROR", 13), reply
        assert len(reply.message) <= 2000
        return reply.message

    raised = next(number for number, line in enumerate(lines, 1) if "bad" in line)
    assert message("raise").split("\n")[:3] == ["ValueError: bad", f"value ({path}:{raised})", f'  File "{path}", line 5, in deeper']
    assert message("nothing").startswith(f"ValueError ({path}:")
    assert message("index").startswith(f"IndexError: list index out of range ({path}:")
    assert message("memory").startswith(f"MemoryError ({path}:")
    assert message("chain").startswith(f"RuntimeError: outer ({path}:")
    assert message("long").startswith("ValueError: xxx") and f"… ({path}:" in message("long")
    assert message("text").startswith(f"Faulty: (its text cannot be had: TypeError) ({path}:")
    assert message("recursion").startswith("RecursionError: maximum recursion depth exceeded")
    assert message("pipe").startswith("BrokenPipeError: a pipe of its own")
    assert worker.call(b"").body == b'"fine"'
    assert "_worker.py" not in message("raise")
    told = worker.wait_for_output("stderr", "BrokenPipeError: a pipe of its own")
    assert "Traceback (most recent call last)" in told and "KeyError: 'absent'" in told and "RuntimeError: outer" in told


def test_what_a_request_prints_is_written_before_its_answer(module):
    path = module("""
def load_servable(path, config):
    def call(request):
        print("no end of a line", end="")
        return b"1"
    return call
""")
    with Worker(env={"PYTHONUNBUFFERED": ""}) as worker:
        worker.load(path)
        assert worker.call(b"").kind == "ANSWER"
        worker.wait_for_output("stdout", "no end of a line")


@pytest.mark.parametrize("name, says", [("exit", "SystemExit: 0"), ("interrupt", "KeyboardInterrupt")])
def test_an_exit_answers_the_request_first(serve, name, says):
    worker, _ = serve(FAULTS)
    reply = worker.call(name.encode())
    assert (reply.kind, reply.code, reply.is_last) == ("ERROR", 13, True) and reply.message.startswith(says)
    assert worker.wait() == 3


def test_a_killed_worker_is_gone(serve):
    worker, _ = serve(FAULTS)
    with pytest.raises(EOFError):
        worker.call(b"kill")
    assert worker.wait() == -signal.SIGKILL


@pytest.mark.parametrize("source, name, says", [
    ("import no_such_module", "f", "ModuleNotFoundError: No module named 'no_such_module' (PATH:1)\n"),
    ("x = (1", "f", "SyntaxError: '(' was never closed (PATH:1)\n"),
    ("x = 1\n1 / 0", "f", "ZeroDivisionError: division by zero (PATH:2)\n"),
    ("raise SystemExit(5)", "f", "SystemExit: 5 (PATH:1)"),
    ("import sys\ndef load_servable(a, b): pass", "load_servabel",
     "model_class_name: PATH has no load_servabel; it has load_servable. Did you mean load_servable?"),
    ("import sys", "f", "model_class_name: PATH has no f; it has no class or function"),
    ("f = 5", "f", "model_class_name: f in PATH is int, expected a class or a function"),
    ("def f(path, config):\n    pass", "f", "NoneType has neither __call__ nor predict: nothing to call with a request"),
    ("def f(path, config):\n    return open(path + '/absent')", "f",
     "FileNotFoundError: [Errno 2] No such file or directory: 'FOLDER/absent' (PATH:2)"),
    ("def f(path, config, more):\n    pass", "f", "TypeError: f() missing 1 required positional argument: 'more'"),
    ("class f:\n    def __init__(self, path):\n        raise ValueError('no')", "f", "ValueError: no (PATH:3)\n"),
    ("class f:\n    def load(self): self.x\n    def predict(self, inputs): pass", "f", "AttributeError: 'f' object has no attribute 'x' (PATH:2)"),
    ("class f:\n    def warmup(self): 1 / 0\n    def predict(self, inputs): pass", "f", "ZeroDivisionError: division by zero (PATH:2)"),
    ("", "", "model_class_name: PATH has no load_servable or TritonPythonModel; it has no class or function"),
])
def test_what_cannot_be_loaded(module, source, name, says):
    path = module(source)
    with pytest.raises(BaseException) as caught:
        tflite_serving.load(path, name)
    code, message = describe(caught.value)
    assert code == 13
    if sys.version_info >= (3, 11) or "SyntaxError" not in says:
        assert message.startswith(says.replace("PATH", str(path)).replace("FOLDER", str(path.parent)))


@pytest.mark.parametrize("source, says", [("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module' ("),
                                          ("raise SystemExit(5)", "SystemExit: 5 (")])
def test_a_worker_that_cannot_load_ends(serve, source, says):
    worker, reply = serve(source)
    assert (reply.kind, reply.request, reply.code) == ("ERROR", 0, 13) and reply.message.startswith(says)
    assert reply.message.endswith(f'/model.py", line 1, in <module>\n    {source}')
    assert worker.wait() == 1 and "Traceback (most recent call last)" in worker.stderr


def test_modules_that_are_none(module, tmp_path):
    with pytest.raises(Exception, match=f"^module_path: there is no file {tmp_path}/absent.py$"):
        tflite_serving.load(tmp_path / "absent.py")
    with pytest.raises(Exception, match=f"^module_path: {tmp_path}/model.txt is not a Python file$"):
        tflite_serving.load(module("", "model.txt"))


def test_output_comes_line_by_line(serve):
    worker, _ = serve("""
        import sys
        def load_servable(path, config):
            print("loaded drei \\u2462 \\udc80")
            def call(request):
                print("called", end=" ")
                print("twice")
                print("warned", file=sys.stderr)
                return b"{}"
            return call
        """)
    assert worker.wait_for_output("stdout", "\n") == "loaded drei \u2462 \\udc80\n"
    worker.call(b"{}")
    worker.wait_for_output("stdout", "called twice\n")
    worker.wait_for_output("stderr", "warned\n")


@pytest.mark.parametrize("close", ["os.close(1); os.close(2)", "sys.stdout.close(); sys.stderr.close()", "sys.stdout = sys.stderr = None",
                                   "os.dup2(os.open('/dev/null', os.O_RDONLY), 1); os.dup2(1, 2)"])
def test_user_code_may_close_the_standard_streams(serve, close):
    worker, _ = serve(f"""
        import os, sys
        def load_servable(path, config):
            {close}
            def call(request):
                if request == b"write":
                    os.write(1, b"into what is descriptor 1 by now")
                if request == b"raise":
                    raise ValueError("fault")
                return b"{{}}"
            return call
        """)
    assert worker.call(b"{}").body == b"{}"
    assert worker.call(b"raise").message.startswith("ValueError: fault")
    assert worker.call(b"write").kind in ("ANSWER", "ERROR")
    assert worker.call(b"{}").body == b"{}"
    assert worker.unload() == 0


def test_children_of_user_code_do_not_hold_the_connection(serve):
    worker, _ = serve("""
        import os, subprocess, sys
        LIST = "import os; print(sorted(os.listdir('/proc/self/fd')))"
        def load_servable(path, config):
            def call(request):
                return {"run": subprocess.run([sys.executable, "-c", LIST], close_fds=False, stdout=subprocess.PIPE).stdout.decode(),
                        "forked": forked()}
            return call
        def forked():
            read, write = os.pipe()
            if os.fork() == 0:
                os.write(write, repr([os.path.realpath("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd")]).encode())
                os._exit(0)
            os.wait()
            return os.read(read, 65536).decode()
        """)
    reply = worker.call(b"{}")
    assert reply.kind == "ANSWER", reply
    assert b"'0', '1', '2', '3'" in reply.body and b"socket:" not in reply.body


def test_an_unload_that_fails_still_ends(serve):
    worker, _ = serve("""
        class load_servable:
            def __call__(self, request): return b"{}"
            def unload(self): raise ValueError("stuck")
        """)
    assert worker.unload() == 0
    assert "ValueError: stuck" in worker.stderr
