"""imaplib of the standard library over COMPRESS=DEFLATE, inflated and deflated here by zlib: HOST IMAPS CA USER PASSWORD"""
import imaplib
import ssl
import sys
import zlib

host, imaps, ca, user, password = sys.argv[1:]


class Deflated:
    """A socket and its file. RFC 4978: raw DEFLATE, flushed after each command."""

    def __init__(self, sock):
        self.sock = sock
        self.deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        self.inflate = zlib.decompressobj(-15)
        self.buffer = b""
        self.came = 0
        self.gave = 0

    def sendall(self, data):
        self.sock.sendall(self.deflate.compress(data) + self.deflate.flush(zlib.Z_SYNC_FLUSH))

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("closed")
        plain = self.inflate.decompress(data)
        self.came += len(data)
        self.gave += len(plain)
        self.buffer += plain

    def read(self, size):
        while len(self.buffer) < size:
            self.more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def readline(self, limit=-1):
        while b"\n" not in self.buffer:
            self.more()
        return self.read(self.buffer.index(b"\n") + 1)

    def close(self):
        """As a file; imaplib shuts the socket down after it."""

    def __getattr__(self, name):
        return getattr(self.sock, name)


imap = imaplib.IMAP4_SSL(host, int(imaps), ssl_context=ssl.create_default_context(cafile=ca))
imap.login(user, password)
imaplib.Commands["COMPRESS"] = ("AUTH", "SELECTED")
assert imap._simple_command("COMPRESS", "DEFLATE")[0] == "OK"
wire = Deflated(imap.sock)
imap.sock = imap.file = imap._file = wire

assert imap._simple_command("COMPRESS", "DEFLATE")[0] == "NO", "a second time"
body = b"From: a@example.org\r\nSubject: deflate\r\n\r\n" + b"The same line again and again.\r\n" * 20000
assert imap.append("Archive", None, None, body)[0] == "OK"
assert imap.select("Archive")[0] == "OK"
number = imap.search(None, "SUBJECT", "deflate")[1][0].split()[-1]
assert imap.fetch(number, "(BODY.PEEK[])")[1][0][1] == body, "not what was stored"
assert wire.came * 10 < wire.gave, f"{wire.came} bytes for {wire.gave}"
for size in (1, 100, 10000):
    assert imap.fetch(number, f"(BODY.PEEK[]<0.{size}>)")[1][0][1] == body[:size]
# A literal that waits for `+`, in the midst of the compressed stream; and IDLE.
imap.send(b"x1 IDLE\r\n")
assert imap.readline().startswith(b"+"), "IDLE"
imap.send(b"DONE\r\n")
assert imap.readline().startswith(b"x1 OK"), "DONE"
assert imap.store(number, "+FLAGS", "(\\Deleted)")[0] == "OK"
assert imap.expunge()[0] == "OK"
imap.logout()
