"""Servers for the tests: one shared for each model and set of flags, or one of a test's own."""

import pytest

import server_process


@pytest.fixture(scope="session", autouse=True)
def _binary_exists():
    path = server_process.binary()
    if not server_process.pathlib.Path(path).is_file():
        pytest.exit(f"no server binary at {path}: build it, or name one in TFLITE_MODEL_SERVER",
                    returncode=3)


@pytest.fixture(scope="session")
def serving():
    """serving("half_plus_two", *flags): a running server of that test model, shared by all tests
    that ask for the same; they must leave it as it was."""
    servers = []

    def get(model, *flags):
        for server, started_with in servers:
            if started_with == (model, *flags) and server.running():
                return server
        server = server_process.Server(model, server_process.base_path(model), *flags)
        servers.append((server, (model, *flags)))
        return server.wait_until_ready()

    yield get
    _stop_all(server for server, _ in servers)


@pytest.fixture
def start_server():
    """start_server(name, base_path, *flags): a server for one test alone, ready to answer.

    A test may stop or kill it itself.
    """
    servers = []

    def start(model_name, model_base_path, *flags, **options):
        servers.append(server_process.Server(model_name, model_base_path, *flags, **options))
        return servers[-1].wait_until_ready()

    yield start
    _stop_all(servers)


@pytest.fixture(scope="session")
def grpc_client():
    """grpc_client(server): a client of that server, closed at the end of the session."""
    from grpc_client import Client  # imports TensorFlow: seconds, and only where it is needed
    clients = {}

    def get(server):
        if server.grpc_target not in clients:
            clients[server.grpc_target] = Client(server.grpc_target)
        return clients[server.grpc_target]

    yield get
    for client in clients.values():
        client.close()


def _stop_all(servers):
    """Ends what no test has ended. One that died by itself fails here, wherever it happened."""
    problems = []
    for server in servers:
        if server.ended_on_purpose:
            continue
        try:
            server.stop()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)
