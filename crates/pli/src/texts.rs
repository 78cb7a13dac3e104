//! Messages for people, in English and French. What scripts read (JSON, exit codes) is the same in both.

/// The languages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// Français.
    Fr,
    /// English.
    #[default]
    En,
}

impl Language {
    /// The environment's: French where `LC_ALL`, `LC_MESSAGES` or `LANG` says so.
    pub fn of_environment() -> Self {
        let set = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set).unwrap_or_default();
        if locale == "fr" || locale.starts_with("fr_") { Self::Fr } else { Self::En }
    }
}

macro_rules! texts {
    ($($name:ident: $en:literal, $fr:literal;)*) => {
        /// One message; `{}` is filled in order by [`Text::with`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Text { $(#[doc = $en] $name,)* }

        impl Text {
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn both(self) -> (&'static str, &'static str) {
                match self { $(Self::$name => ($en, $fr),)* }
            }
        }
    };
}

texts! {
    ViaServer: "(done by the running server)", "(fait par le serveur en marche)";
    ViaStore: "(no server is running: done on the store itself)", "(aucun serveur en marche : fait sur le dépôt lui-même)";
    IndexConfigured: "The configuration says store.index = \"{}\": write \"{}\" there, or the next start changes it back", "La configuration dit store.index = « {} » : écrivez-y « {} », sinon le prochain démarrage le rechange";
    Made: "A mail server for {} is ready in {}", "Un serveur de messagerie pour {} est prêt dans {}";
    Configuration: "Configuration", "Configuration";
    CaFile: "CA certificate, for clients", "Certificat de l'autorité, pour les clients";
    RootKey: "Root key; keep a copy elsewhere", "Clé racine ; gardez-en une copie ailleurs";
    Ports: "Ports on {}", "Ports sur {}";
    AccountsOnce: "Accounts (these passwords are shown only now)", "Comptes (ces mots de passe ne sont montrés que maintenant)";
    ToServe: "Serve it", "Le mettre en marche";
    ToSend: "Send a message", "Envoyer un message";
    ToRead: "Read it", "Le lire";
    Address: "address", "adresse";
    PasswordOnce: "password (shown only now)", "mot de passe (montré seulement maintenant)";
    Label: "for", "pour";
    LastUsed: "last used", "dernier usage";
    Revoked: "revoked: {}; sessions ended: {}", "révoqué : {} ; sessions terminées : {}";
    Session: "session", "session";
    Protocol: "protocol", "protocole";
    From: "from", "depuis";
    Client: "client", "client";
    Since: "since", "début";
    BytesIn: "in", "reçu";
    BytesOut: "out", "envoyé";
    Profile: "profile", "profil";
    Members: "members", "membres";
    Group: "group", "groupe";
    Owner: "owner", "propriétaire";
    SendsAs: "sends as", "envoie comme";
    SendsOnBehalf: "sends on behalf", "envoie au nom de";
    Number: "number", "numéro";
    Name: "name", "nom";
    Language: "language", "langue";
    Created: "created", "créé";
    State: "state", "état";
    Active: "active", "actif";
    Suspended: "suspended", "suspendu";
    Used: "used", "utilisé";
    Limit: "limit", "limite";
    Messages: "messages", "messages";
    Unlimited: "unlimited", "illimité";
    ErasedAll: "its key is destroyed: no copy of the store opens this account any more", "sa clé est détruite : aucune copie du dépôt n'ouvre plus ce compte";
    ErasedSince: "its key is destroyed: copies of the store made since {} do not open this account; older ones do, with the root key of that time", "sa clé est détruite : les copies du dépôt faites depuis le {} n'ouvrent plus ce compte ; les plus anciennes si, avec la clé racine d'alors";
    Accounts: "accounts", "comptes";
    Yes: "yes", "oui";
    No: "no", "non";
    KeyStore: "key store", "magasin de clés";
    KeyAnswers: "answers", "répond";
    KeyRootVersion: "root key version", "version de la clé racine";
    KeyRootSince: "root key in force since", "clé racine en vigueur depuis";
    KeyRootDue: "root key due", "clé racine à renouveler le";
    KeyOldest: "oldest account key", "plus ancienne clé de compte";
    KeyAccountsDue: "account keys due", "clés de compte à renouveler";
    KeyOtherRoots: "accounts under another root key", "comptes sous une autre clé racine";
    KeyNoSecret: "accounts without a secret of their own", "comptes sans secret propre";
    KeyEpoch: "epoch", "époque";
    KeyEpochs: "epochs", "époques";
    KeyMade: "key made", "clé faite le";
    KeyOwnSecret: "has a secret of its own", "a un secret propre";
    KeyProgress: "rotation under way", "rotation en cours";
    KeyErasing: "erasures not finished", "effacements inachevés";
    KeyRotated: "root key version {}; accounts done: {}, of these with a new key: {}; log keys: {}; old root keys forgotten: {}", "clé racine version {} ; comptes traités : {}, dont avec une nouvelle clé : {} ; clés du journal : {} ; anciennes clés racines oubliées : {}";
    KeyRotateFailed: "{} accounts' keys do not open and stay as they are; see the log", "les clés de {} comptes ne s'ouvrent pas et restent en l'état ; voir le journal";
    KeyInitDone: "a root key was made: {}", "une clé racine a été faite : {}";
    KeyNextRootDone: "{} has one more version; make it the credential, and start the server again", "{} a une version de plus ; faites-en l'accréditation et redémarrez le serveur";
    Removed: "removed: {}", "supprimé : {}";
    RemoveSure: "this removes the account with all its mail and keys; say --yes", "ceci supprime le compte avec tout son courrier et ses clés ; dites --yes";
    ShortPassword: "the password has fewer than 12 characters", "le mot de passe a moins de 12 caractères";
    EmptyPassword: "the password on standard input is empty", "le mot de passe sur l'entrée standard est vide";
    ServerRuns: "server", "serveur";
    Runs: "running since {}", "en marche depuis le {}";
    RunsNot: "not running", "arrêté";
    Store: "store", "dépôt";
    AuditLog: "audit log", "journal d'audit";
    Entries: "{} entries", "{} entrées";
    DiskSpace: "disk", "disque";
    FreeOf: "{} free of {}", "{} libres sur {}";
    DiskLow: "less than 5 % free", "moins de 5 % libres";
    Clock: "clock", "horloge";
    ClockOff: "{}: before this program was made", "{} : antérieure à ce programme";
    Certificate: "certificate", "certificat";
    ValidUntil: "{}, valid until {}", "{}, valable jusqu'au {}";
    Expired: "expired on {}", "expiré le {}";
    NotYet: "not valid before {}", "pas valable avant le {}";
    ExpiresSoon: "expires in {} days", "expire dans {} jours";
    NameMissing: "{} is not among its names", "{} n'est pas parmi ses noms";
    StoreWord: "store", "dépôt";
    StoreAsked: "the running server answers", "le serveur en marche répond";
    StoreOpened: "opened and closed", "ouvert et refermé";
    Listens: "accepts", "accepte";
    PortFree: "free", "libre";
    PortTaken: "taken by another program", "pris par un autre programme";
    PortSilent: "the server runs and does not accept here", "le serveur tourne et n'accepte pas ici";
    DnsOff: "skipped: dns.resolver is off", "sauté : dns.resolver vaut off";
    DnsLater: "resolver configured; records are not checked by this version", "résolveur configuré ; cette version ne vérifie pas les enregistrements";
    Well: "ok", "bon";
    Warning: "warning", "attention";
    Wrong: "WRONG", "ERREUR";
    ConfigGood: "{} is correct", "{} est correct";
    Sent: "delivered here: {}, queued for other servers: {}", "remis ici : {}, en file pour d'autres serveurs : {}";
    NothingQueued: "the queue is empty", "la file est vide";
    NothingTraced: "nothing is known of it", "rien n'en est connu";
    DryRun: "a dry run: nothing was done", "essai : rien n'a été fait";
    Mailbox: "mailbox", "boîte";
    Unseen: "unread", "non lus";
    Size: "size", "taille";
    Received: "received", "reçu le";
    Flags: "flags", "marques";
    Restored: "came back", "revenus";
    Aside: "set aside", "mis de côté";
    NotWhole: "a part of the log that this moment is made of is damaged: something may be missing", "une partie du journal dont ce moment est fait est endommagée : il peut manquer quelque chose";
    NothingDone: "a dry run: nothing was done; what came later would go to {}", "essai : rien n'a été fait ; ce qui est venu après irait dans {}";
    LaterIn: "what came later is in {}", "ce qui est venu après est dans {}";
    NoDamage: "no damage found", "aucun dommage trouvé";
    DamageFound: "damage found", "dommages trouvés";
    StepLog: "log", "journal";
    StepRows: "index", "index";
    StepBodies: "bodies", "contenus";
    StepCounts: "counts", "comptes";
    StepAudit: "audit log", "journal d'audit";
    StepOriginals: "messages", "messages";
    TimeLeft: "{} left", "encore {}";
    FoundSoFar: "{} damaged", "{} endommagés";
    NothingToMend: "nothing to mend", "rien à réparer";
    Mended: "mended:", "réparé :";
    WouldMend: "would be mended:", "serait réparé :";
    CopiesIn: "what was replaced has been copied to {}", "ce qui a été remplacé a été copié dans {}";
    NeedsOffline: "can be mended when the server is stopped:", "peut être réparé quand le serveur est arrêté :";
    LeftDamaged: "cannot be mended here; a backup has it, if it was made before the damage:", "ne peut pas être réparé ici ; une sauvegarde antérieure au dommage le contient :";
}

impl Text {
    /// In a language.
    pub fn in_language(self, language: Language) -> String {
        let (en, fr) = self.both();
        String::from(if language == Language::Fr { fr } else { en })
    }
    /// In a language, with its places filled.
    pub fn with(self, language: Language, values: &[&str]) -> String {
        let mut text = self.in_language(language);
        for value in values {
            text = text.replacen("{}", value, 1);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_the_same_places() {
        for text in Text::ALL {
            let (en, fr) = text.both();
            assert_eq!(en.matches("{}").count(), fr.matches("{}").count(), "{text:?}");
            assert!(!en.is_empty() && !fr.is_empty(), "{text:?}");
        }
    }

    #[test]
    fn filled_in_order() {
        assert_eq!(Text::FreeOf.with(Language::Fr, &["1 GiB", "2 GiB"]), "1 GiB libres sur 2 GiB");
    }
}
