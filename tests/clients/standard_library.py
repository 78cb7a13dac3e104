"""smtplib and imaplib of the standard library: HOST IMAPS SMTPS CA USER PASSWORD FOLDER COUNT"""
import imaplib
import pathlib
import smtplib
import ssl
import sys

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
imap.logout()
print("standard library: ok")
