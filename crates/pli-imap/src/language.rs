//! The languages of what is said to people (RFC 5255): English is what the code says, French stands in a table here.

use std::borrow::Cow;

/// RFC 5255 §3.2: the tags, as LANGUAGE lists them.
pub const TAGS: [&str; 3] = ["EN", "FR", "i-default"];

/// A language that can be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English, and i-default.
    English,
    /// French.
    French,
}

impl Language {
    /// As LANGUAGE names it.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "EN",
            Self::French => "FR",
        }
    }
    /// RFC 4647 §3.4: the language of a range, looked up by cutting the range from its end.
    pub fn find(range: &str) -> Option<Self> {
        if range.eq_ignore_ascii_case("i-default") {
            return Some(Self::English);
        }
        let primary = range.split('-').next()?;
        [Self::English, Self::French].into_iter().find(|language| primary.eq_ignore_ascii_case(language.tag()))
    }
    /// The language of an account, as the directory has it.
    pub fn of_account(code: &str) -> Self {
        Self::find(code).unwrap_or(Self::English)
    }
    /// A namespace's prefix as people should see it; none where it is in the language already.
    pub fn prefix(self, prefix: &str) -> Option<&'static str> {
        let (_, english, french) = PREFIXES.iter().find(|(known, ..)| *known == prefix)?;
        let shown = match self {
            Self::English => *english,
            Self::French => *french,
        };
        (shown != prefix).then_some(shown)
    }
}

/// RFC 5255 §3.4: prefixes of namespaces, in English and French.
const PREFIXES: [(&str, &str, &str); 4] = [
    ("Other Users/", "Other Users/", "Autres utilisateurs/"),
    ("Shared/", "Shared/", "Partagé/"),
    ("Restore/", "Restore/", "Restauration/"),
    ("Restauration/", "Restore/", "Restauration/"),
];

/// What stands for an English text.
pub fn french(text: &str) -> Option<Cow<'static, str>> {
    if let Some(command) = text.strip_suffix(" done") {
        return Some(Cow::Owned(format!("{command} : fait")));
    }
    let at = FRENCH.binary_search_by_key(&text, |(english, _)| english).ok()?;
    FRENCH.get(at).map(|(_, french)| Cow::Borrowed(*french))
}

