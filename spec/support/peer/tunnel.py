"""Two ways to HOST:PORT, on ports that are written to FILE: a tunnel, and a proxy
that knows CONNECT and SOCKS5 with names, and leads there whatever it is asked for.
Ends when it is killed."""
import os
import signal
import socket
import sys
import threading

host, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def pump(source, sink):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            sink.sendall(data)
    except OSError:
        pass
    for each in (source, sink):
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve_one(client, is_proxy):
    if is_proxy and client.recv(1, socket.MSG_PEEK) == b"\x05":
        client.recv(4096)
        client.sendall(b"\x05\x00")
        # Of an address a client has looked up the name itself.
        if client.recv(4096)[3] != 3:
            client.close()
            return
        client.sendall(b"\x05\x00\x00\x01" + bytes(6))
    elif is_proxy:
        client.recv(4096)
        client.sendall(b"HTTP/1.1 200 ok\r\n\r\n")
    server = socket.create_connection((host, port))
    threading.Thread(target=pump, args=(client, server), daemon=True).start()
    pump(server, client)


def serve(listener, is_proxy):
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve_one, args=(client, is_proxy), daemon=True).start()


ports = []
for is_proxy in (False, True):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    ports.append(str(listener.getsockname()[1]))
    threading.Thread(target=serve, args=(listener, is_proxy), daemon=True).start()
with open(path + ".new", "w") as file:
    file.write(" ".join(ports))
os.rename(path + ".new", path)
signal.pause()
