//! Heavy clients, and those that only fetch: Thunderbird, Roundcube, OfflineIMAP, mutt, fetchmail, getmail, mpop, poplib.
//! `make test-clients` runs them and installs what they need; `docs/clients-tested.md` says what they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use pli_tests::imap::Imap;
use pli_tests::{Account, Builder, Instance, corpus, repository};

/// Messages that fetching clients find in INBOX.
const MESSAGES: usize = 60;
const SEED: u64 = 20_261_125;

/// Runs a program for a bounded time; its output goes into the failure.
fn run(seconds: u32, command: &mut Command) -> String {
    let mut bounded = Command::new("timeout");
    bounded.args(["-k", "10", &seconds.to_string()]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        bounded.env(name, value.unwrap_or_default());
    }
    let output = bounded.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{command:?}: {}; `cargo xtask test-clients` installs it\n{out}\n{err}",
        output.status
    );
    out.into_owned()
}

fn script(name: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(repository().join("tests/clients").join(name));
    command
}

fn with_pop3() -> Instance {
    Builder::default().config("listen.pop3s", "on = true").start()
}

/// A file that its owner alone may read, as programs want it that find a password there.
fn secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// An account with the corpus in INBOX.
fn filled(instance: &Instance) -> (Account, Vec<Vec<u8>>) {
    let account = instance.account();
    let messages = corpus::messages(SEED, MESSAGES);
    let mut imap = Imap::login(instance, &account).unwrap();
    for message in &messages {
        imap.append("INBOX", "", message).unwrap();
    }
    imap.logout();
    (account, messages)
}

fn messages_in(instance: &Instance, account: &Account) -> usize {
    let mut imap = Imap::login(instance, account).unwrap();
    let answer = imap.ok("STATUS INBOX (MESSAGES)").unwrap();
    imap.logout();
    let line = String::from_utf8_lossy(&answer.untagged[0]).into_owned();
    line.split("MESSAGES ").nth(1).unwrap().trim_end_matches(')').parse().unwrap()
}

/// Files of a Maildir.
fn delivered(maildir: &Path) -> Vec<PathBuf> {
    let files = |name: &str| fs::read_dir(maildir.join(name)).unwrap().map(|entry| entry.unwrap().path());
    files("new").chain(files("cur")).collect()
}

fn maildir(path: &Path) {
    for name in ["new", "cur", "tmp"] {
        fs::create_dir_all(path.join(name)).unwrap();
    }
}

#[test]
fn thunderbird_syncs_reads_moves_and_sends() {
    let instance = Instance::start();
    let account = instance.account();
    let out = run(
        600,
        script("thunderbird.py")
            .args(["localhost", &instance.port("imaps").to_string(), &instance.port("submissions").to_string()])
            .arg(&instance.ca)
            .args([&account.address, &account.password, "400"]),
    );
    println!("{out}");
}

#[test]
fn roundcube_lists_searches_moves_and_sends() {
    let instance = Instance::start();
    let account = instance.account();
    let out = run(
        300,
        script("roundcube.py")
            .args(["localhost", &instance.port("imaps").to_string(), &instance.port("submissions").to_string()])
            .arg(&instance.ca)
            .args([&account.address, &account.password]),
    );
    println!("{out}");
}

#[test]
fn offlineimap_syncs_and_the_second_run_changes_nothing() {
    let instance = Instance::start();
    let (account, _) = filled(&instance);
    let home = tempfile::tempdir().unwrap();
    let mail = home.path().join("mail");
    let rc = home.path().join("rc");
    secret(
        &rc,
        &format!(
            "[general]\naccounts = a\nmetadata = {meta}\n[Account a]\nlocalrepository = l\nremoterepository = r\n\
             [Repository l]\ntype = Maildir\nlocalfolders = {mail}\n[Repository r]\ntype = IMAP\nremotehost = localhost\n\
             remoteport = {}\nremoteuser = {}\nremotepass = {}\nssl = yes\nsslcacertfile = {}\n",
            instance.port("imaps"),
            account.address,
            account.password,
            instance.ca.display(),
            meta = home.path().join("meta").display(),
            mail = mail.display(),
        ),
    );
    let sync = || {
        run(120, Command::new("offlineimap").arg("-c").arg(&rc).args(["-o", "-u", "basic"]).env("HOME", home.path()))
    };
    let state = || {
        let mut imap = Imap::login(&instance, &account).unwrap();
        let answer = imap.ok("STATUS INBOX (MESSAGES UIDNEXT HIGHESTMODSEQ)").unwrap();
        imap.logout();
        String::from_utf8_lossy(&answer.untagged[0]).into_owned()
    };
    sync();
    let (mut here, there) = (delivered(&mail.join("INBOX")), state());
    assert_eq!(here.len(), MESSAGES);
    sync();
    let mut again = delivered(&mail.join("INBOX"));
    here.sort();
    again.sort();
    assert_eq!((again, state()), (here, there), "the second run changes nothing");
    fs::write(mail.join("INBOX/new/1.new.host"), "Subject: from here\n\ntext\n").unwrap();
    sync();
    assert_eq!(messages_in(&instance, &account), MESSAGES + 1);
}