/// In the order of the English texts. A test finds every text of the code that is missing here.
#[rustfmt::skip]
const FRENCH: &[(&str, &str)] = &[
    ("A command starts with a tag", "Une commande commence par une étiquette"),
    ("A filter is search keys that are whole", "Un filtre est fait de critères de recherche complets"),
    ("A mailbox cannot be renamed into another account", "Une boîte ne peut pas passer dans un autre compte"),
    ("A mailbox name has no empty level", "Un nom de boîte n'a pas de niveau vide"),
    ("A number from 1 on", "Un nombre à partir de 1"),
    ("A part's encoding is not known", "Le codage d'une partie est inconnu"),
    ("A partial has at least one byte", "Un extrait a au moins un octet"),
    ("An empty message cannot be appended", "Un message vide ne peut pas être ajouté"),
    ("An entry is needed", "Il faut une entrée"),
    ("An interval is not 0", "Un intervalle n'est pas 0"),
    ("An owner has all rights, always", "Un propriétaire a toujours tous les droits"),
    ("Appended", "Ajouté"),
    ("As before login", "Comme avant la connexion"),
    ("Autologout, idle for too long", "Déconnexion : inactif trop longtemps"),
    ("Bad escape in a quoted string", "Échappement incorrect dans une chaîne entre guillemets"),
    ("Closed", "Boîte fermée"),
    ("Compression is on already", "La compression est déjà active"),
    ("Connection failed", "La connexion a échoué"),
    ("Copied", "Copié"),
    ("Created", "Créée"),
    ("DEPTH is 0, 1 or infinity", "DEPTH est 0, 1 ou infinity"),
    ("Deleted", "Supprimée"),
    ("Either ALL or PARTIAL", "ALL ou PARTIAL, pas les deux"),
    ("Empty search list", "Liste de critères vide"),
    ("Enable QRESYNC first", "Activez d'abord QRESYNC"),
    ("Examined", "Ouverte en lecture seule"),
    ("Expected ( after CATENATE", "« ( » attendu après CATENATE"),
    ("Expected ( after UTF8", "« ( » attendu après UTF8"),
    ("Expected ) after UTF8 message", "« ) » attendu après le message UTF8"),
    ("Expected <offset.count>", "<début.longueur> attendu"),
    ("Expected DONE", "DONE attendu"),
    ("Expected FLAGS, +FLAGS or -FLAGS", "FLAGS, +FLAGS ou -FLAGS attendu"),
    ("Expected RETURN", "RETURN attendu"),
    ("Expected SET or NONE", "SET ou NONE attendu"),
    ("Expected TEXT or URL", "TEXT ou URL attendu"),
    ("Expected ]", "« ] » attendu"),
    ("Expected a literal", "Littéral attendu"),
    ("Expected a mailbox", "Boîte attendue"),
    ("Expected a mailbox filter", "Filtre de boîtes attendu"),
    ("Expected a message", "Message attendu"),
    ("Expected a number", "Nombre attendu"),
    ("Expected a pair of sets", "Paire d'ensembles attendue"),
    ("Expected a parenthesised list", "Liste entre parenthèses attendue"),
    ("Expected a range of batches", "Intervalle de lots attendu"),
    ("Expected a range of results", "Intervalle de résultats attendu"),
    ("Expected a section", "Section attendue"),
    ("Expected a sequence set", "Ensemble de numéros attendu"),
    ("Expected a special use", "Usage particulier attendu"),
    ("Expected a string", "Chaîne attendue"),
    ("Expected an atom", "Atome attendu"),
    ("Expected an event", "Événement attendu"),
    ("Expected an event group", "Groupe d'événements attendu"),
    ("Expected part numbers", "Numéros de partie attendus"),
    ("Expected priv, shared or all", "priv, shared ou all attendu"),
    ("Expected the bytes of a literal", "Octets d'un littéral attendus"),
    ("Expected the end of APPEND", "Fin de APPEND attendue"),
    ("Expected the end of an event group", "Fin du groupe d'événements attendue"),
    ("Expected the parameters of QRESYNC", "Paramètres de QRESYNC attendus"),
    ("Expunged", "Supprimés"),
    ("First unseen", "Premier non lu"),
    ("Flags that stay", "Drapeaux permanents"),
    ("Given up", "Abandonné"),
    ("Go on", "Continuez"),
    ("HEADER.FIELDS needs a field", "HEADER.FIELDS demande un champ"),
    ("Highest", "Le plus haut"),
    ("INBOX cannot be deleted", "INBOX ne peut pas être supprimée"),
    ("INBOX is always there", "INBOX existe toujours"),
    ("Initial response is not Base64", "La réponse initiale n'est pas en Base64"),
    ("Internal error, reported", "Erreur interne, signalée"),
    ("Line too long", "Ligne trop longue"),
    ("Literal cut short", "Littéral tronqué"),
    ("Literal too long", "Littéral trop long"),
    ("Literal without line end", "Littéral sans fin de ligne"),
    ("Log in first", "Connectez-vous d'abord"),
    ("Logged in", "Connecté"),
    ("Logging out", "Au revoir"),
    ("Mailbox name holds a character that is not allowed", "Le nom de la boîte contient un caractère interdit"),
    ("Mailbox name is not UTF-8", "Le nom de la boîte n'est pas en UTF-8"),
    ("Mailbox name is not valid modified UTF-7", "Le nom de la boîte n'est pas en UTF-7 modifié"),
    ("Mailbox name too long", "Nom de boîte trop long"),
    ("Malformed list", "Liste mal formée"),
    ("Malformed message", "Message mal formé"),
    ("Malformed parameters of QRESYNC", "Paramètres de QRESYNC mal formés"),
    ("MessageNew and MessageExpunge go together, and FlagChange needs both", "MessageNew et MessageExpunge vont ensemble, et FlagChange demande les deux"),
    ("Missing argument", "Argument manquant"),
    ("Mod-sequence too large", "Numéro de modification trop grand"),
    ("Moved", "Déplacé"),
    ("NUL in command", "NUL dans une commande"),
    ("No * in known sets", "Pas de « * » dans les ensembles connus"),
    ("No URLs", "Pas d'URL"),
    ("No bearer token", "Pas de jeton"),
    ("No further updates", "Plus de mises à jour"),
    ("No such filter", "Ce filtre n'existe pas"),
    ("No such language here", "Cette langue n'est pas parlée ici"),
    ("No such mailbox", "Cette boîte n'existe pas"),
    ("No such message number", "Ce numéro de message n'existe pas"),
    ("No such quota root", "Cette racine de quota n'existe pas"),
    ("No updates of this search", "Pas de mises à jour de cette recherche"),
    ("Not Base64", "Ce n'est pas du Base64"),
    ("Not a GS2 header", "Ce n'est pas un en-tête GS2"),
    ("Not a PLAIN response", "Ce n'est pas une réponse PLAIN"),
    ("Not a SCRAM message", "Ce n'est pas un message SCRAM"),
    ("Not a URL", "Ce n'est pas une URL"),
    ("Not a charset", "Ce n'est pas un jeu de caractères"),
    ("Not a date", "Ce n'est pas une date"),
    ("Not a keyword", "Ce n'est pas un mot-clé"),
    ("Not a language", "Ce n'est pas une langue"),
    ("Not a tag", "Ce n'est pas une étiquette"),
    ("Not an OAUTHBEARER response", "Ce n'est pas une réponse OAUTHBEARER"),
    ("Not an XOAUTH2 response", "Ce n'est pas une réponse XOAUTH2"),
    ("Not an identifier", "Ce n'est pas un identifiant"),
    ("Not an object id", "Ce n'est pas un identifiant d'objet"),
    ("Not in this state", "Pas dans cet état"),
    ("Not the name of a filter", "Ce n'est pas un nom de filtre"),
    ("Not the name of an entry", "Ce n'est pas un nom d'entrée"),
    ("Not without TLS", "Pas sans TLS"),
    ("Nothing to change", "Rien à changer"),
    ("Nothing to copy", "Rien à copier"),
    ("Nothing to move", "Rien à déplacer"),
    ("Nothing was left to say", "Rien ne restait à dire"),
    ("Nothing will be told", "Rien ne sera annoncé"),
    ("Number too large", "Nombre trop grand"),
    ("Object id", "Identifiant d'objet"),
    ("One message only", "Un seul message"),
    ("Only DEFLATE is offered", "Seul DEFLATE est proposé"),
    ("Only UIDs are used once UIDONLY is enabled", "Seuls les UID servent une fois UIDONLY activé"),
    ("Only URLs of your own mail", "Seulement des URL de votre propre courrier"),
    ("Only one of selected and selected-delayed", "selected ou selected-delayed, pas les deux"),
    ("Out of order", "Dans le désordre"),
    ("Part numbers start at 1", "Les numéros de partie commencent à 1"),
    ("Pli ready", "Pli est prêt"),
    ("Predicted next UID", "Prochain UID"),
    ("Previous mailbox closed", "La boîte précédente est fermée"),
    ("Quota exceeded", "Quota dépassé"),
    ("Quotas are set by administrators", "Les quotas sont fixés par les administrateurs"),
    ("Quoted string without end", "Chaîne entre guillemets sans fin"),
    ("RECURSIVEMATCH needs another option", "RECURSIVEMATCH demande une autre option"),
    ("RELEVANCY needs a FUZZY search key", "RELEVANCY demande un critère FUZZY"),
    ("REPLACE takes one message", "REPLACE prend un message"),
    ("Renamed", "Renommée"),
    ("Replacement is there", "Le message qui remplace est là"),
    ("SAVE is of the selected mailbox", "SAVE est de la boîte ouverte"),
    ("SETMETADATA needs an entry", "SETMETADATA demande une entrée"),
    ("Search keys nested too deep", "Critères de recherche trop imbriqués"),
    ("Section too deep", "Section trop profonde"),
    ("Select a mailbox first", "Ouvrez d'abord une boîte"),
    ("Selected", "Ouverte"),
    ("Server is shutting down", "Le serveur s'arrête"),
    ("Session ended by the administrator", "Session terminée par l'administrateur"),
    ("Some messages are gone", "Des messages n'existent plus"),
    ("Some messages had changed", "Des messages avaient changé"),
    ("Some values are too long", "Des valeurs sont trop longues"),
    ("Still at it", "Toujours en cours"),
    ("Still here", "Toujours là"),
    ("String is not UTF-8", "La chaîne n'est pas en UTF-8"),
    ("Subscribed", "Abonné"),
    ("TLS is not started here", "TLS ne commence pas ici"),
    ("Tag in use for updates", "Étiquette déjà utilisée pour des mises à jour"),
    ("Temporarily unavailable, try later", "Indisponible pour le moment, réessayez plus tard"),
    ("The INBOX of another account cannot be renamed", "La boîte INBOX d'un autre compte ne peut pas être renommée"),
    ("The account is gone", "Le compte n'existe plus"),
    ("The account is suspended", "Le compte est suspendu"),
    ("The key store does not answer, try later; your mail is safe", "Les clés ne répondent pas, réessayez plus tard ; votre courrier est en sûreté"),
    ("The keys for this are not open", "Les clés nécessaires ne sont pas ouvertes"),
    ("The mailbox is open read-only", "La boîte est ouverte en lecture seule"),
    ("The message is gone", "Le message n'existe plus"),
    ("The message is gone for good", "Le message a disparu pour de bon"),
    ("The message is larger than the quota", "Le message est plus grand que le quota"),
    ("The message is too large", "Le message est trop grand"),
    ("The message to replace is not there", "Le message à remplacer n'est pas là"),
    ("The past is not kept for so long", "Le passé n'est pas gardé si longtemps"),
    ("The past is read-only", "Le passé est en lecture seule"),
    ("The selected mailbox has message events only", "La boîte ouverte n'a que des événements de messages"),
    ("The server is out of space, try later", "Le serveur manque de place, réessayez plus tard"),
    ("The user name is empty, too long, or holds control characters", "Le nom d'utilisateur est vide, trop long ou contient des caractères de contrôle"),
    ("The user name is not UTF-8", "Le nom d'utilisateur n'est pas en UTF-8"),
    ("The value is too long", "La valeur est trop longue"),
    ("There are no negative rights here", "Il n'y a pas de droits négatifs ici"),
    ("There is nobody of this name", "Personne ne porte ce nom"),
    ("There is something of this name already", "Ce nom est déjà pris"),
    ("This URL names nothing that can be read here", "Cette URL ne désigne rien de lisible ici"),
    ("This algorithm is not offered", "Cet algorithme n'est pas proposé"),
    ("This cannot be read, the administrator has been told", "Ceci est illisible, l'administrateur est prévenu"),
    ("This charset is not known", "Ce jeu de caractères est inconnu"),
    ("This event is not known here", "Cet événement n'est pas connu ici"),
    ("This is not offered to this client", "Ceci n'est pas proposé à ce logiciel"),
    ("This kind of channel binding is not offered", "Cette forme de liaison au canal n'est pas proposée"),
    ("This mechanism is not offered", "Ce mécanisme n'est pas proposé"),
    ("This moment is not past yet", "Ce moment n'est pas encore passé"),
    ("This name is kept for mailboxes of others", "Ce nom est réservé aux boîtes des autres"),
    ("This name is kept for the past", "Ce nom est réservé au passé"),
    ("This only holds other names", "Ceci ne contient que d'autres noms"),
    ("This special use cannot be given", "Cet usage particulier ne peut pas être donné"),
    ("This time is over", "Ce moment est passé"),
    ("Too few messages in a batch", "Trop peu de messages par lot"),
    ("Too many FETCH items", "Trop d'éléments dans FETCH"),
    ("Too many ID fields", "Trop de champs dans ID"),
    ("Too many URLs", "Trop d'URL"),
    ("Too many arguments", "Trop d'arguments"),
    ("Too many bad commands", "Trop de commandes incorrectes"),
    ("Too many connections of this account", "Trop de connexions de ce compte"),
    ("Too many entries", "Trop d'entrées"),
    ("Too many event groups", "Trop de groupes d'événements"),
    ("Too many events", "Trop d'événements"),
    ("Too many failed logins", "Trop d'échecs de connexion"),
    ("Too many failed logins, try later", "Trop d'échecs de connexion, réessayez plus tard"),
    ("Too many flags", "Trop de drapeaux"),
    ("Too many header fields", "Trop de champs d'en-tête"),
    ("Too many languages", "Trop de langues"),
    ("Too many literals", "Trop de littéraux"),
    ("Too many mailboxes", "Trop de boîtes"),
    ("Too many mailboxes at once", "Trop de boîtes à la fois"),
    ("Too many messages at once", "Trop de messages à la fois"),
    ("Too many messages at once, try again later", "Trop de messages à la fois, réessayez plus tard"),
    ("Too many messages at once: the newest are done", "Trop de messages à la fois : les plus récents sont faits"),
    ("Too many moments at once", "Trop de moments à la fois"),
    ("Too many patterns", "Trop de motifs"),
    ("Too many requests, try later", "Trop de demandes, réessayez plus tard"),
    ("Too many search keys", "Trop de critères de recherche"),
    ("Too many sort keys", "Trop de critères de tri"),
    ("Too many tags", "Trop d'étiquettes"),
    ("Too many texts to look for at once", "Trop de textes à chercher à la fois"),
    ("UIDs of the mailbox", "Plus d'UID libres dans la boîte"),
    ("UIDs valid", "Validité des UID"),
    ("UPDATE is of the selected mailbox", "UPDATE est de la boîte ouverte"),
    ("UTF8 needs a literal8", "UTF8 demande un literal8"),
    ("Unknown FETCH item", "Élément de FETCH inconnu"),
    ("Unknown FETCH modifier", "Modificateur de FETCH inconnu"),
    ("Unknown PREVIEW modifier", "Modificateur de PREVIEW inconnu"),
    ("Unknown SEARCH return option", "Option de retour de SEARCH inconnue"),
    ("Unknown STATUS item", "Élément de STATUS inconnu"),
    ("Unknown STORE modifier", "Modificateur de STORE inconnu"),
    ("Unknown UID command", "Commande UID inconnue"),
    ("Unknown command", "Commande inconnue"),
    ("Unknown mailbox filter", "Filtre de boîtes inconnu"),
    ("Unknown option", "Option inconnue"),
    ("Unknown parameter", "Paramètre inconnu"),
    ("Unknown return option", "Option de retour inconnue"),
    ("Unknown right", "Droit inconnu"),
    ("Unknown search key", "Critère de recherche inconnu"),
    ("Unknown section", "Section inconnue"),
    ("Unknown selection option", "Option de sélection inconnue"),
    ("Unknown sort key", "Critère de tri inconnu"),
    ("Unknown system flag", "Drapeau système inconnu"),
    ("Unselected", "Boîte quittée"),
    ("Unsubscribed", "Désabonné"),
    ("What all see of the server is set by administrators", "Ce que tous voient du serveur est fixé par les administrateurs"),
    ("Wrong user name or password", "Nom d'utilisateur ou mot de passe incorrect"),
    ("You may not act for another account", "Vous ne pouvez pas agir pour un autre compte"),
    ("You may not change these flags", "Vous ne pouvez pas changer ces drapeaux"),
    ("You may not do this", "Vous n'en avez pas le droit"),
    ("a mailbox cannot move below itself", "Une boîte ne peut pas aller sous elle-même"),
    ("a name would become too long", "Un nom deviendrait trop long"),
    ("an owner has all rights", "Un propriétaire a tous les droits"),
    ("annotations", "Trop d'annotations"),
    ("another mailbox has this special use", "Une autre boîte a cet usage particulier"),
    ("bytes of an annotation", "Annotation trop longue"),
    ("bytes of rows that one operation changes", "Trop de choses changées d'un coup"),
    ("entries of the access control list", "Trop d'entrées dans la liste d'accès"),
    ("keywords of the mailbox", "Trop de mots-clés dans la boîte"),
    ("mailboxes of the account", "Trop de boîtes dans le compte"),
    ("message size", "Taille du message"),
    ("nobody logs in to a shared account", "Personne ne se connecte à un compte partagé"),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::path::Path;

    use super::*;

    #[test]
    fn the_table_is_sorted() {
        for pair in FRENCH.windows(2) {
            if let [one, two] = pair {
                assert!(one.0 < two.0, "{} before {}", one.0, two.0);
            }
        }
    }

    #[test]
    fn ranges() {
        use Language::{English, French};
        for (range, language) in [
            ("fr", Some(French)),
            ("FR-ca", Some(French)),
            ("en-US", Some(English)),
            ("i-default", Some(English)),
            ("de", None),
            ("fry", None),
            ("", None),
        ] {
            assert_eq!(Language::find(range), language, "{range}");
        }
        assert_eq!(French.prefix("Shared/"), Some("Partagé/"));
        assert_eq!((French.prefix("Restauration/"), English.prefix("Shared/")), (None, None));
        assert_eq!(french("NOOP done").as_deref(), Some("NOOP : fait"));
    }

    /// Every text of several words that the sources of the two crates say, and those of the store that reach a client.
    #[test]
    fn every_text_has_its_french() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut missing = Vec::new();
        for dir in ["src", "src/command", "../pli-imap-proto/src"] {
            for entry in std::fs::read_dir(here.join(dir)).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let apart = ["placeholder.rs", "quirks.rs", "table.rs", "extension.rs", "language.rs"];
                if !name.ends_with(".rs") || apart.contains(&&*name) {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                missing.extend(texts(&text).into_iter().filter(|text| french(text).is_none()));
            }
        }
        assert!(missing.is_empty(), "no French for {missing:#?}");
    }

    fn texts(source: &str) -> Vec<String> {
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = source.lines().filter(|line| {
            let line = line.trim_start();
            !line.starts_with("//") && !line.starts_with("#[") && !line.contains("reason =")
        });
        let log = |line: &str| ["error!(", "warn!(", "info!(", "debug!("].iter().any(|call| line.contains(call));
        lines
            .filter(|line| !log(line))
            .flat_map(|line| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
            .filter(|text| {
                let mut chars = text.chars();
                let first = chars.next().is_some_and(|c| c.is_ascii_uppercase());
                let second = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == ' ');
                first && second && text.contains(' ') && !text.contains(['{', '\\']) && !text.ends_with(' ')
            })
            .collect()
    }
}
