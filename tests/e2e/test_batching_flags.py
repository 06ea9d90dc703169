"""The flags of batching: what is refused at start, and how."""

import pytest

from server_process import base_path, free_port, run_to_exit

MODEL = "half_plus_two"
SYNTAX_ERROR = ("INVALID_ARGUMENT: Invalid protobuf file: '{path}': Error parsing text-format "
                "tensorflow.serving.BatchingParameters: ")


def refusal(*flags):
    """The output of a server that does not start."""
    status, output = run_to_exit(f"--port={free_port()}", f"--model_name={MODEL}",
                                 f"--model_base_path={base_path(MODEL)}", *flags)
    assert status > 0, f"status {status}: {output}"
    assert output.startswith("Failed to start server. Error: "), output
    return output.removeprefix("Failed to start server. Error: ")


@pytest.mark.parametrize("dry_run", [[], ["--dry_run"]], ids=["start", "dry_run"])
@pytest.mark.parametrize("text, error", [
    ("max_batch_size: 32", SYNTAX_ERROR + '1:17: Expected "{", found "32". (expected is text like: '
     "max_batch_size { value: 32 } "),
    ("max_batch_size { value: 1 }\nbatch_size { value: 1 }",
     SYNTAX_ERROR + '2:12: Message type "tensorflow.serving.BatchingParameters" has no field named '
     '"batch_size".'),
    ("num_batch_threads { value: 0 }",
     "INVALID_ARGUMENT: num_batch_threads must be positive; was 0 (in '{path}')"),
    ("batch_timeout_micros { value: -1 }",
     "INVALID_ARGUMENT: batch_timeout_micros must be non-negative; was -1 (in '{path}')"),
    ("allowed_batch_sizes: 32",
     "INVALID_ARGUMENT: Last entry in allowed_batch_sizes must match max_batch_size; last entry "
     "was 32; expected 1000 (in '{path}')"),
    (None, "NOT_FOUND: {path}; No such file or directory"),
])
def test_wrong_file(tmp_path, text, error, dry_run):
    path = tmp_path / "batching.config"
    if text is not None:
        path.write_text(text)
    output = refusal("--enable_batching", f"--batching_parameters_file={path}", *dry_run)
    assert output.startswith(error.replace("{path}", str(path))), output


def test_file_without_batching(tmp_path):
    """Whatever the file is: it is not looked at."""
    flag = f"--batching_parameters_file={tmp_path / 'missing.config'}"
    for flags in [flag], [flag, "--enable_batching=false"]:
        assert refusal(*flags).startswith(
            "INVALID_ARGUMENT: server_options.batching_parameters_file is set without setting "
            "server_options.enable_batching to true."), flags


def test_per_model_parameters_without_batching(start_server):
    server = start_server(MODEL, base_path(MODEL), "--enable_per_model_batching_parameters")
    assert ("--enable_per_model_batching_parameters has no effect: --enable_batching is not given"
            in server.log), server.log


def test_parameters_as_the_originals_documents_write_them(tmp_path, start_server):
    path = tmp_path / "batching.config"
    path.write_text("""
        max_batch_size { value: 128 }
        batch_timeout_micros { value: 0 }
        max_enqueued_batches { value: 1000000 }
        num_batch_threads { value: 8 }
        allowed_batch_sizes: 32
        allowed_batch_sizes: 128
        pad_variable_length_inputs: true
    """)
    start_server(MODEL, base_path(MODEL), "--enable_batching", f"--batching_parameters_file={path}",
                 "--enable_per_model_batching_parameters")
