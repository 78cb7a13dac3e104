"""poplib of the standard library: HOST POP3S CA USER PASSWORD FOLDER. Deletes the first two messages."""
import pathlib
import poplib
import ssl
import sys

host, port, ca, user, password, folder = sys.argv[1:]
poplib._MAXLINE = 1 << 24
files = sorted(pathlib.Path(folder).iterdir())


def login():
    pop = poplib.POP3_SSL(host, int(port), context=ssl.create_default_context(cafile=ca))
    pop.user(user)
    pop.pass_(password)
    return pop


def lines(message):
    """As a client that reads line by line sees it."""
    found = message.replace(b"\r\n", b"\n").split(b"\n")
    return found[:-1] if found[-1] == b"" else found


pop = login()
assert {"TOP", "UIDL", "SASL", "PIPELINING"} <= set(pop.capa()), pop.capa()
count, size = pop.stat()
assert (count, size) == (len(files), sum(file.stat().st_size for file in files)), (count, size)
sizes = [int(line.split()[1]) for line in pop.list()[1]]
assert sizes == [file.stat().st_size for file in files]
before = pop.uidl()[1]
assert len(set(before)) == count
for number, file in enumerate(files, 1):
    got = pop.retr(number)[1]
    wanted = lines(file.read_bytes())
    # A bare LF at the end is no CRLF: one is added.
    assert got == wanted or got == wanted + [b""], f"{file.name} is not what was stored"
    head = pop.top(number, 0)[1]
    assert got[:len(head)] == head, file.name
pop.dele(1)
pop.dele(2)
pop.rset()
pop.quit()
pop = login()
assert pop.uidl()[1] == before, "the same numbers"
pop.dele(1)
pop.dele(2)
pop.quit()
pop = login()
after = pop.uidl()[1]
assert [line.split()[1] for line in after] == [line.split()[1] for line in before[2:]], "numbers stay with their messages"
pop.quit()
