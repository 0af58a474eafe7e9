# Run in the image's system while it is built: takes out what only installs, builds and explains,
# compiles Python's own library, adds the user, and leaves its user nothing to write but /tmp.
set -eu
export PYTHONHASHSEED=0

# Python of Debian: packages, so that the list of what is installed stays true.
if command -v dpkg-query >/dev/null; then
  installed=$(dpkg-query --show --showformat='${db:Status-Abbrev}${Package}\n' \
    'python3*-venv' 'python3-pip' 'python3-pip-whl' 'python3-setuptools' 'python3-setuptools-whl' \
    'python3-wheel' 2>/dev/null | sed -n 's/^ii //p')
  [ -z "$installed" ] || dpkg --purge $installed
fi
library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
# Python of its own image: files.
if [ "${library#/usr/local/}" != "$library" ]; then
  (cd /usr/local/bin && rm -f pip pip3 pip3.* idle* pydoc* 2to3* python*-config)
  rm -rf "$library"/site-packages/* "$library/ensurepip" "$library/idlelib" "$library"/config-* \
    "${library%/*}/pkgconfig" /usr/local/include
fi
# Examples of Python 2 among its tests: what is left compiles, or the build ends.
rm -rf "$library/test" "$library/tkinter" "$library/turtledemo" "$library/lib2to3/tests"
find / -xdev -name __pycache__ -type d -prune -exec rm -rf {} +
python3 -m compileall -q -f -j 1 --invalidation-mode unchecked-hash "$library"
[ ! -d /usr/lib/python3/dist-packages ] || python3 -m compileall -q -f -j 1 \
  --invalidation-mode unchecked-hash /usr/lib/python3/dist-packages

echo 'homeport:x:65532:65532:Homeport:/tmp:/usr/sbin/nologin' >> /etc/passwd
echo 'homeport:x:65532:' >> /etc/group
# Of what explains packages their licences stay, as in Debian's own slim images.
rm -rf /usr/share/man /usr/share/info /usr/share/locale
find /usr/share/doc -type f ! -name copyright -delete
find /usr/share/doc -xtype l ! -name copyright -delete
find /usr/share/doc -mindepth 1 -type d -empty -delete
rm -rf /var/cache/* /var/log/* /var/lib/apt/lists/* /tmp/* /run/* /root/.cache
rm -f /var/lib/dpkg/*-old /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/machine-id
find / -xdev -type f -perm /6000 -exec chmod a-s {} +
find / -xdev ! -type l -perm -0002 ! -path /tmp -exec chmod o-w {} +
