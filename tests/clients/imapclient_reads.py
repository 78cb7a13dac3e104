"""IMAPClient parses every answer about every message: HOST IMAPS CA USER PASSWORD FOLDER"""
import pathlib
import ssl
import sys

from imapclient import IMAPClient

host, imaps, ca, user, password, folder = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
client = IMAPClient(host, int(imaps), ssl_context=context)
client.login(user, password)
names = {name: flags for flags, _, name in client.list_folders()}
assert b"\\Sent" in names["Sent"] and "INBOX" in names, names
client.select_folder("Corpus")
uids = client.search()
files = sorted(pathlib.Path(folder).iterdir())
assert len(uids) == len(files)
items = ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]"]
answers = client.fetch(uids, items)
for uid, file in zip(uids, files):
    answer = answers[uid]
    raw = file.read_bytes()
    assert answer[b"RFC822.SIZE"] == len(raw), file.name
    assert answer[b"BODY[HEADER]"] + answer[b"BODY[TEXT]"] == raw, file.name
    assert answer[b"ENVELOPE"] is not None and answer[b"BODYSTRUCTURE"] is not None, file.name
client.create_folder("Boîte/été")
assert "Boîte/été" in [name for _, _, name in client.list_folders()]
client.copy(uids[:10], "Boîte/été")
client.select_folder("Boîte/été")
moved = client.search()
assert len(moved) == 10
client.add_flags(moved, ["\\Seen", "$Later"])
assert len(client.search(["KEYWORD", "$Later"])) == 10
client.move(moved[:5], "Trash")
assert client.folder_status("Trash", ["MESSAGES"])[b"MESSAGES"] == 5
client.idle()
assert client.idle_check(timeout=0.1) == []
client.idle_done()
quota = client.get_quota_root("INBOX")
client.delete_folder("Boîte/été")
client.logout()
print("IMAPClient: ok")