/// clients.md 24: ten thousand messages, and a second run that changes nothing.
#[test]
fn mbsync_brings_ten_thousand_messages_over() {
    const ALL: usize = 10_000;
    const AT_ONCE: usize = 500;
    let instance = Instance::start();
    let account = instance.account();
    let mut imap = Imap::login(&instance, &account).unwrap();
    for block in 0..ALL / AT_ONCE {
        let mut command = b"APPEND INBOX".to_vec();
        for number in block * AT_ONCE..(block + 1) * AT_ONCE {
            let message = format!("Subject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\ntext {number}\r\n");
            command.extend_from_slice(format!(" {{{}+}}\r\n{message}", message.len()).as_bytes());
        }
        assert!(imap.raw(&command).unwrap().tagged.starts_with("OK"));
    }
    imap.logout();
    let home = tempfile::tempdir().unwrap();
    let mail = home.path().join("mail");
    fs::create_dir(&mail).unwrap();
    let rc = home.path().join("mbsyncrc");
    secret(
        &rc,
        &format!(
            "IMAPAccount pli\nHost localhost\nPort {}\nUser {}\nPass {}\nSSLType IMAPS\nCertificateFile {}\n\n\
             IMAPStore far\nAccount pli\n\nMaildirStore near\nPath {mail}/\nInbox {mail}/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
            instance.port("imaps"),
            account.address,
            account.password,
            instance.ca.display(),
            mail = mail.display(),
        ),
    );
    let sync = || run(300, Command::new("mbsync").arg("-c").arg(&rc).arg("-a").env("HOME", home.path()));
    let state = || {
        let mut imap = Imap::login(&instance, &account).unwrap();
        let answer = imap.ok("STATUS INBOX (MESSAGES UIDNEXT HIGHESTMODSEQ)").unwrap();
        imap.logout();
        String::from_utf8_lossy(&answer.untagged[0]).into_owned()
    };
    sync();
    let (mut here, there) = (delivered(&mail.join("INBOX")), state());
    assert_eq!(here.len(), ALL);
    sync();
    let mut again = delivered(&mail.join("INBOX"));
    here.sort();
    again.sort();
    assert!(again == here, "nothing changed here");
    assert_eq!(state(), there, "nothing changed there");
}

#[test]
fn mutt_sends_and_files_a_copy() {
    let instance = Instance::start();
    let account = instance.account();
    let home = tempfile::tempdir().unwrap();
    let rc = home.path().join("muttrc");
    secret(
        &rc,
        &format!(
            "set from='{0}'\nset imap_user='{0}'\nset imap_pass='{1}'\nset smtp_pass='{1}'\n\
             set smtp_url='smtps://{user}@localhost:{2}'\nset folder='imaps://localhost:{3}'\n\
             set record='imaps://localhost:{3}/Sent'\nset ssl_ca_certificates_file='{4}'\nset certificate_file='{4}'\n\
             set ssl_force_tls=yes\nset confirmappend=no\nset copy=yes\n",
            account.address,
            account.password,
            instance.port("submissions"),
            instance.port("imaps"),
            instance.ca.display(),
            user = account.address.replace('@', "%40"),
        ),
    );
    let send = format!("echo pli | mutt -n -F {} -s 'from mutt' -- {}", rc.display(), account.address);
    run(60, Command::new("sh").args(["-c", &send]).env("HOME", home.path()).env("TERM", "xterm"));
    assert_eq!(messages_in(&instance, &account), 1);
    let mut imap = Imap::login(&instance, &account).unwrap();
    let answer = imap.ok("STATUS Sent (MESSAGES)").unwrap();
    assert!(answer.untagged[0].ends_with(b"MESSAGES 1)"), "{answer:?}");
    imap.logout();
}

