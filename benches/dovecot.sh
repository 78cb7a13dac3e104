# Debian's Dovecot 2.3 in a folder of its own, sourced by imap.sh: installed when missing, never started by the system,
# as Debian ships it but for places, ports, accounts, and limits that the load would run into.
#
#   dovecot_install
#   dovecot_configure DIR maildir|mdbox IMAPS_PORT LMTP_PORT ACCOUNTS PASSWORD CERTIFICATE KEY
#   dovecot -F -c DIR/dovecot.conf
# shellcheck shell=sh

# A daemon's account that every Debian has: Dovecot does not open mail as root.
DOVECOT_MAIL_USER=mail

dovecot_install() {
    missing=
    [ -x /usr/lib/dovecot/imap ] || missing="$missing dovecot-imapd"
    [ -x /usr/lib/dovecot/lmtp ] || missing="$missing dovecot-lmtpd"
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "missing:$missing; as root: apt-get install$missing" >&2
        return 1
    fi
    # Debian's own interface: while this file stands, packaged daemons are not started.
    policy=/usr/sbin/policy-rc.d
    ours=
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        ours=yes
    fi
    outcome=0
    # shellcheck disable=SC2086
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } \
        >&2 || outcome=$?
    [ -z "$ours" ] || rm -f $policy
    return $outcome
}

dovecot_configure() {
    dir=$1 format=$2 imaps=$3 lmtp=$4 accounts=$5 password=$6 certificate=$7 key=$8
    mkdir -p "$dir/run" "$dir/mail"
    cp "$certificate" "$dir/cert.pem"
    cp "$key" "$dir/key.pem"
    uid=$(id -u $DOVECOT_MAIL_USER) gid=$(id -g $DOVECOT_MAIL_USER)
    # The same hash as Pli's for the accounts of the load; for the quick ones, what `doveadm pw` makes as shipped.
    hash="{ARGON2ID}$("$BENCH" side hash --password "$password")"
    quick=$(doveadm -c /dev/null pw -p "$password" 2>/dev/null || doveadm pw -p "$password")
    : >"$dir/users"
    : >"$dir/quick"
    for number in $(seq -w 0 $((accounts - 1))); do
        echo "bench$number@example.org:$hash:$uid:$gid::$dir/mail/bench$number" >>"$dir/users"
        echo "quick$number@example.org:$quick:$uid:$gid::$dir/mail/quick$number" >>"$dir/users"
        echo "quick$number@example.org $password" >>"$dir/quick"
    done
    case $format in
    maildir) location='maildir:~/Maildir' ;;
    mdbox) location='mdbox:~/mdbox' ;;
    *)
        echo "no such format: $format" >&2
        return 1
        ;;
    esac
    cat >"$dir/dovecot.conf" <<CONF
base_dir = $dir/run
log_path = $dir/log
protocols = imap lmtp
listen = 127.0.0.1
mail_location = $location
first_valid_uid = 1
ssl = required
ssl_cert = <$dir/cert.pem
ssl_key = <$dir/key.pem
ssl_dh =
# Limits that the load runs into, and none of them makes Dovecot slower.
default_process_limit = 1000
default_client_limit = 6000
default_vsz_limit = 4G
mail_max_userip_connections = 3000
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    address = 127.0.0.1
    port = $imaps
    ssl = yes
  }
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = $lmtp
  }
}
protocol lmtp {
  postmaster_address = postmaster@example.org
}
passdb {
  driver = passwd-file
  args = username_format=%u $dir/users
}
userdb {
  driver = passwd-file
  args = username_format=%u $dir/users
}
namespace inbox {
  inbox = yes
  mailbox Drafts {
    special_use = \\Drafts
  }
  mailbox Junk {
    special_use = \\Junk
  }
  mailbox Trash {
    special_use = \\Trash
  }
  mailbox Sent {
    special_use = \\Sent
  }
}
CONF
    chmod 755 "$dir"
    chmod 644 "$dir/users"
    chown -R $DOVECOT_MAIL_USER:$DOVECOT_MAIL_USER "$dir/mail"
}
