// Commands in models. A model file is numbers with a few words that describe them: nothing in it has reason to fetch and run.

private rule weights {
    strings:
        $pickle_in_zip = "/data.pkl"
    condition:
        // GGUF, safetensors (a length below 2^32 and then JSON), pickle, NumPy, HDF5, ONNX, a PyTorch archive.
        uint32(0) == 0x46554747
        or (uint32(4) == 0 and uint8(8) == 0x7b)
        or (uint8(0) == 0x80 and uint8(1) >= 2 and uint8(1) <= 5)
        or uint32(0) == 0x4d554e93
        or uint32(0) == 0x46444889
        or (uint8(0) == 0x08 and uint8(2) != 0)
        or (uint32(0) == 0x04034b50 and $pickle_in_zip in (0..4096))
}

rule pipe_to_shell {
    meta:
        id = "HFR-CMD-001"
        severity = "critical"
        description = "a model with a command that downloads a program and runs it at once"
        advice = "Do not use the file, and look where it came from."
    strings:
        $curl = /curl\s[^\r\n|]{4,300}\|\s{0,3}(sudo\s{1,3})?(ba|z|da|k)?sh\b/ nocase
        $wget = /wget\s[^\r\n|]{4,300}\|\s{0,3}(sudo\s{1,3})?(ba|z|da|k)?sh\b/ nocase
        $python = /(curl|wget)\s[^\r\n|]{4,300}\|\s{0,3}python[0-9.]{0,4}\b/ nocase
        $substitution = /(ba)?sh\s{1,3}-c\s{1,3}.{0,3}\$\((curl|wget)\s/ nocase
    condition:
        weights and any of them
}

rule reverse_shell {
    meta:
        id = "HFR-CMD-002"
        severity = "critical"
        description = "a model with a command that gives a stranger a shell on this machine"
        advice = "Do not use the file, and look where it came from."
    strings:
        $bash = /bash\s{1,3}-i\s{0,3}(>&|&>|>)\s{0,3}\/dev\/(tcp|udp)\//
        $device = /[0-9]{0,3}<>\s{0,3}\/dev\/tcp\//
        $exec = /exec\s{1,3}[0-9]{1,3}<>\/dev\/tcp\//
        $netcat = /\b(nc|ncat|netcat)(\.exe)?\s[^\r\n]{0,120}-(e|c)\s{1,3}\/bin\/(ba|z|da)?sh\b/
        $netcat_windows = /\b(nc|ncat)(\.exe)\s[^\r\n]{0,120}-e\s{1,3}cmd\b/ nocase
        $fifo = /mkfifo\s{1,3}\/tmp\/[^\r\n]{1,120}\|\s{0,3}(nc|ncat|telnet)\s/
        $socat = /socat\s[^\r\n]{0,120}exec:[^\r\n]{0,20}(sh|cmd)/ nocase
        $perl = "use Socket;$i=" ascii
        $php = "fsockopen(" ascii
        $php_shell = "exec(\"/bin/sh -i" ascii
    condition:
        weights and (any of ($bash, $device, $exec, $netcat, $netcat_windows, $fifo, $socat, $perl) or all of ($php*))
}

rule windows_downloader {
    meta:
        id = "HFR-CMD-003"
        severity = "critical"
        description = "a model with a Windows command that downloads or decodes a program and runs it"
        advice = "Do not use the file, and look where it came from."
    strings:
        $encoded = /powershell(\.exe)?\s[^\r\n]{0,200}-(e|en|enc|encodedcommand)\s{1,3}[A-Za-z0-9+\/]{20}/ nocase ascii
        $hidden = /powershell(\.exe)?\s[^\r\n]{0,200}-w(indowstyle)?\s{1,3}hidden/ nocase ascii wide
        $iex = /(iex|invoke-expression)\s{0,3}\(?\s{0,3}\(?\s{0,3}new-object\s{1,3}(system\.)?net\.webclient/ nocase ascii wide
        $web = ").DownloadString(" nocase ascii wide
        $certutil = /certutil(\.exe)?\s[^\r\n]{0,80}-urlcache/ nocase ascii wide
        $mshta = /mshta(\.exe)?\s{1,3}(https?:|javascript:|vbscript:)/ nocase ascii wide
        $bits = /bitsadmin(\.exe)?\s[^\r\n]{0,80}\/transfer/ nocase ascii wide
        $regsvr = /regsvr32(\.exe)?\s[^\r\n]{0,80}scrobj\.dll/ nocase ascii wide
    condition:
        weights and any of them
}

rule persistence {
    meta:
        id = "HFR-CMD-004"
        severity = "high"
        description = "a model with a command that makes something start again by itself"
        advice = "Do not use the file, and look where it came from."
    strings:
        $cron = /\(crontab -l[^\r\n]{1,200}\|\s{0,3}crontab -/
        $cron_file = />>?\s{0,3}\/etc\/cron/
        $rc = />>\s{0,3}~?\/?[a-z\/]{0,30}\.(bashrc|profile|zshrc|bash_profile)\b/
        $keys = />>\s{0,3}[~a-z\/]{0,40}\.ssh\/authorized_keys/
        $run_key = "Software\\Microsoft\\Windows\\CurrentVersion\\Run" nocase ascii wide
        $systemd = /systemctl\s{1,3}(--user\s{1,3})?enable\s{1,3}--now/
        $preload = "/etc/ld.so.preload"
    condition:
        weights and any of them
}

rule exfiltration {
    meta:
        id = "HFR-CMD-005"
        severity = "high"
        description = "a model with the address of a service that stolen data is sent to"
        advice = "Do not use the file, and look where it came from."
    strings:
        $discord = /discord(app)?\.com\/api\/webhooks\/[0-9]{8}/ nocase
        $telegram = /api\.telegram\.org\/bot[0-9]{6}/ nocase
        $pastebin = "pastebin.com/raw/" nocase
        $tunnel = /https?:\/\/[a-z0-9\-]{4,40}\.(ngrok\.io|ngrok-free\.app|trycloudflare\.com|serveo\.net)/ nocase
        $metadata = "http://169.254.169.254/latest/meta-data"
        $collector = /\.(oast\.(fun|pro|live|site|online|me)|burpcollaborator\.net|interact\.sh|requestbin\.net)/ nocase
    condition:
        weights and any of them
}
