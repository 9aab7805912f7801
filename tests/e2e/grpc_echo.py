"""A gRPC server and its client, without generated code: `server [CERT KEY]` says
its port, `client TARGET ROOTS` calls each kind of method and says what came.
For the distribution's Python, which has grpc."""
import hashlib
import sys
import threading
from concurrent import futures

import grpc


def once(request, context):
    context.set_trailing_metadata((("x-sum", hashlib.sha256(
        request).hexdigest()),))
    who = dict(context.invocation_metadata())
    return b"%d %s" % (len(request),
                       who.get("tailscale-user-login", "nobody").encode())


def many(request, _):
    for i in range(int(request)):
        yield b"%d" % i * 1000


def both(requests, _):
    for request in requests:
        yield request.upper()


def fail(_, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")


def serve(cert=None, key=None):
    handlers = {
        "Once": grpc.unary_unary_rpc_method_handler(once),
        "Many": grpc.unary_stream_rpc_method_handler(many),
        "Both": grpc.stream_stream_rpc_method_handler(both),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
    }
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Echo", handlers),))
    if cert:
        with open(cert, "rb") as c, open(key, "rb") as k:
            pair = ((k.read(), c.read()),)
        port = server.add_secure_port(
            "127.0.0.1:0", grpc.ssl_server_credentials(pair))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    threading.Event().wait()


def client(target, roots):
    with open(roots, "rb") as f:
        channel = grpc.secure_channel(
            target, grpc.ssl_channel_credentials(f.read()))
    data = b"x" * 3000000
    answer, made = channel.unary_unary("/test.Echo/Once").with_call(
        data, timeout=30)
    total = dict(made.trailing_metadata())["x-sum"]
    print("once", answer.decode(), total == hashlib.sha256(data).hexdigest())
    stream = channel.unary_stream("/test.Echo/Many")(b"200", timeout=30)
    print("many", sum(len(part) for part in stream))
    # Each is sent when the last one's answer is here.
    turn = threading.Semaphore(1)

    def words():
        for word in (b"a", b"b", b"c"):
            turn.acquire()
            yield word
    got = []
    for part in channel.stream_stream("/test.Echo/Both")(words(), timeout=30):
        got.append(part.decode())
        turn.release()
    print("both", "".join(got))
    try:
        channel.unary_unary("/test.Echo/Fail")(b"", timeout=30)
    except grpc.RpcError as err:
        print("fail", err.code().name, err.details())


if sys.argv[1] == "server":
    serve(*sys.argv[2:])
else:
    client(*sys.argv[2:])