#[test]
fn poplib_reads_every_message() {
    let instance = with_pop3();
    let (account, messages) = filled(&instance);
    let folder = tempfile::tempdir().unwrap();
    for (number, message) in messages.iter().enumerate() {
        fs::write(folder.path().join(format!("{number:04}.eml")), message).unwrap();
    }
    run(
        120,
        script("poplib_reads.py")
            .args(["localhost", &instance.port("pop3s").to_string()])
            .arg(&instance.ca)
            .args([&account.address, &account.password])
            .arg(folder.path()),
    );
    assert_eq!(messages_in(&instance, &account), MESSAGES - 2, "two were deleted, at QUIT");
}

#[test]
fn getmail_fetches_each_message_once() {
    let instance = with_pop3();
    let (account, _) = filled(&instance);
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    fs::create_dir(&out).unwrap();
    let rc = home.path().join("getmailrc");
    // To a command: getmail delivers to no Maildir where root runs it.
    let text = |delete: bool| {
        format!(
            "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\nport = {}\nusername = {}\npassword = {}\nca_certs = {}\n\
             [destination]\ntype = MDA_external\npath = /bin/sh\narguments = (\"-c\", \"cat > {}/$(date +%s%N)-$$\")\n\
             allow_root_commands = true\n[options]\nread_all = false\ndelete = {delete}\nverbose = 0\n",
            instance.port("pop3s"),
            account.address,
            account.password,
            instance.ca.display(),
            out.display(),
        )
    };
    let fetch = || {
        let dir = home.path().display().to_string();
        run(
            120,
            Command::new("getmail").args(["--getmaildir", &dir, "--rcfile", "getmailrc"]).env("HOME", home.path()),
        );
        fs::read_dir(&out).unwrap().count()
    };
    secret(&rc, &text(false));
    assert_eq!((fetch(), fetch()), (MESSAGES, MESSAGES), "UIDL tells what is known already");
    secret(&rc, &text(true));
    let mut imap = Imap::login(&instance, &account).unwrap();
    imap.append("INBOX", "", b"Subject: new\r\n\r\ntext\r\n").unwrap();
    imap.logout();
    assert_eq!(fetch(), MESSAGES + 1);
    assert!(messages_in(&instance, &account) <= MESSAGES, "what was fetched and marked is removed");
}

#[test]
fn mpop_fetches_and_deletes() {
    let instance = with_pop3();
    let (account, _) = filled(&instance);
    let home = tempfile::tempdir().unwrap();
    let mail = home.path().join("mail");
    maildir(&mail);
    let rc = home.path().join("mpoprc");
    secret(
        &rc,
        &format!(
            "account a\nhost localhost\nport {}\ntls on\ntls_starttls off\ntls_trust_file {}\nauth user\nuser {}\npassword {}\n\
             delivery maildir {}\nuidls_file {}\nkeep off\n",
            instance.port("pop3s"),
            instance.ca.display(),
            account.address,
            account.password,
            mail.display(),
            home.path().join("uidls").display(),
        ),
    );
    run(120, Command::new("mpop").arg("-C").arg(&rc).args(["-q", "a"]).env("HOME", home.path()));
    assert_eq!((delivered(&mail).len(), messages_in(&instance, &account)), (MESSAGES, 0));
}

#[test]
fn fetchmail_fetches_over_pop3_and_imap() {
    let instance = with_pop3();
    for (protocol, port) in [("POP3", "pop3s"), ("IMAP", "imaps")] {
        let (account, _) = filled(&instance);
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("out");
        fs::create_dir(&out).unwrap();
        let rc = home.path().join("rc");
        secret(
            &rc,
            &format!(
                "poll localhost protocol {protocol} port {} user \"{}\" password \"{}\" ssl sslcertck sslcertfile \"{}\" \
                 fetchall nokeep mda \"/bin/sh -c 'cat > {}/$(date +%s%N)-$$'\"\n",
                instance.port(port),
                account.address,
                account.password,
                instance.ca.display(),
                out.display(),
            ),
        );
        let fetch =
            |command: &mut Command| run(180, command.arg("-f").arg(&rc).args(["--nodetach", "--nosyslog", "-s"]));
        fetch(Command::new("fetchmail").env("HOME", home.path()).env("FETCHMAILHOME", home.path()));
        assert_eq!(
            (fs::read_dir(&out).unwrap().count(), messages_in(&instance, &account)),
            (MESSAGES, 0),
            "{protocol}"
        );
    }
}
