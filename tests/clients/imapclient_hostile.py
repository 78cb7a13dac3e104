"""IMAPClient parses every answer about hostile mail: HOST IMAPS CA USER PASSWORD MAILBOX FOLDER"""
import pathlib
import socket
import ssl
import sys

from imapclient import IMAPClient

host, imaps, ca, user, password, mailbox, folder = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
lookup = socket.getaddrinfo
socket.getaddrinfo = lambda name, *rest, **more: lookup("127.0.0.1" if name == host else name, *rest, **more)
client = IMAPClient(host, int(imaps), ssl_context=context)
client.login(user, password)
client.select_folder(mailbox, readonly=True)
uids = client.search()
files = sorted(pathlib.Path(folder).iterdir())
assert len(uids) == len(files), (len(uids), len(files))
items = [
    ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY", "EMAILID", "MODSEQ", "PREVIEW"],
    ["BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]"],
    ["BODY.PEEK[HEADER.FIELDS (SUBJECT FROM TO)]", "BODY.PEEK[1]", "BODY.PEEK[1.MIME]", "BINARY.SIZE[1]"],
]
failures = []
for uid, file in zip(uids, files):
    raw = file.read_bytes().replace(b"\0", b"\x80")  # literals carry no NUL
    for some in items:
        try:
            answer = client.fetch([uid], some)[uid]
            if b"ENVELOPE" in answer:
                assert answer[b"RFC822.SIZE"] == len(raw), "size"
                assert answer[b"ENVELOPE"] is not None and answer[b"BODYSTRUCTURE"] is not None
                str(answer[b"ENVELOPE"])
            if b"BODY[]" in answer:
                assert answer[b"BODY[]"] == raw, "bytes"
                assert answer[b"BODY[HEADER]"] + answer[b"BODY[TEXT]"] == raw, "header and text"
        except Exception as error:  # every kind is a failure, and the next message is tried
            if "UNKNOWN-CTE" not in str(error):
                failures.append(f"{file.name} {some}: {error!r}"[:400])
client.logout()
print("\n".join(failures[:20]))
print(f"IMAPClient: {len(files)} messages, {len(failures)} failures")
sys.exit(bool(failures))
