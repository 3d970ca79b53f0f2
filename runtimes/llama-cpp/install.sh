#!/bin/sh
# Installs llama.cpp's own tools, which Debian has from forky on, into an image of bookworm: they
# lie in /opt/llama/root with the libraries of forky, libc among them, and run by its loader.
set -eu
export APT_CONFIG=/run/build/apt.conf
lists=/etc/apt/sources.list.d/forky.list
# Mirrors may lag; the archive's signature is checked all the same.
sed -n 's/^deb \([^ ]*\) bookworm /deb [check-valid-until=no] \1 forky /p' \
    /etc/apt/sources.list >"$lists"
apt-get update -qq
mkdir -p /run/debs /opt/llama/root /opt/llama/bin
chmod 777 /run/debs
cd /run/debs
for name in libc6 libgcc-s1 libstdc++6 libgomp1 libssl3t64 libzstd1 zlib1g \
    libggml0 libllama0 llama.cpp-tools llama.cpp-tools-extra python3-gguf; do
    apt-get download -qq "$name/forky"
done
for file in *.deb; do dpkg -x "$file" /opt/llama/root; done
cd /
rm -rf /run/debs "$lists" /var/lib/apt/lists/* /var/cache/apt/* /var/log/*

folder=/usr/lib/x86_64-linux-gnu
own=/opt/llama/root$folder
# Where the tools look for what fits the processor.
ln -s "$own/ggml" "$folder/ggml"
for tool in llama-server llama-quantize llama-imatrix llama-perplexity; do
    printf '#!/bin/sh\nexec %s --library-path %s:%s --argv0 %s %s "$@"\n' \
        "$own/ld-linux-x86-64.so.2" "$own" "$own/llama" "$tool" "/opt/llama/root/usr/bin/$tool" \
        >"/opt/llama/bin/$tool"
    chmod 755 "/opt/llama/bin/$tool"
done
/opt/llama/bin/llama-server --version
