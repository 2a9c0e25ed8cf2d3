// Python that hides what it does, or that has no place among numbers.

rule python_unpacks_and_runs {
    meta:
        id = "HFR-PY-001"
        severity = "critical"
        description = "Python that decodes something hidden and runs it"
        advice = "Do not run or import it. Decode it on a machine without anything on it if you must know."
    strings:
        $direct = /\b(exec|eval)\s{0,3}\(\s{0,3}(base64\.b64decode|zlib\.decompress|marshal\.loads|codecs\.decode|bytes\.fromhex|lzma\.decompress|bz2\.decompress)\s{0,3}\(/
        $import = /\b(exec|eval)\s{0,3}\(\s{0,3}__import__\s{0,3}\(\s{0,3}['"](base64|zlib|marshal|codecs|lzma|bz2)/
        $compiled = /\bexec\s{0,3}\(\s{0,3}compile\s{0,3}\(\s{0,3}(base64|zlib|marshal|codecs|__import__)/
        $lambda = "_ = lambda __ : __import__('zlib').decompress(__import__('base64').b64decode(" ascii
        $fetched = /\b(exec|eval)\s{0,3}\(\s{0,3}(requests\.get|urllib\.request\.urlopen|urlopen)\s{0,3}\(/
    condition:
        any of them
}

rule python_reverse_shell {
    meta:
        id = "HFR-PY-002"
        severity = "critical"
        description = "Python that gives a stranger a shell on this machine"
        advice = "Do not run or import it."
    strings:
        $socket = "socket.socket(" ascii
        $connect = ".connect((" ascii
        $duplicate = "os.dup2(" ascii
        $pty = /pty\.spawn\s{0,3}\(\s{0,3}['"](\/bin\/)?(ba|z)?sh/
        $call = /subprocess\.(call|Popen|run)\s{0,3}\(\s{0,3}\[\s{0,3}['"](\/bin\/)?(ba|z|da)?sh['"]\s{0,3},\s{0,3}['"]-i/
    condition:
        $socket and $connect and ($pty or $call) and $duplicate
}

rule python_in_weights {
    meta:
        id = "HFR-PY-003"
        severity = "high"
        description = "a model with Python that runs commands"
        advice = "Get the model as GGUF or safetensors from its publisher."
    strings:
        $system = /\bos\.(system|popen)\s{0,3}\(\s{0,3}f?['"]/
        $subprocess = /\bsubprocess\.(Popen|call|run|check_output|getoutput)\s{0,3}\(\s{0,3}(f?['"]|\[)/
        $import = /__import__\s{0,3}\(\s{0,3}['"](os|subprocess|socket|pty|ctypes)['"]/
        $builtins = /__builtins__\s{0,3}(\.|\[\s{0,3}['"])(exec|eval|__import__)/
        $ctypes = "ctypes.windll.kernel32.VirtualAlloc" ascii
        $subclasses = ".__class__.__mro__" ascii
        $walk = ".__subclasses__()" ascii
    condition:
        weights and (any of ($system, $subprocess, $import, $builtins, $ctypes) or ($subclasses and $walk))
}
