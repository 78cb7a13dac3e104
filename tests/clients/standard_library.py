"""smtplib and imaplib of the standard library: HOST IMAPS SMTPS CA USER PASSWORD FOLDER COUNT"""
import datetime
import imaplib
import pathlib
import smtplib
import ssl
import sys
import time

host, imaps, smtps, ca, user, password, folder, count = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)

smtp = smtplib.SMTP_SSL(host, int(smtps), context=context)
smtp.login(user, password)
smtp.sendmail(user, [user], f"From: {user}\r\nTo: {user}\r\nSubject: smtplib\r\n\r\n.dot\r\nété\r\n".encode())
smtp.quit()

imap = imaplib.IMAP4_SSL(host, int(imaps), ssl_context=context)
imap.login(user, password)
assert imap.select("Corpus")[1] == [count.encode()], "count"
files = sorted(pathlib.Path(folder).iterdir())
status, data = imap.fetch("1:*", "(UID RFC822.SIZE BODY.PEEK[])")
bodies = [item[1] for item in data if isinstance(item, tuple)]
assert len(bodies) == int(count), len(bodies)
for file, body in zip(files, bodies):
    assert file.read_bytes() == body, f"{file.name} is not what was stored"
assert imap.fetch("1:*", "(FLAGS)")[0] == "OK"
assert imap.fetch("1:*", "(ENVELOPE BODYSTRUCTURE INTERNALDATE)")[0] == "OK"
assert imap.search(None, "SUBJECT", '"dots and blanks"')[1][0], "search"
imap.literal = "Déjà".encode()
assert imap.search("UTF-8", "TEXT")[1][0], "search in every charset"
assert imap.select("INBOX")[1] == [b"1"], "what smtplib sent"
text = imap.fetch("1", "(BODY[TEXT])")[1][0][1]
assert text == ".dot\r\nété\r\n".encode(), text
assert imap.store("1", "+FLAGS", "(\\Flagged)")[0] == "OK"
assert imap.copy("1", "Archive")[0] == "OK"
assert imap.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK"
assert imap.expunge()[1] == [b"1"]
assert imap.select("Archive")[1] == [b"1"]

# What was expunged above is copied back out of the past: as a person would, by folder names.
assert imap.select("INBOX")[1] == [b"0"]
smtp = smtplib.SMTP_SSL(host, int(smtps), context=context)
smtp.login(user, password)
smtp.sendmail(user, [user], f"From: {user}\r\nTo: {user}\r\nSubject: dear\r\n\r\nDo not lose this.\r\n".encode())
smtp.quit()
imap.noop()
assert imap.select("INBOX")[1] == [b"1"]
before = imap.fetch("1", "(BODY.PEEK[])")[1][0][1]
moment = datetime.datetime.now(datetime.timezone.utc)
time.sleep(0.01)
assert imap.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK"
assert imap.expunge()[1] == [b"1"]
day, at = moment.strftime("%Y-%m-%d"), moment.strftime("%Hh%Mm%Ss") + f"{moment.microsecond // 1000:03}"
assert b"Restauration" in imap.namespace()[1][0]
everything = [line for line in imap.list()[1] if b"Restauration" in line]
assert len(everything) == 1 and b"Noselect" in everything[0], everything
days = imap.list('""', "Restauration/%")[1]
assert any(line.endswith(f"Restauration/{day}".encode()) for line in days), days
inside = imap.list(f"Restauration/{day}/{at}/", "%")[1]
assert any(line.endswith(b"/INBOX") for line in inside), inside
assert imap.select(f"Restauration/{day}/{at}/INBOX", readonly=True)[1] == [b"1"]
assert imap.fetch("1", "(BODY.PEEK[])")[1][0][1] == before
assert imap.copy("1", "INBOX")[0] == "OK"
assert imap.select("INBOX")[1] == [b"1"]
assert imap.fetch("1", "(BODY.PEEK[])")[1][0][1] == before, "not what was deleted"
imap.logout()
print("standard library: ok")
