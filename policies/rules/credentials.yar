// Secrets of whoever made the file. They harm their owner first; documents are searched for them by the inspection itself.

rule private_key_in_weights {
    meta:
        id = "HFR-KEY-001"
        severity = "low"
        description = "a model with somebody's private key"
        advice = "Tell the publisher. If it is yours, replace the key."
    strings:
        $pem = /-----BEGIN ((RSA|EC|DSA|OPENSSH|ENCRYPTED) )?PRIVATE KEY-----[\r\n\\]{1,4}n?[A-Za-z0-9+\/=:\- ]{40}/
        $putty = /PuTTY-User-Key-File-[23]: ssh-/
    condition:
        weights and any of them
}

rule access_key_in_weights {
    meta:
        id = "HFR-KEY-002"
        severity = "low"
        description = "a model with somebody's key to a service"
        advice = "Tell the publisher. If it is yours, replace the key."
    strings:
        $aws = /\bAKIA[0-9A-Z]{16}\b/
        $github = /\bghp_[A-Za-z0-9]{36}\b/
        $github_fine = /\bgithub_pat_[A-Za-z0-9_]{60}/
        $slack = /\bxox[abp]-[0-9]{10,13}-[0-9A-Za-z\-]{20}/
    condition:
        weights and any of them
}
